"""The two warm-ups of AdEMAMix (Pagliardini, Ablin and Grangier, 2024)."""

import chex
import jax.numpy as jnp

from .._coefficient import FINITE, POSITIVE, Range, ordered
from .._types import Scalar, Schedule
from ._values import below_one, between, floats, number, progress

_INSIDE = Range("in (0, 1)", lambda x: (x > 0) & (x < 1))


def ademamix_alpha(alpha: Scalar, steps: Scalar) -> Schedule:
    """The weight of the slow average, from nothing along a straight line.

        alpha <- alpha * min((count + 1) / steps, 1)

    The paper counts steps from t = 1: the first update, at count 0, has `alpha / steps`, and not 0.

    Args:
      alpha: the weight from the update of count `steps - 1` on, finite; no decay.
      steps: updates of the warm-up, above 0; the paper takes the whole run.

    Returns:
      A function of the count.

    Raises:
      TypeError: an argument is no number.
      ValueError: an argument is out of range.

    Examples:
      >>> from momentum_optax import schedules
      >>> alpha = schedules.ademamix_alpha(5.0, 100)
      >>> [round(float(alpha(count)), 3) for count in (0, 49, 99, 1000)]
      [0.05, 2.5, 5.0, 5.0]

    References:
      Pagliardini, Ablin and Grangier (2024), "The AdEMAMix Optimizer: Better, Faster, Older".
      https://arxiv.org/abs/2409.03137
    """
    last, length = number("alpha", alpha, FINITE), number("steps", steps, POSITIVE)

    def schedule(count: chex.Numeric) -> chex.Numeric:
        t, alpha, steps = floats(count, last, length)
        return alpha * progress(t + 1, steps)

    return schedule


def ademamix_b3(b3: Scalar, steps: Scalar, b1: Scalar = 0.9) -> Schedule:
    """The beta of the slow average, from that of the fast one: its half-life grows along a straight line.

        f  <- min((count + 1) / steps, 1)
        b3 <- exp(log(b1) * log(b3) / ((1 - f) * log(b3) + f * log(b1)))

    A half-life is `log(1/2) / log(beta)`. The paper counts steps from t = 1, so that the first update, at count 0, has
    gone one step of the way.

    Args:
      b3: beta from the update of count `steps - 1` on, in (0, 1), at least `b1`.
      steps: updates of the warm-up, above 0; the paper takes the whole run.
      b1: beta that the way starts from, in (0, 1).

    Returns:
      A function of the count.

    Raises:
      TypeError: an argument is no number.
      ValueError: an argument is out of range.

    Examples:
      >>> from momentum_optax import schedules
      >>> b3 = schedules.ademamix_b3(0.9999, 100, b1=0.9)
      >>> [round(float(b3(count)), 5) for count in (0, 24, 49, 99)]
      [0.9909, 0.9996, 0.9998, 0.9999]

    References:
      Pagliardini, Ablin and Grangier (2024), "The AdEMAMix Optimizer: Better, Faster, Older".
      https://arxiv.org/abs/2409.03137
    """
    slow, fast = number("b3", b3, _INSIDE), number("b1", b1, _INSIDE)
    ordered(b1=fast, b3=slow)
    length = number("steps", steps, POSITIVE)

    def schedule(count: chex.Numeric) -> chex.Numeric:
        t, end, start, steps = floats(count, slow, fast, length)
        first, last = (-1 / jnp.log(below_one(beta)) for beta in (start, end))  # the half-lives, but for a factor
        return below_one(jnp.exp(-1 / between(first, last, progress(t + 1, steps))))

    return schedule
