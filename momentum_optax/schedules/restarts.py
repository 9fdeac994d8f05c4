"""Warm restarts: one object for the learning rate, the beta and the times at which the velocity is reset."""

import dataclasses
from collections.abc import Callable
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from .._coefficient import AT_LEAST_ONE, NON_NEGATIVE, Range
from .._types import Scalar, Schedule
from ._values import below_one, between, eased, floats, number, progress

_DECAY_OF_PEAK = Range("above 0 and at most 1", lambda x: (x > 0) & (x <= 1))

_FAR = 2.0**62  # no cycle is so long; the square of it is still a float32


@dataclasses.dataclass(frozen=True)
class WarmRestarts:
    """What belongs together in a run with warm restarts: three functions of the count, made by `warm_restarts`.

    Attributes:
      learning_rate: cosine annealing from the peak, again in each cycle.
      beta: constant, or going with the learning rate.
      restarts: whether the count is the first of a new cycle, a bool array; False at count 0.
    """

    learning_rate: Schedule
    beta: Schedule
    restarts: Callable[[chex.Numeric], jax.Array]


def _doublings(period: float | jax.Array, t_mult: float | jax.Array) -> list[tuple[Any, Any]]:
    """For i = 0, 1, ...: t_mult^(2^i), and the sum of the first 2^i powers; as many as the counts can need.

    There is no logarithm and no division by `t_mult - 1`: whole numbers stay exact, and 1 is no special case.
    """
    known = not isinstance(t_mult, jax.Array)
    xp, power = (np, np.float64(t_mult)) if known else (jnp, floats(t_mult)[0])
    enough = 2.0**31 / (1.0 if isinstance(period, jax.Array) else period)
    pairs = [(power, power**0)]
    while len(pairs) < 31 and not (known and pairs[-1][1] > enough):
        power, total = pairs[-1]
        pairs.append((xp.minimum(power**2, _FAR), xp.minimum(total * (1 + power), _FAR)))
    return pairs


def _cycle(
    count: chex.Numeric, period: float | jax.Array, t_mult: float | jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The number of the cycle that the count is in, how far into it the count is, and how long it is.

    The largest number whose first count is not after this one, bit by bit from the highest.
    """
    doublings = _doublings(period, t_mult)
    t, period, power, before = floats(count, period, 1, 0)
    cycle = jnp.zeros((), int)
    for i, (jump, total) in reversed(list(enumerate(doublings))):
        jump, total = floats(jump, total)
        beyond = before + power * total
        reached = t >= jnp.round(period * beyond)
        cycle = cycle + reached * 2**i
        before, power = jnp.where(reached, beyond, before), jnp.where(reached, power * jump, power)
    first = jnp.round(period * before)
    return cycle, t - first, jnp.round(period * (before + power)) - first


def warm_restarts(
    learning_rate: Scalar,
    period: Scalar,
    *,
    t_mult: Scalar = 1.0,
    min_learning_rate: Scalar = 0.0,
    peak_decay: Scalar = 1.0,
    beta: Scalar = 0.9,
    end_beta: Scalar | None = None,
) -> WarmRestarts:
    """Cosine annealing with warm restarts: learning rate, beta, and the counts at which the velocity starts anew.

    Cycle n = 0, 1, ... begins at count `period * (1 + t_mult + ... + t_mult^(n - 1))`, rounded to a whole number; with
    `f` the part of it that has passed:

        peak          <- min_learning_rate + (learning_rate - min_learning_rate) * peak_decay^n
        learning_rate <- min_learning_rate + (peak - min_learning_rate) * (1 + cos(pi * f)) / 2
        beta          <- end_beta + (beta - end_beta) * (1 + cos(pi * f)) / 2

    All three are read off one clock. In float32 it is exact up to count 2^24; from there on the first count of a cycle
    is off by the rounding of the count, for all three alike.

    Args:
      learning_rate: the peak, at the start of the first cycle; at least 0.
      period: updates of the first cycle, at least 1.
      t_mult: how many times as long each cycle is as the one before, at least 1; need not be whole.
      min_learning_rate: where each cycle ends, at most `learning_rate`.
      peak_decay: how much of the peak's height above `min_learning_rate` is left in the next cycle, in (0, 1].
      beta: at the start of each cycle, in [0, 1).
      end_beta: where beta goes to as the learning rate goes down, in [0, 1); `None` keeps `beta` throughout.

    Returns:
      The schedules `learning_rate` and `beta`, and the function `restarts` that says at which counts the velocity is
      to be zeroed.

    Raises:
      TypeError: an argument is no number.
      ValueError: an argument is out of range, or `min_learning_rate` is above `learning_rate`.

    Examples:
      Cycles of 2, 4 and 8 updates:

      >>> import jax, jax.numpy as jnp
      >>> from momentum_optax import schedules
      >>> warm = schedules.warm_restarts(0.1, period=2, t_mult=2)
      >>> print(jnp.flatnonzero(jax.vmap(warm.restarts)(jnp.arange(14))))
      [2 6]
      >>> print(jax.vmap(warm.learning_rate)(jnp.arange(7)).round(3))
      [0.1   0.05  0.1   0.085 0.05  0.015 0.1  ]

    References:
      Loshchilov and Hutter (2016), "SGDR: Stochastic Gradient Descent with Warm Restarts".
      https://arxiv.org/abs/1608.03983
    """
    top = number("learning_rate", learning_rate, NON_NEGATIVE)
    bottom = number("min_learning_rate", min_learning_rate, NON_NEGATIVE)
    if not isinstance(top, Tracer) and not isinstance(bottom, Tracer) and bottom > top:
        raise ValueError(f"min_learning_rate must be at most learning_rate, {top:g}; got {bottom:g}.")
    clock = number("period", period, AT_LEAST_ONE), number("t_mult", t_mult, AT_LEAST_ONE)
    shrink = number("peak_decay", peak_decay, _DECAY_OF_PEAK)
    first = number("beta", beta, reached=0)
    last = first if end_beta is None else number("end_beta", end_beta, reached=clock[0])

    def cycle_and_fraction(count: chex.Numeric) -> tuple[jax.Array, jax.Array]:
        cycle, since, length = _cycle(count, *clock)
        return cycle, eased(progress(since, length), "cosine")

    def learning_rate_at(count: chex.Numeric) -> chex.Numeric:
        cycle, fraction = cycle_and_fraction(count)
        n, high, low, kept = floats(cycle, top, bottom, shrink)
        return between(low + (high - low) * kept**n, low, fraction)

    def beta_at(count: chex.Numeric) -> chex.Numeric:
        start, end = floats(first, last)
        return below_one(start if end_beta is None else between(start, end, cycle_and_fraction(count)[1]))

    def restarts(count: chex.Numeric) -> jax.Array:
        t = jnp.asarray(count).astype(int)
        return _cycle(t, *clock)[0] != _cycle(t - 1, *clock)[0]  # before count 0 it is the first cycle as well

    return WarmRestarts(learning_rate_at, beta_at, restarts)
