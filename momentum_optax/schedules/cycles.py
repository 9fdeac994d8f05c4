"""Schedules that go down and up again, opposite to a learning rate that goes up and down."""

import chex
import jax.numpy as jnp

from .._coefficient import FRACTION, POSITIVE
from .._types import Scalar, Schedule
from ._values import Shape, below_one, between, eased, floats, is_shape, number, progress


def _cycle(
    name: str, steps: Scalar, base: Scalar, low: Scalar, pct: Scalar, shape: Shape, *, repeats: bool
) -> Schedule:
    length, part = number(name, steps, POSITIVE), number("pct", pct, FRACTION)
    top, bottom = number("base", base, reached=0), number("low", low, reached=part * length)
    shape = is_shape(shape)

    def schedule(count: chex.Numeric) -> chex.Numeric:
        t, steps, base, low, pct = floats(count, length, top, bottom, part)
        t, turn = jnp.mod(t, steps) if repeats else t, pct * steps
        away = eased(progress(t, turn), shape) - eased(progress(t - turn, steps - turn), shape)
        return below_one(between(base, low, away))

    return schedule


def one_cycle(
    steps: Scalar, base: Scalar = 0.95, low: Scalar = 0.85, pct: Scalar = 0.3, *, shape: Shape = "linear"
) -> Schedule:
    """From a base beta to a low one and back, the mirror image of the one-cycle learning rate.

        away <- count / (pct * steps)                                   up to pct * steps
        away <- 1 - (count - pct * steps) / (steps - pct * steps)       from there to steps; then 0
        beta <- base + (low - base) * away

    With `shape="cosine"`, both ways are half a wave of the cosine.

    Args:
      steps: updates of the cycle, above 0; from there on beta is `base`.
      base: beta at both ends, in [0, 1).
      low: beta at the turn, where the learning rate is highest; in [0, 1).
      pct: the part of the cycle before the turn, in [0, 1].
      shape: of the ways between the values, `"linear"` as in the paper or `"cosine"`.

    Returns:
      A function of the count.

    Raises:
      TypeError: an argument is no number.
      ValueError: an argument is out of range, or `shape` is another.

    Examples:
      Beside a learning rate that peaks after three of ten updates:

      >>> from momentum_optax import schedules
      >>> beta = schedules.one_cycle(steps=10)
      >>> [round(float(beta(count)), 3) for count in (0, 3, 10, 20)]
      [0.95, 0.85, 0.95, 0.95]

    References:
      Smith (2018), "A disciplined approach to neural network hyper-parameters: Part 1 -- learning rate, batch size,
      momentum, and weight decay". https://arxiv.org/abs/1803.09820
    """
    return _cycle("steps", steps, base, low, pct, shape, repeats=False)


def cyclic(
    period: Scalar, base: Scalar = 0.95, low: Scalar = 0.85, pct: Scalar = 0.5, *, shape: Shape = "linear"
) -> Schedule:
    """One cycle after the other: from a base beta to a low one and back in every period.

        beta <- one_cycle(period, base, low, pct)(count mod period)

    Args:
      period: updates of a cycle, above 0.
      base: beta at the start of each cycle, in [0, 1).
      low: beta at the turn, where the learning rate is highest; in [0, 1).
      pct: the part of the cycle before the turn, in [0, 1].
      shape: of the ways between the values, `"linear"` or `"cosine"`.

    Returns:
      A function of the count.

    Raises:
      TypeError: an argument is no number.
      ValueError: an argument is out of range, or `shape` is another.

    References:
      Smith (2015), "Cyclical Learning Rates for Training Neural Networks". https://arxiv.org/abs/1506.01186
      Smith (2018), "A disciplined approach to neural network hyper-parameters: Part 1 -- learning rate, batch size,
      momentum, and weight decay". https://arxiv.org/abs/1803.09820
    """
    return _cycle("period", period, base, low, pct, shape, repeats=True)
