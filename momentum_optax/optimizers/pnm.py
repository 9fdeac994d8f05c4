"""Positive-negative momentum (Xie, Yuan, Zhu and Sugiyama, 2021)."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from .. import _coefficient as coefficient
from .. import _grouping as grouping
from .. import _leafwise as leafwise
from .._adaptive import adaptive
from .._finish import finish
from .._transformation import increment, transformation, zero_count
from .._types import Coefficient, Mask


class PnmState(NamedTuple):
    """State of `scale_by_pnm`.

    Attributes:
      count: `()` int32, updates so far.
      even: average of the gradients at even counts; shaped like the params.
      odd: average of the gradients at odd counts; shaped like the params.
    """

    count: jax.Array
    even: Any
    odd: Any


@adaptive
def scale_by_pnm(
    beta: Coefficient = 0.9, beta0: Coefficient = 1.0, *, state_dtype: jax.typing.DTypeLike | None = None
) -> optax.GradientTransformationExtraArgs:
    """The direction of `pnm`: two averages that take turns, the older one subtracted.

    Args:
      beta: see `pnm`.
      beta0: see `pnm`.
      state_dtype: see `heavy_ball`.
    """
    beta = coefficient.check("beta", beta)
    beta0 = coefficient.check("beta0", beta0, coefficient.NON_NEGATIVE)

    def init(params: optax.Params) -> PnmState:
        grouping.fit("beta", beta, params)
        grouping.fit("beta0", beta0, params)
        # Both are kept even for beta = 0: each then holds the last gradient of its turn.
        return PnmState(zero_count(), leafwise.zeros(params, state_dtype), leafwise.zeros(params, state_dtype))

    def update(updates, state: PnmState, params=None, **extra) -> tuple[optax.Updates, PnmState]:
        del params, extra
        now = coefficient.at(beta, state.count)
        turn = state.count % 2 == 0

        # A select in place: exchanging the two buffers instead would copy one of them at every step.
        def average(mine):
            return lambda g, m, b: jnp.where(mine, b**2 * m + (1 - b**2) * g, m)

        even, new_even = leafwise.remember(average(turn), updates, state.even, now)
        odd, new_odd = leafwise.remember(average(~turn), updates, state.odd, now)

        def contrast(g, e, o, b0):
            del g
            norm = jnp.sqrt((1 + b0) ** 2 + b0**2)
            return jnp.where(turn, (1 + b0) * e - b0 * o, (1 + b0) * o - b0 * e) / norm

        updates = leafwise.emit(contrast, updates, (even, odd), coefficient.at(beta0, state.count))
        return updates, PnmState(increment(state.count), new_even, new_odd)

    return transformation(init, update)


@adaptive
def pnm(
    learning_rate: Coefficient,
    beta: Coefficient = 0.9,
    beta0: Coefficient = 1.0,
    *,
    weight_decay: Coefficient = None,
    mask: Mask | None = None,
    state_dtype: jax.typing.DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Positive-negative momentum: an average from which an older one is subtracted, for more gradient noise.

    Two averages take turns in receiving the gradient `g`; `now` is the one whose turn it is, both start at 0:

        now    <- beta^2 * now + (1 - beta^2) * g
        params <- params - learning_rate * ((1 + beta0) * now - beta0 * other) / sqrt((1 + beta0)^2 + beta0^2)

    The root keeps the size of the noise; the mean step is shorter by it (`sqrt(5)` for `beta0 = 1`).

    Args:
      learning_rate: see `heavy_ball`.
      beta: how much of an average survives a step, in [0, 1).
      beta0: how much of the other average is subtracted, at least 0; 0 leaves every second gradient's average alone.
      weight_decay: see `heavy_ball`.
      mask: see `heavy_ball`.
      state_dtype: see `heavy_ball`.

    Returns:
      An optimizer, ready for `init` and `update`; holds two arrays of the size of the params.

    Raises:
      TypeError: a coefficient is no number, schedule or tree of these.
      ValueError: a coefficient is out of range, or (at init) its tree does not fit the params.

    References:
      Xie, Yuan, Zhu and Sugiyama (2021), "Positive-Negative Momentum: Manipulating Stochastic Gradient Noise to Improve
      Generalization". https://arxiv.org/abs/2103.17182
    """
    return finish(scale_by_pnm(beta, beta0, state_dtype=state_dtype), learning_rate, weight_decay, mask)
