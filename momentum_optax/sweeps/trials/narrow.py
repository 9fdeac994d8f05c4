"""Narrow matrices, such as the last one of a classifier."""

from typing import Any

import jax
import jax.numpy as jnp

NARROW = 16
"""The most columns that a narrow matrix has.

XLA makes the gradient of a dense layer's kernel, `[inputs, outputs]`, row by row, on a CPU in vectors of 16 numbers at
most, and many runs' at once without a library of matrix products if that is how it has to lie. Transposed, the rows are
long. A step of a network of 64 inputs and 64 hidden units, 4 to 32 runs a core, then took this part of its time, with
the same result to the bit: 4 outputs 0.94, 10 outputs 0.91 to 0.96, 16 outputs 0.98 to 1.00, 20 outputs 0.99 to 1.02,
32 outputs 0.97 to 1.03, 48 outputs 1.02 to 1.10. With 256 hidden units: 10 outputs 0.77 to 0.94, 16 outputs 0.74 to
0.97.
"""


def widened(params: Any) -> Any:
    """The same params; on a CPU, products with narrow matrices and their gradients are those of the transposed ones."""
    return jax.tree.map(_widened, params) if jax.default_backend() == "cpu" else params


def _widened(x: Any) -> Any:
    if jnp.ndim(x) != 2 or not x.shape[1] < x.shape[0] or x.shape[1] > NARROW:
        return x
    # XLA would see through a mere transposition back and forth.
    return jax.lax.optimization_barrier(x.T).T
