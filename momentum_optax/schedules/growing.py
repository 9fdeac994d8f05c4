"""Schedules that grow towards 1, as theory asks of momentum on convex losses."""

import chex
import jax.numpy as jnp
import numpy as np

from .._types import Scalar, Schedule
from ._values import below_one, floats, number


def sutskever(max_beta: Scalar) -> Schedule:
    """Grows in steps of 250 updates: a half, three quarters, five sixths, and so on up to `max_beta`.

        beta <- min(1 - 2^(-1 - log2(floor(count / 250) + 1)), max_beta)

    The power is `1 / (2 * (floor(count / 250) + 1))`, and is computed as this.

    Args:
      max_beta: the largest value, in [0, 1). The authors tried .9, .99, .995 and .999.

    Returns:
      A function of the count.

    Raises:
      TypeError: `max_beta` is no number.
      ValueError: `max_beta` is out of range.

    References:
      Sutskever, Martens, Dahl and Hinton (2013), "On the importance of initialization and momentum in deep learning".
      https://proceedings.mlr.press/v28/sutskever13.html
    """
    limit = number("max_beta", max_beta)

    def schedule(count: chex.Numeric) -> chex.Numeric:
        stage, max_beta = floats(jnp.asarray(count) // 250, limit)
        return below_one(jnp.minimum(1 - 0.5 / (stage + 1), max_beta))

    return schedule


def nesterov_sequence() -> Schedule:
    """The beta of Nesterov's method for convex losses, in its simple form.

        beta <- max(count - 1, 0) / (count + 2)

    After the first update there is no extrapolation; after update j it is `(j - 1) / (j + 2)`. In float32 the
    fraction is 1 from count 5e7 on; there the value is the largest number below 1.

    Returns:
      A function of the count.

    References:
      Su, Boyd and Candes (2014), "A Differential Equation for Modeling Nesterov's Accelerated Gradient Method".
      https://arxiv.org/abs/1503.01243
    """

    def schedule(count: chex.Numeric) -> chex.Numeric:
        (t,) = floats(count)
        return below_one(jnp.maximum(t - 1, 0) / (t + 2))

    return schedule


_ROWS = 256


def _table() -> tuple[np.ndarray, float]:
    """Beta at the first counts, and the offset with which the formula of the later ones goes on from there."""
    t, beta = 1.0, [0.0]
    for _ in range(_ROWS):
        t, last = (1 + np.sqrt(1 + 4 * t**2)) / 2, t
        beta.append((last - 1) / t)
    return np.array(beta), t - np.log(t) / 4 - 1 / (384 * t**2) - (_ROWS + 1) / 2


_BETA, _OFFSET = _table()


def fista_sequence() -> Schedule:
    """The beta of FISTA, which is also that of Nesterov's first method: the largest that his proof allows.

        t_1 <- 1; t_{k+1} <- (1 + sqrt(1 + 4 t_k^2)) / 2
        beta <- (t_k - 1) / t_{k+1}     at count k, and 0 at count 0

    The first 257 values are computed by the recurrence. From there `t - log(t) / 4 - 1 / (384 t^2)` grows by 1/2 at
    each step up to rounding, which is solved for `t`: every value is right to 2e-14 in float64, at any count.

    Returns:
      A function of the count.

    Examples:
      The `t` are 1, 1.618, 2.194, 2.750 and so on:

      >>> from momentum_optax import schedules
      >>> beta = schedules.fista_sequence()
      >>> [round(float(beta(count)), 4) for count in range(4)]
      [0.0, 0.0, 0.2818, 0.434]

    References:
      Beck and Teboulle (2009), "A Fast Iterative Shrinkage-Thresholding Algorithm for Linear Inverse Problems".
      https://doi.org/10.1137/080716542
    """

    def schedule(count: chex.Numeric) -> chex.Numeric:
        k, table = floats(count, _BETA)
        first = table[jnp.clip(k, 0, _ROWS).astype(int)]
        grown = jnp.maximum(k, _ROWS) / 2 + _OFFSET
        t = grown
        for _ in range(4):  # each step brings it 500 times closer
            t = grown + jnp.log(t) / 4 + 1 / (384 * t**2)
        later = (t - 1) / (0.5 + jnp.sqrt(t**2 + 0.25))
        return below_one(jnp.where(k <= _ROWS, first, later))

    return schedule
