"""The velocity of steps that both spellings of Nesterov's method share."""

from typing import Any

import jax
import optax

from .. import _coefficient as coefficient
from .. import _grouping as grouping
from .. import _leafwise as leafwise
from .._transformation import increment, zero_count

Parts = tuple[jax.Array, Any, Any]
"""The count of updates, the velocity, and `ahead`: the beta by which the next gradient is taken ahead of `theta`."""


def start(beta: Any, params: optax.Params, state_dtype: jax.typing.DTypeLike | None) -> Parts:
    """No velocity yet, and `ahead = beta(0)`."""
    grouping.fit("beta", beta, params)
    count = zero_count()
    velocity = leafwise.zeros(params, state_dtype, decay=beta)
    return count, velocity, coefficient.stored(coefficient.at(beta, count))


def move(beta: Any, steps: optax.Updates, parts: Parts) -> tuple[Any, Parts]:
    """`velocity <- ahead * velocity + step; ahead <- beta(count + 1)`.

    The decay is the beta by which the gradient was in fact taken ahead, also when beta is injected and changes between
    two updates.

    Returns:
      The velocity in at least float32, and the parts.
    """
    old_count, old_velocity, old_ahead = parts
    count = increment(old_count)
    value, velocity = leafwise.remember(lambda s, v, b: b * v + s, steps, old_velocity, old_ahead)
    ahead = grouping.advance(lambda _, b: b, steps, old_ahead, coefficient.at(beta, count))
    return value, (count, velocity, ahead)
