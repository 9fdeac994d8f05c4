"""Rows and units whose velocity begins anew."""

from collections.abc import Mapping
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import optax

from .. import _memories as memories
from .. import _paths as paths
from .._arguments import integer
from ._choice import check_found, check_pattern, in_group, places

Rows: TypeAlias = jax.Array | np.ndarray | tuple[int, jax.Array | np.ndarray]
"""A mask `(n,)` of bools along axis 0, or a pair of an axis and a mask along it."""


def _parted(pattern: Any, rows: Any) -> tuple[int, Any]:
    """The axis and the mask."""
    paths.check_pattern("rows", pattern)
    name = f"rows[{paths.spelled(pattern)}]"
    pair: tuple[Any, Any] = rows if isinstance(rows, tuple) and len(rows) == 2 else (0, rows)
    axis, mask = pair
    dtype = getattr(mask, "dtype", None)
    if dtype is None or not jnp.issubdtype(dtype, bool):
        raise TypeError(f"{name} must be an array of bools, or a pair (axis, array of bools); got {rows!r}.")
    if mask.ndim != 1:
        raise ValueError(f"{name} must be a mask of shape (n,), along one axis; got shape {mask.shape}.")
    return integer(f"the axis of {name}", axis), mask


def _spread(pattern: Any, axis: int, mask: Any, path: str, shape: tuple[int, ...]) -> Any:
    """The mask in a shape that goes with the leaf."""
    if not -len(shape) <= axis < len(shape) or shape[axis] != mask.shape[0]:
        raise ValueError(
            f"rows[{paths.spelled(pattern)}] is a mask of {mask.shape[0]} along axis {axis}, and {path!r} has shape "
            f"{shape}. Give a pair (axis, mask) whose mask is as long as the leaf along the axis; a kernel of Flax is "
            "(in, out), so its units are along axis -1."
        )
    return jnp.expand_dims(mask, [i for i in range(len(shape)) if i != axis % len(shape)])


def reset_rows(
    state: optax.OptState,
    rows: Mapping[paths.Pattern, Rows],
    *,
    second_moments: bool = False,
    group: str | None = None,
) -> optax.OptState:
    """Sets the velocities of single rows or units to 0, as for neurons that are born again.

    A unit whose weights are drawn anew would otherwise set off with the velocity of its predecessor. For every leaf
    that a pattern names, and every index of the axis where the mask is true:

        velocity[index] <- 0

    Weights and counts are shared by all rows and stay: the average of a row that is reset fills again from 0.

    Args:
      state: see `reset`.
      rows: for each pattern (a glob or a compiled regular expression over the paths of the params) a mask of bools
        along axis 0, or a pair `(axis, mask)`. Rows of an embedding are along axis 0; the units that a kernel of Flax
        feeds, `(in, out)`, are along axis -1, and those that feed it along axis -2. Masks may be traced.
      second_moments: whether second moments are set to 0, too.
      group: see `reset`.

    Returns:
      The state, with the same structure, shapes and dtypes.

    Raises:
      TypeError: `rows` is no mapping, or a mask is no array of bools.
      ValueError: the state holds no velocity, a pattern matches no leaf, a mask does not fit one that it matches, or no
        partition has the group.

    Examples:
      >>> import jax.numpy as jnp, momentum_optax as mo
      >>> tx, params = mo.heavy_ball(1.0), {"kernel": jnp.ones((2, 3)), "bias": jnp.ones(3)}
      >>> _, state = tx.update(params, tx.init(params))
      >>> dead = jnp.array([False, True, False])
      >>> state = mo.reset_rows(state, {"kernel": (-1, dead), "bias": dead})
      >>> print(state[0].velocity["kernel"][0], state[0].velocity["bias"])
      [1. 0. 1.] [1. 0. 1.]
    """
    if not isinstance(rows, Mapping):
        raise TypeError(f"rows must map patterns to masks; got {rows!r} of type {type(rows).__name__}.")
    parted = {pattern: _parted(pattern, value) for pattern, value in rows.items()}

    def operate(part: Any) -> Any:
        check_found(part, second_moments=second_moments)
        known = places(part, second_moments=second_moments)
        for pattern in parted:
            check_pattern("rows", pattern, *known)

        def leaf(path, memory):
            for pattern, (axis, mask) in parted.items():
                if paths.matches(pattern, path):
                    dead = _spread(pattern, axis, mask, path, jnp.shape(memory))
                    memory = jnp.where(dead, jnp.zeros_like(memory), memory)
            return memory

        return memories.edit(leaf, part, second_moments=second_moments)

    return in_group(operate, state, group)
