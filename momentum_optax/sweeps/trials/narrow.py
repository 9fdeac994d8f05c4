"""Narrow matrices, such as the last one of a classifier, and how they lie in the memory of a CPU."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

NARROW = 16
"""The most columns that a narrow matrix has.

On a CPU, XLA goes through a matrix row by row, in vectors of up to 16 numbers, and takes none of its libraries for the
gradients `[inputs, outputs]` of the dense layers of many runs. Of the transposed matrix, the rows are long. With the
products of a step turned, it took this part of its time, to the same bits, in a network of 64 inputs and 64 hidden
units, 4 to 32 runs a core: 4 outputs 0.94, 10 outputs 0.91 to 0.96, 16 outputs 0.98 to 1.00, 20 outputs 0.99 to 1.02,
32 outputs 0.97 to 1.03, 48 outputs 1.02 to 1.10. With 256 hidden units: 10 outputs 0.77 to 0.94, 16 outputs 0.74 to
0.97. With what a loop carries turned as well, 0.93 to 1.01 of that. Embeddings, which are looked up and not multiplied:
40 rows of 8 numbers 0.93, 64 of 16 1.02, 1,000 of 16 1.06.
"""

LONG = 32
"""The fewest rows with which it pays: with a matrix of 16 rows and 8 columns turned, steps took 1.02 to 1.05 of it."""


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
