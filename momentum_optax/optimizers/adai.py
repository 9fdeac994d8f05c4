"""Adai: adaptive inertia, a beta for each number (Xie, Wang, Zhang, Sato and Sugiyama, 2020)."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from .. import _coefficient as coefficient
from .. import _grouping as grouping
from .. import _leafwise as leafwise
from .. import _sums as sums
from .._adaptive import adaptive
from .._finish import finish
from .._transformation import increment, transformation, zero_count
from .._types import Coefficient, Mask
from ..directions.root_mean_square import RootMeanSquareState
from ..filters.ema import average

_SHARE = coefficient.Range("in (0, 1]", lambda x: (x > 0) & (x <= 1))


class InertiaState(NamedTuple):
    """The average in `AdaiState`.

    Attributes:
      velocity: moving average of gradients, biased towards its start at 0; shaped like the params.
      weight: how much the gradients so far weigh in it, for each number; real, shaped like the params.
    """

    velocity: Any
    weight: Any


class AdaiState(NamedTuple):
    """State of `scale_by_adai`.

    Attributes:
      inertia: state of the average of gradients.
      size: state of the mean square of gradients.
    """

    inertia: InertiaState
    size: RootMeanSquareState


def _inverse_mean(sizes: Any, weights: Any) -> jax.Array:
    """One over the mean of the debiased second moments, over all numbers that have a gradient; finite if all are 0."""
    leaves = jax.tree.leaves(sizes, is_leaf=grouping.is_none)
    pairs = [(s, w) for s, w in zip(leaves, grouping.spread(weights, sizes), strict=True) if s is not None]
    total = sum((sums.totals(s)[0] / w for s, w in pairs), jnp.zeros((), jnp.result_type(float)))
    return sum(s.size for s, _ in pairs) / jnp.where(total == 0, 1.0, total)


@adaptive
def scale_by_adai(
    b0: Coefficient = 0.1,
    b2: Coefficient = 0.99,
    eps: Coefficient = 1e-3,
    *,
    state_dtype: jax.typing.DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """The direction of `adai`: an average that is longer where gradients are small.

    Args:
      b0: see `adai`.
      b2: see `adai`.
      eps: see `adai`.
      state_dtype: see `adai`.
    """
    b0 = coefficient.check("b0", b0, coefficient.NON_NEGATIVE)
    b2 = coefficient.check("b2", b2)
    eps = coefficient.check("eps", eps, _SHARE)

    def init(params: optax.Params) -> AdaiState:
        for name, value in (("b0", b0), ("b2", b2), ("eps", eps)):
            grouping.fit(name, value, params)
        inertia = InertiaState(leafwise.zeros(params, state_dtype), leafwise.zeros(params, state_dtype, real=True))
        second_moment = leafwise.zeros(params, state_dtype, decay=b2, real=True)
        return AdaiState(inertia, RootMeanSquareState(zero_count(), second_moment, coefficient.zeros(b2)))

    def update(updates, state: AdaiState, params=None, **extra) -> tuple[optax.Updates, AdaiState]:
        del params, extra
        inertia, size = state
        now = coefficient.at(b2, size.count)
        size_weight = grouping.advance(average, updates, size.weight, now)
        sizes, second_moment = leafwise.remember(
            lambda g, s, b: average(s, b, (g * g.conj()).real), updates, size.second_moment, now
        )
        inverse = _inverse_mean(sizes, size_weight)

        def fresh(s, share, w, least):
            # 1 - beta1, which would cancel where beta1 is close to 1
            return jnp.minimum(jnp.maximum(share * inverse / w * s, least), 1)

        def follow(g, m, *numbers):
            f = fresh(*numbers)
            return (1 - f) * m + f * g

        def weigh(g, w, *numbers):
            f = fresh(*numbers)
            return (1 - f) * w + f

        numbers = (sizes, coefficient.at(b0, size.count), size_weight, coefficient.at(eps, size.count))
        value, velocity = leafwise.remember(follow, updates, inertia.velocity, *numbers)
        seen, weight = leafwise.remember(weigh, updates, inertia.weight, *numbers)
        updates = leafwise.emit(lambda g, m, w: m / w, updates, (value, seen))
        size = RootMeanSquareState(increment(size.count), second_moment, size_weight)
        return updates, AdaiState(InertiaState(velocity, weight), size)

    return transformation(init, update)


@adaptive
def adai(
    learning_rate: Coefficient,
    b0: Coefficient = 0.1,
    b2: Coefficient = 0.99,
    eps: Coefficient = 1e-3,
    *,
    weight_decay: Coefficient = None,
    mask: Mask | None = None,
    state_dtype: jax.typing.DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Adai: adapts the momentum of each number instead of its learning rate.

    With gradient `g`, starting from `velocity = weight = second_moment = 0`, where `hat` stands for debiasing and
    `mean` is over all numbers of all leaves that have a gradient:

        second_moment <- b2 * second_moment + (1 - b2) * |g|^2
        beta1         <- clip(1 - b0 * hat second_moment / mean(hat second_moment), 0, 1 - eps)
        velocity      <- beta1 * velocity + (1 - beta1) * g
        weight        <- beta1 * weight + (1 - beta1)
        params        <- params - learning_rate * velocity / weight

    Where gradients are small, as along a flat valley or in a saddle, the memory is long. The steps have the size of
    gradients, as those of gradient descent, and so has the learning rate.

    One mean for all: leaves do not move independently of each other, and under `optax.masked` or `layerwise_chain` the
    mean is that of the part.

    Args:
      learning_rate: see `heavy_ball`; the paper's is that of `heavy_ball` times `1 / (1 - beta)`, such as 1.
      b0: how fresh a number with an average second moment is, finite and at least 0: its beta is `1 - b0`.
      b2: how much of the mean square survives a step, in [0, 1).
      eps: the least `1 - beta1`, in (0, 1].
      weight_decay: see `heavy_ball`; the paper's AdaiW. Its Adai has the decay before all averages: put
        `add_decayed_weights` first.
      mask: see `heavy_ball`.
      state_dtype: dtype of the three memories; `None` keeps the dtype of each param. In bfloat16 an average with beta1
        above .99 hardly moves.

    Returns:
      An optimizer, ready for `init` and `update`; holds three arrays of the size of the params.

    Raises:
      TypeError: a coefficient is no number, schedule or tree of these.
      ValueError: a coefficient is out of range, or (at init) its tree does not fit the params.

    References:
      Xie, Wang, Zhang, Sato and Sugiyama (2020), "Adaptive Inertia: Disentangling the Effects of Adaptive Learning Rate
      and Momentum". https://arxiv.org/abs/2006.15815
    """
    return finish(scale_by_adai(b0, b2, eps, state_dtype=state_dtype), learning_rate, weight_decay, mask)
