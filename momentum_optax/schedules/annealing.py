"""Schedules that go from one value to another and stay there."""

import chex
import jax.numpy as jnp

from .._coefficient import FRACTION, NON_NEGATIVE, POSITIVE
from .._types import Scalar, Schedule
from ._values import Shape, below_one, between, eased, floats, number, progress


def _anneal(start: Scalar, end: Scalar, steps: Scalar, shape: Shape) -> Schedule:
    length = number("steps", steps, NON_NEGATIVE)
    first = number("start", start, reached=0)
    last = number("end", end, reached=length)

    def schedule(count: chex.Numeric) -> chex.Numeric:
        t, steps, start, end = floats(count, length, first, last)
        return below_one(between(start, end, eased(progress(t, steps), shape)))

    return schedule


def linear(start: Scalar, end: Scalar, steps: Scalar) -> Schedule:
    """From one beta to another along a straight line.

        beta <- start + (end - start) * min(count / steps, 1)

    Args:
      start: beta at count 0, in [0, 1).
      end: beta from count `steps` on, in [0, 1).
      steps: updates that the way takes, at least 0.

    Returns:
      A function of the count.

    Raises:
      TypeError: an argument is no number.
      ValueError: an argument is out of range.
    """
    return _anneal(start, end, steps, "linear")


def cosine(start: Scalar, end: Scalar, steps: Scalar) -> Schedule:
    """From one beta to another along half a wave of the cosine, slow at both ends.

        beta <- end + (start - end) * (1 + cos(pi * min(count / steps, 1))) / 2

    Args:
      start: beta at count 0, in [0, 1).
      end: beta from count `steps` on, in [0, 1).
      steps: updates that the way takes, at least 0.

    Returns:
      A function of the count.

    Raises:
      TypeError: an argument is no number.
      ValueError: an argument is out of range.

    References:
      Loshchilov and Hutter (2016), "SGDR: Stochastic Gradient Descent with Warm Restarts", for learning rates.
      https://arxiv.org/abs/1608.03983
    """
    return _anneal(start, end, steps, "cosine")


def warmup(steps: Scalar, start: Scalar = 0.85, end: Scalar = 0.95, *, fraction: Scalar = 1.0) -> Schedule:
    """From a low beta, which forgets the first gradients soon, to the one to train with.

        beta <- start + (end - start) * min(count / (fraction * steps), 1)

    For a cool-down as well, see `piecewise`.

    Args:
      steps: updates of the warm-up, or of the whole run where `fraction` says how much of it is warm-up; at least 0.
      start: beta at count 0, in [0, 1).
      end: beta after the warm-up, in [0, 1).
      fraction: the part of `steps` that the warm-up takes, in [0, 1].

    Returns:
      A function of the count.

    Raises:
      TypeError: an argument is no number.
      ValueError: an argument is out of range.

    Examples:
      Over the first tenth of a run of 3000 updates:

      >>> from momentum_optax import schedules
      >>> beta = schedules.warmup(3000, fraction=0.1)
      >>> [round(float(beta(count)), 3) for count in (0, 150, 300, 3000)]
      [0.85, 0.9, 0.95, 0.95]

    References:
      Jordan et al. (2024), "modded-nanogpt", where Muon warms up from .85 to .95 in 300 steps.
      https://github.com/KellerJordan/modded-nanogpt
    """
    length = number("steps", steps, NON_NEGATIVE) * number("fraction", fraction, FRACTION)
    return _anneal(start, end, length, "linear")


def demon(beta: Scalar, steps: Scalar) -> Schedule:
    """Decaying momentum: what a gradient adds up to, `beta / (1 - beta)`, falls along a straight line to 0.

        f    <- max(1 - count / steps, 0)
        beta <- beta * f / ((1 - beta) + beta * f)

    Args:
      beta: the value at count 0, in [0, 1).
      steps: updates of the run, above 0; from there on beta is 0.

    Returns:
      A function of the count.

    Raises:
      TypeError: an argument is no number.
      ValueError: an argument is out of range.

    Examples:
      Beta is high for most of the run:

      >>> from momentum_optax import schedules
      >>> beta = schedules.demon(0.9, steps=10)
      >>> [round(float(beta(count)), 3) for count in (0, 4, 8, 9, 10)]
      [0.9, 0.844, 0.643, 0.474, 0.0]

    References:
      Chen, Wolfe, Li and Kyrillidis (2019), "Demon: Improved Neural Network Training with Momentum Decay".
      https://arxiv.org/abs/1910.04952
    """
    first, length = number("beta", beta, reached=0), number("steps", steps, POSITIVE)

    def schedule(count: chex.Numeric) -> chex.Numeric:
        t, beta, steps = floats(count, first, length)
        beta = below_one(beta)
        left = beta * jnp.maximum(steps - t, 0)  # f * steps: a difference of counts is exact
        return below_one(left / ((1 - beta) * steps + left))

    return schedule
