"""Adan: Nesterov's momentum from the change of the gradient, with adaptive steps (Xie, Zhou, Li, Lin and Yan, 2022)."""

from typing import Any, NamedTuple

import jax
import optax

from .. import _coefficient as coefficient
from .. import _grouping as grouping
from .. import _leafwise as leafwise
from .._adaptive import adaptive
from .._finish import finish_proximally
from .._transformation import increment, transformation, zero_count
from .._types import Coefficient, Mask
from ..directions.divide import divide
from ..directions.root_mean_square import RootMeanSquareState, root_mean_square
from ..filters.difference import DifferenceState, difference
from ..filters.ema import EmaState, ema


class AdanState(NamedTuple):
    """State of `scale_by_adan`.

    Attributes:
      count: `()` int32, updates so far.
      difference: the last gradient.
      average: state of the average of gradients.
      trend: state of the average of their changes.
      size: state of the mean square of gradients that look ahead.
    """

    count: jax.Array
    difference: DifferenceState
    average: EmaState
    trend: EmaState
    size: RootMeanSquareState


@adaptive
def scale_by_adan(
    b1: Coefficient = 0.98,
    b2: Coefficient = 0.92,
    b3: Coefficient = 0.99,
    eps: Coefficient = 1e-8,
    eps_root: Coefficient = 0.0,
    *,
    state_dtype: jax.typing.DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """The direction of `adan`: an average of gradients that looks ahead, over the root of a mean square that does.

    Args:
      b1: see `adan`.
      b2: see `adan`.
      b3: see `adan`.
      eps: see `adan`.
      eps_root: see `adan`; 0 by default, as in Optax.
      state_dtype: see `adan`.
    """
    b1, b2, b3 = (coefficient.check(name, b) for name, b in (("b1", b1), ("b2", b2), ("b3", b3)))
    average, trend = (ema(b, state_dtype=state_dtype) for b in (b1, b2))
    size = root_mean_square(b3, eps, eps_root, state_dtype=state_dtype)
    if coefficient.is_zero(b2):  # nothing looks ahead, and Adam is left
        return grouping.named(divide(average, by=size), b1=b1, b3=b3)
    change = optax.with_extra_args_support(difference(state_dtype=state_dtype))

    def init(params: optax.Params) -> AdanState:
        for name, b in (("b1", b1), ("b2", b2), ("b3", b3)):
            grouping.fit(name, b, params)
        states: Any = (part.init(params) for part in (change, average, trend, size))
        return AdanState(zero_count(), *states)

    def update(updates, state: AdanState, params=None, **extra) -> tuple[optax.Updates, AdanState]:
        del params, extra
        wide, now = leafwise.widen_tree(updates), coefficient.at(b2, state.count)
        changes, difference_state = change.update(wide, state.difference)
        past, average_state = average.update(wide, state.average)
        trends, trend_state = trend.update(changes, state.trend)
        ahead = leafwise.emit(lambda g, c, b: g + b * c, wide, (changes,), now)
        sizes, size_state = size.update(ahead, state.size)
        updates = leafwise.emit(lambda g, m, d, n, b: (m + b * d) / n, updates, (past, trends, sizes), now)
        states: Any = (difference_state, average_state, trend_state, size_state)
        return updates, AdanState(increment(state.count), *states)

    return transformation(init, update)


@adaptive
def adan(
    learning_rate: Coefficient,
    b1: Coefficient = 0.98,
    b2: Coefficient = 0.92,
    b3: Coefficient = 0.99,
    eps: Coefficient = 1e-8,
    eps_root: Coefficient = 1e-8,
    weight_decay: Coefficient = 0.0,
    mask: Mask | None = None,
    *,
    state_dtype: jax.typing.DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Adan: Adam on gradients that look ahead along their change, without a second gradient.

    With gradient `g`, its change `c = g - previous` (0 at the first step), and averages that start at 0 and are
    debiased, which is what `hat` stands for:

        velocity      <- b1 * velocity + (1 - b1) * g
        trend         <- b2 * trend + (1 - b2) * c
        second_moment <- b3 * second_moment + (1 - b3) * |g + b2 * c|^2
        direction     <- (hat velocity + b2 * hat trend) / (sqrt(hat second_moment + eps_root) + eps)
        params        <- (params - learning_rate * direction) / (1 + learning_rate * weight_decay)

    A `b` is how much of an average survives, as in the authors' code; the paper's beta is `1 - b`. What the change is
    multiplied by is `1 - beta2` in the paper, and so `b2` here. `optax.adan` 0.2.8 takes `1 - b2` for it, .08 instead
    of .92, and decays by `- learning_rate * weight_decay * params`: the arguments are Optax's, the steps the paper's.
    `b2 = 0` is Adam.

    Args:
      learning_rate: see `heavy_ball`; about the distance of a step for each number.
      b1: how much of the average of gradients survives a step, in [0, 1).
      b2: how much of the average of changes survives, and how far to look ahead, in [0, 1); at a plain 0 neither that
        average nor the last gradient is kept.
      b3: how much of the average of squares survives a step, in [0, 1).
      eps: added outside the root; finite and at least 0, in units of the gradient.
      eps_root: added inside the root; finite and at least 0, in units of the squared gradient. The paper has none.
      weight_decay: finite and at least 0, multiplied by the learning rate; the proximal decay of the paper.
      mask: see `heavy_ball`.
      state_dtype: dtype of the four memories; `None` keeps the dtype of each param.

    Returns:
      An optimizer, ready for `init` and `update`; holds four arrays of the size of the params.

    Raises:
      TypeError: a coefficient is no number, schedule or tree of these.
      ValueError: a coefficient is out of range, or (at init) its tree does not fit the params.

    References:
      Xie, Zhou, Li, Lin and Yan (2022), "Adan: Adaptive Nesterov Momentum Algorithm for Faster Optimizing Deep Models".
      https://arxiv.org/abs/2208.06677
    """
    direction = scale_by_adan(b1, b2, b3, eps, eps_root, state_dtype=state_dtype)
    return finish_proximally(direction, learning_rate, weight_decay, mask)
