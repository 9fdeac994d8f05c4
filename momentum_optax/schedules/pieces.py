"""Schedules put together from others."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import chex
import jax
import jax.numpy as jnp
from jax.core import Tracer

from .. import _coefficient as coefficient
from .._coefficient import NON_NEGATIVE, POSITIVE
from .._types import Scalar, Schedule
from ._values import below_one, floats, number

_FAR = 2.0**31 - 128  # in every float dtype a number that int32 can hold


def _first(boundary: float | jax.Array) -> Any:
    """The first count that is not before the boundary."""
    if isinstance(boundary, jax.Array):
        return jnp.ceil(jnp.minimum(boundary, _FAR)).astype(int)
    return math.ceil(min(boundary, _FAR))


def piecewise(
    values: Sequence[Scalar | Schedule], boundaries: Sequence[Scalar], *, steps: Scalar | None = None
) -> Schedule:
    """One value or schedule after the other.

        beta <- values[i], where i is how many of the boundaries the count has reached

    A schedule among the values is called with the count since its part began.

    Args:
      values: numbers in [0, 1) or schedules, at least one.
      boundaries: the counts at which the second value begins, the third, and so on; one fewer than `values`, and in
        order. A boundary that is no whole number is reached at the next one.
      steps: where it is given, `boundaries` are fractions of it, such as .1 for a tenth of the run.

    Returns:
      A function of the count.

    Raises:
      TypeError: a value is neither a number nor a function, or a boundary is no number.
      ValueError: there are not as many boundaries as needed, they are not in order, or a number is out of range.

    Examples:
      Warm-up, a long constant part, cool-down over the last tenth:

      >>> from momentum_optax import schedules
      >>> parts = [schedules.warmup(100), 0.95, schedules.linear(0.95, 0.85, steps=100)]
      >>> beta = schedules.piecewise(parts, [0.1, 0.9], steps=1000)
      >>> [round(float(beta(count)), 3) for count in (0, 50, 100, 900, 950, 1000)]
      [0.85, 0.9, 0.95, 0.95, 0.9, 0.85]
    """
    if not isinstance(values, list | tuple) or not isinstance(boundaries, list | tuple):
        raise TypeError(f"values and boundaries must be lists or tuples; got {values!r} and {boundaries!r}.")
    if len(values) != len(boundaries) + 1:
        raise ValueError(
            f"values must be one more than boundaries; got {len(values)} values and {len(boundaries)} boundaries."
        )
    run = 1.0 if steps is None else number("steps", steps, POSITIVE)
    given = [number(f"boundaries[{i}]", b, NON_NEGATIVE) for i, b in enumerate(boundaries)]
    for i, (one, other) in enumerate(itertools.pairwise(given)):
        if not isinstance(one, Tracer) and not isinstance(other, Tracer) and one > other:
            raise ValueError(f"boundaries must be in order; got {one:g} at {i} and {other:g} at {i + 1}.")
    starts = [0, *(_first(b * run) for b in given)]
    parts = [_part(f"values[{i}]", value, start) for i, (value, start) in enumerate(zip(values, starts, strict=True))]

    def schedule(count: chex.Numeric) -> chex.Numeric:
        t = jnp.asarray(count).astype(int)
        result = jnp.zeros((), jnp.result_type(float))
        for part, start in zip(parts, starts, strict=True):
            (value,) = floats(coefficient.at(part, jnp.maximum(t - start, 0)))
            result = jnp.where(t >= start, value, result)
        return below_one(result)

    return schedule


def _part(name: str, value: Any, start: Any) -> Any:
    if not coefficient.is_schedule(value):
        return number(name, value, reached=start)
    return coefficient.check(name, value)
