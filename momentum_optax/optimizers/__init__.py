"""Ready-made optimizers, one method per file."""
