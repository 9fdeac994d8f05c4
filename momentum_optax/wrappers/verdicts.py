"""What the metrics of a run say about it: thresholds, each with its reason.

They are `()` bools, or one for each lane of a sweep, and work under `jit`: nothing is decided in Python.
"""

from collections.abc import Mapping

import chex
import jax
import jax.numpy as jnp


def _read(metrics: Mapping[str, chex.Numeric], name: str) -> list[jax.Array]:
    """The metric in every group."""
    found = [jnp.asarray(value) for key, value in metrics.items() if key.rsplit("/", 1)[-1] == name]
    if not found:
        raise ValueError(f"metrics must hold {name!r}, as those from `metrics(state)` do; got {', '.join(metrics)!r}.")
    return found


def _any(verdicts: list[jax.Array]) -> jax.Array:
    return jnp.any(jnp.stack(verdicts), axis=0)


def oscillating(metrics: Mapping[str, chex.Numeric], flips: float = 0.5) -> jax.Array:
    """Whether the velocity turns back more often than not: the learning rate is too large.

    True where `sign_flips > flips` in any group. Along an eigenvector of curvature `h`, heavy ball flips its sign in a
    share `omega / pi` of the steps, `cos(omega) = (1 + beta - learning_rate * h) / (2 * sqrt(beta))`, which is above
    1/2 just when `learning_rate * h > 1 + beta`: past half of the largest learning rate that is stable,
    `2 * (1 + beta) / h`. Noise alone never gets there: the velocity of independent gradients flips in a share of
    `arccos(beta) / pi`, which is at most 1/2.

    Args:
      metrics: from `metrics`; those of many lanes give many verdicts.
      flips: the share of sign flips, in [0, 1], above which a run oscillates.

    Returns:
      `()` bool, or one for each lane.

    Raises:
      ValueError: the metrics do not hold `sign_flips`.
    """
    return _any([x > flips for x in _read(metrics, "sign_flips")])


def stalled(metrics: Mapping[str, chex.Numeric], ratio: float = 1e-5) -> jax.Array:
    """Whether the steps are too short to matter: the learning rate is too small, or nothing arrives any more.

    True where `update_ratio < ratio` in all groups. Even if all steps went the same way, `1 / ratio` of them would be
    needed to move the params by their own norm; at the default a hundred thousand. Runs that train move by a thousandth
    to a hundredth at each step. Below `2^-25` (`2^-9` in bfloat16) most params are rounded back to what they were.

    Args:
      metrics: from `metrics`, of updates that saw the params.
      ratio: the norm of the update, relative to the params', below which a run stalls.

    Returns:
      `()` bool, or one for each lane.

    Raises:
      ValueError: the metrics do not hold `update_ratio`.
    """
    return ~_any([~(x < ratio) for x in _read(metrics, "update_ratio")])


def diverging(metrics: Mapping[str, chex.Numeric], growth: float = 1.02) -> jax.Array:
    """Whether the gradient keeps growing, or is not finite any more: the run is past its stable learning rate.

    True where `gradient_growth > growth`, or where a norm of the last step is infinite or NaN, in any group. Along an
    eigenvector on which the method is unstable, the gradient is multiplied at each step by the spectral radius, which
    is above 1; the growth tends to that factor. At the default, 1.02, the gradient doubles in 35 steps and goes on. A
    single outlier does not count: the growth is that of the average over `1 / (1 - decay)` steps.

    Args:
      metrics: from `metrics`; those of many lanes give many verdicts.
      growth: the factor at each step above which a run diverges.

    Returns:
      `()` bool, or one for each lane.

    Raises:
      ValueError: the metrics do not hold the norms or `gradient_growth`.
    """
    norms = _read(metrics, "gradient_norm") + _read(metrics, "update_norm")
    return _any([x > growth for x in _read(metrics, "gradient_growth")] + [~jnp.isfinite(x) for x in norms])
