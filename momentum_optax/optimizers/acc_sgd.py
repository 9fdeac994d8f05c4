"""Accelerated stochastic gradient descent (Kidambi, Netrapalli, Jain and Kakade, 2018)."""

from typing import Any, NamedTuple

import jax
import optax

from .. import _coefficient as coefficient
from .. import _grouping as grouping
from .. import _leafwise as leafwise
from .._adaptive import adaptive
from .._finish import finish_inside
from .._transformation import increment, transformation, zero_count
from .._types import Coefficient, Mask


class AccSgdState(NamedTuple):
    """State of `scale_by_acc_sgd`.

    Attributes:
      count: `()` int32, updates so far.
      velocity: the paper's second iterate minus the params; shaped like the params.
    """

    count: jax.Array
    velocity: Any


@adaptive
def scale_by_acc_sgd(
    kappa: Coefficient = 1000.0,
    xi: Coefficient = 10.0,
    small_const: Coefficient = 0.7,
    *,
    state_dtype: jax.typing.DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """The steps of `acc_sgd` from the steps of gradient descent.

    The paper's second iterate `w` is kept as `velocity = w - params`, so that the params are not needed. With incoming
    step `s`, `a = 1 - small_const^2 * xi / kappa` and `c = small_const`:

        velocity <- c / (c + 1 - a) * (a * velocity + ((1 - a) * kappa / c - 1) * s)
        update   <- s + (1 - a) / c * velocity

    Args:
      kappa: see `acc_sgd`.
      xi: see `acc_sgd`.
      small_const: see `acc_sgd`.
      state_dtype: see `heavy_ball`.
    """
    kappa = coefficient.check("kappa", kappa, coefficient.POSITIVE)
    xi = coefficient.check("xi", xi, coefficient.POSITIVE)
    small_const = coefficient.check("small_const", small_const, coefficient.POSITIVE)

    def retained(k, x, c):
        return 1 - c * c * x / k

    def init(params: optax.Params) -> AccSgdState:
        for name, value in (("kappa", kappa), ("xi", xi), ("small_const", small_const)):
            grouping.fit(name, value, params)
        return AccSgdState(zero_count(), leafwise.zeros(params, state_dtype))

    def update(updates, state: AccSgdState, params=None, **extra) -> tuple[optax.Updates, AccSgdState]:
        del params, extra
        now = [coefficient.at(value, state.count) for value in (kappa, xi, small_const)]

        def move(s, velocity, k, x, c):
            a = retained(k, x, c)
            shrink = c / (c + 1 - a)
            # Not `shrink * (...)`: a product of the stored velocity and a constant is merged with those that follow,
            # and the update is then computed from the old velocity, of which the compiler has to keep a copy.
            return shrink * a * velocity + shrink * ((1 - a) * k / c - 1) * s

        value, velocity = leafwise.remember(move, updates, state.velocity, *now)
        updates = leafwise.emit(lambda s, v, k, x, c: s + (1 - retained(k, x, c)) / c * v, updates, (value,), *now)
        return updates, AccSgdState(increment(state.count), velocity)

    return transformation(init, update)


@adaptive
def acc_sgd(
    learning_rate: Coefficient,
    kappa: Coefficient = 1000.0,
    xi: Coefficient = 10.0,
    small_const: Coefficient = 0.7,
    *,
    weight_decay: Coefficient = None,
    mask: Mask | None = None,
    state_dtype: jax.typing.DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Accelerated stochastic gradient descent: a short and a long step, averaged.

    With gradient `g`, `a = 1 - small_const^2 * xi / kappa`, `c = small_const`, and `w = params` at the start:

        w      <- a * w + (1 - a) * (params - kappa / c * learning_rate * g)
        params <- c / (c + 1 - a) * (params - learning_rate * g) + (1 - a) / (c + 1 - a) * w

    Args:
      learning_rate: the short step; see `heavy_ball`.
      kappa: ratio of the long step to the short one, above 0 (1 and more in the paper).
      xi: advantage over gradient descent that the noise allows, above 0 (at most `sqrt(kappa)` in the paper). `a` is
        positive only if `small_const^2 * xi < kappa`.
      small_const: a constant below 1; .7 in the paper.
      weight_decay: see `heavy_ball`.
      mask: see `heavy_ball`.
      state_dtype: see `heavy_ball`.

    Returns:
      An optimizer, ready for `init` and `update`.

    Raises:
      TypeError: a coefficient is no number, schedule or tree of these.
      ValueError: a coefficient is out of range, or (at init) its tree does not fit the params.

    References:
      Kidambi, Netrapalli, Jain and Kakade (2018), "On the insufficiency of existing momentum schemes for Stochastic
      Optimization", Algorithm 1. https://arxiv.org/abs/1803.05591
    """
    steps = scale_by_acc_sgd(kappa, xi, small_const, state_dtype=state_dtype)
    return finish_inside(steps, learning_rate, weight_decay, mask)
