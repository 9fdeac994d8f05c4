"""Narrow matrices, such as the last one of a classifier, and how they lie in the memory of a CPU."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

NARROW = 32
"""The most columns that a narrow matrix has.

On a CPU, XLA goes through a matrix row by row, in vectors of up to 16 numbers. Of the transposed matrix, the rows are
long. With the products of a step and what a loop carries turned, 4 or 32 runs a core, and 8 or 128 samples, a step of a
network of 64 inputs and 64 or 256 hidden units took this part of its time: 10 and 16 outputs 0.9 to 1.0, 32 outputs 0.8
to 1.0, 48 outputs 1.0 to 1.1, and 0.8 once. Embeddings, which are looked up and not multiplied: 40 rows of 8 numbers
and 64 of 16 or 32 1.00 to 1.02, 1,000 of 16 or 32 1.06 to 1.1.
"""

LONG = 32
"""The fewest rows: with a matrix of 16 rows and 10 columns turned, most steps took 1.00 to 1.02 of their time."""


def turning(tree: Any, axes: int = 0) -> Callable[[Any], Any]:
    """What transposes the narrow matrices of trees like this one; a second time, it transposes them back.

    Args:
      tree: arrays, or their shapes.
      axes: how many axes come before those of the matrices.

    Returns:
      `tree -> tree`; other leaves stay as they are, and all of them where this is no CPU.
    """
    which = jax.tree.map(lambda x: is_narrow(x.shape[axes:]), tree)
    return lambda tree: jax.tree.map(lambda x, turn: jnp.swapaxes(x, -1, -2) if turn else x, tree, which)


def turned_products(params: Any) -> Any:
    """The same params, of which products with narrow matrices, and gradients, are computed transposed."""
    turn = turning(params)
    # XLA would see through a mere transposition back and forth.
    return turn(jax.tree.map(lambda x, y: x if x is y else jax.lax.optimization_barrier(x), turn(params), params))


def is_narrow(shape: tuple[int, ...]) -> bool:
    """Whether an array of this shape is a narrow matrix, on a CPU; nothing is elsewhere."""
    return jax.default_backend() == "cpu" and len(shape) == 2 and shape[0] >= LONG and shape[1] <= NARROW
