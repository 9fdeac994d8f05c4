"""Small real problems for examples, benchmarks and the command line."""
