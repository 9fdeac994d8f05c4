"""Momentum that is carried along to the new params (Cutkosky and Orabona, 2019)."""

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
from .._two_point import copied, follow, given, recall
from .._types import Coefficient, Mask, Scalar, Schedule


class StormState(NamedTuple):
    """State of `scale_by_storm`.

    Attributes:
      count: `()` int32, updates so far.
      velocity: estimate of the gradient at the params of the last update; shaped like the params.
      weight: `()` for each coefficient: how much of a gradient the velocity is; 0 at first, then 1.
      before: the params of the last update; shaped like the params, in their dtypes.
    """

    count: jax.Array
    velocity: Any
    weight: Any
    before: Any

    def previous_params(self, params: optax.Params) -> optax.Params:
        """The params of the last update."""
        return recall(self.before, params)


@adaptive
def scale_by_storm(
    a: Coefficient = 0.1, *, state_dtype: jax.typing.DTypeLike | None = None
) -> optax.GradientTransformationExtraArgs:
    """The direction of `storm`: an estimate of the gradient in which the noise of many batches cancels.

    With gradient `g`, and `previous_gradient` at the params of the last update on the same batch, starting from
    `velocity = weight = 0`:

        velocity <- g + (1 - a) * (velocity - weight * previous_gradient)
        weight   <- 1
        update   <- velocity

    Args:
      a: see `storm`.
      state_dtype: see `heavy_ball`.
    """
    return _carried("scale_by_storm", a, state_dtype)


def _carried(method: str, a: Any, state_dtype: Any) -> optax.GradientTransformationExtraArgs:
    """For the method that the user has called."""
    a = coefficient.check("a", a, coefficient.FRACTION)
    keep = coefficient.combine(lambda x: 1 - x, a)

    def init(params: optax.Params) -> StormState:
        grouping.fit("a", a, params)
        velocity = leafwise.zeros(params, state_dtype, decay=keep)
        before = copied(params, leafwise.zeros(params, decay=keep))
        return StormState(zero_count(), velocity, coefficient.zeros(keep), before)

    def update(
        updates, state: StormState, params=None, *, previous_gradient: Any = None, **extra
    ) -> tuple[optax.Updates, StormState]:
        del extra
        if isinstance(state.velocity, leafwise.NoMemory):
            return updates, state._replace(count=increment(state.count))
        previous = given(previous_gradient, updates, method)
        before = follow(params, updates, state.before, method)
        now, wide = coefficient.at(keep, state.count), leafwise.widen_tree(updates)
        new = leafwise.emit(lambda g, p, k, w: g - k * w * p, wide, (previous,), now, state.weight)
        value, velocity = leafwise.remember(lambda n, v, k: k * v + n, new, state.velocity, now)
        weight = grouping.advance(lambda w, _: jnp.ones_like(w), updates, state.weight, now)
        updates = leafwise.emit(lambda g, v: v, updates, (value,))
        return updates, StormState(increment(state.count), velocity, weight, before)

    return transformation(init, update)


@adaptive
def storm(
    learning_rate: Coefficient,
    a: Coefficient = 0.1,
    *,
    weight_decay: Coefficient = None,
    mask: Mask | None = None,
    state_dtype: jax.typing.DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Stochastic recursive momentum: an average that a second gradient moves to the new params at every step.

    With gradient `g`, and `previous_gradient` at the params of the last update on the same batch:

        velocity <- g + (1 - a) * (velocity - previous_gradient)             (at the first update velocity <- g)
        params   <- params - learning_rate * velocity

    `velocity - previous_gradient` is the error of the estimate so far: without noise it stays 0 and `velocity` is the
    gradient, whatever `a` is; with noise it shrinks as steps do. `a = 1` is gradient descent, needs no second gradient
    and keeps nothing. `make_step` computes both gradients; by hand they are two lines:

        value, g, previous = mo.two_point_gradients(loss)(params, mo.previous_params(state, params), batch)
        updates, state = tx.update(g, state, params, previous_gradient=previous)

    `adaptive_storm` is the whole of the paper's algorithm, which takes both coefficients from the gradients. The first
    update is the state's, not a leaf's: a leaf whose first gradient comes later begins with `a * g`.

    Args:
      learning_rate: see `heavy_ball`.
      a: how much of a new gradient replaces the estimate, in [0, 1]; the paper has it shrink as the square of the
        learning rate.
      weight_decay: see `heavy_ball`.
      mask: see `heavy_ball`.
      state_dtype: see `heavy_ball`; the params of the last update are kept as they are.

    Returns:
      An optimizer whose `update` needs `params` and `previous_gradient=`, with the structure and the shapes of the
      gradient, and raises a ValueError without them. `optax.MultiSteps` would hand on the last micro-batch's: average
      both gradients over the micro-batches instead.

    Raises:
      TypeError: a coefficient is no number, schedule or tree of these.
      ValueError: a coefficient is out of range, or (at init) its tree does not fit the params.

    Examples:
      Two batches of a slope, 1 and 2 at params 0, whose params have moved by -1:

      >>> import jax.numpy as jnp, momentum_optax as mo
      >>> tx = mo.storm(1.0, a=0.5)
      >>> gradients = mo.two_point_gradients(lambda x, slope: slope * x + x**2 / 2)
      >>> params = jnp.zeros(())
      >>> state = tx.init(params)
      >>> for slope in (1.0, 2.0):
      ...     _, g, previous = gradients(params, mo.previous_params(state, params), slope)
      ...     update, state = tx.update(g, state, params, previous_gradient=previous)
      ...     params = mo.apply_updates(params, update)
      ...     print(g, previous, update, params)
      1.0 1.0 -1.0 -1.0
      1.0 2.0 -0.5 -1.5

    References:
      Cutkosky and Orabona (2019), "Momentum-Based Variance Reduction in Non-Convex SGD".
      https://arxiv.org/abs/1905.10018
    """
    return finish(_carried("storm", a, state_dtype), learning_rate, weight_decay, mask)


class AdaptiveStormState(NamedTuple):
    """State of `adaptive_storm`.

    Attributes:
      count: `()` int32, updates so far.
      square_sum: `()`, the sum of all squared norms of gradients.
      learning_rate: `()`, that of the last update.
      inner_state: state of `scale_by_storm`.
    """

    count: jax.Array
    square_sum: jax.Array
    learning_rate: jax.Array
    inner_state: Any


@adaptive
def adaptive_storm(
    k: Scalar | Schedule = 0.1,
    w: Scalar | Schedule = 0.1,
    c: Scalar | Schedule = 10.0,
    *,
    state_dtype: jax.typing.DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """STORM as it was published: the learning rate and `a` come from the gradients seen so far.

    With gradient `g` (its norm over all leaves), and `previous_gradient` at the params of the last update on the same
    batch:

        a             <- min(1, c * learning_rate ** 2)                      (that of the update before)
        learning_rate <- k / (w + sum of all |g|^2 so far) ** (1 / 3)
        velocity      <- g + (1 - a) * (velocity - previous_gradient)        (at the first update velocity <- g)
        params        <- params - learning_rate * velocity

    Args:
      k: finite and at least 0, a number or a schedule.
      w: finite and above 0, a number or a schedule; in units of the squared gradient.
      c: finite and at least 0, a number or a schedule; in units of one by the squared learning rate.
      state_dtype: see `heavy_ball`.

    Returns:
      An optimizer whose `update` needs `params` and `previous_gradient=`, see `storm`.

    Raises:
      TypeError: a coefficient is no number or schedule.
      ValueError: a coefficient is out of range.

    References:
      Cutkosky and Orabona (2019), "Momentum-Based Variance Reduction in Non-Convex SGD", algorithm 1.
      https://arxiv.org/abs/1905.10018
    """
    k = coefficient.single("k", k, coefficient.NON_NEGATIVE)
    w = coefficient.single("w", w, coefficient.POSITIVE)
    c = coefficient.single("c", c, coefficient.NON_NEGATIVE)

    def carried(a: jax.Array) -> optax.GradientTransformationExtraArgs:
        return _carried("adaptive_storm", a, state_dtype)

    def init(params: optax.Params) -> AdaptiveStormState:
        return AdaptiveStormState(
            zero_count(), coefficient.stored(0), coefficient.stored(0), carried(jnp.ones(())).init(params)
        )

    def update(updates, state: AdaptiveStormState, params=None, **extra) -> tuple[optax.Updates, AdaptiveStormState]:
        now = {name: coefficient.at(value, state.count) for name, value in (("k", k), ("w", w), ("c", c))}
        a = jnp.minimum(1.0, now["c"] * jnp.square(state.learning_rate))
        wide = leafwise.widen_tree(updates)
        velocity, inner = carried(a).update(wide, state.inner_state, params, **extra)
        square_sum = state.square_sum + sums.inner_product(wide, wide)
        rate = now["k"] / jnp.cbrt(now["w"] + square_sum)
        updates = leafwise.emit(lambda g, v: -rate * v, updates, (velocity,))
        return updates, AdaptiveStormState(
            increment(state.count),
            leafwise.narrow(square_sum, state.square_sum.dtype),
            leafwise.narrow(rate, state.learning_rate.dtype),
            inner,
        )

    return transformation(init, update)
