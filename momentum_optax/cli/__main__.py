"""`python -m momentum_optax.cli`."""

from . import main

if __name__ == "__main__":
    main()
