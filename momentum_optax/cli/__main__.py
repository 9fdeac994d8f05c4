"""`python -m momentum_optax.cli`."""

from . import main

main()
