"""Averaging in the place of a learning rate schedule (Defazio et al., 2024)."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from .. import _coefficient as coefficient
from .. import _grouping as grouping
from .. import _leafwise as leafwise
from .._adaptive import adaptive
from .._evaluation import average_behind
from .._transformation import extended, increment, transformation, zero_count
from .._two_point import copied, recall
from .._types import Coefficient, Scalar, Schedule


class ScheduleFreeState(NamedTuple):
    """State of `schedule_free`.

    Attributes:
      count: `()` int32, updates so far.
      z: the point that the inner transformation moves; shaped like the params. Nothing where `b1` is a plain 0: there
        it is the params.
      x: the average, where `b1` is a plain 0; elsewhere nothing, as it follows from `z` and the params.
      b1: `()` for each `b1`: the one that the params were formed by, `params = (1 - b1) * z + b1 * x`.
      max_lr: `()` for each learning rate: the largest so far.
      weight_sum: `()` for each learning rate: the sum of the weights in the average.
      inner_state: state of the inner transformation.
    """

    count: jax.Array
    z: Any
    x: Any
    b1: Any
    max_lr: Any
    weight_sum: Any
    inner_state: Any

    def eval_params(self, params: optax.Params) -> optax.Params:
        """`x`, the average."""
        return recall(self.x, average_behind(params, self.z, self.b1))


@adaptive
def schedule_free(
    tx: optax.GradientTransformation,
    learning_rate: Coefficient,
    b1: Coefficient = 0.9,
    weight_lr_power: Scalar | Schedule = 2.0,
    state_dtype: jax.typing.DTypeLike | None = None,
    *,
    r: Scalar | Schedule = 0.0,
) -> optax.GradientTransformationExtraArgs:
    """Schedule-free learning: the average of an optimizer's points, with the gradient taken between both.

    With `u` the update of `tx` for the gradient at the params, starting from `z = x = params`:

        z      <- z + u
        weight <- (count + 1) ** r * max_lr ** weight_lr_power,    max_lr the largest learning rate so far
        x      <- x + weight / (sum of weights) * (z - x)
        params <- (1 - b1) * z + b1 * x

    `eval_params(state, params)` returns `x`, at which to evaluate. The learning rate needs no decay, and may warm up.
    Momentum belongs switched off in `tx`: `b1` stands in its place. With `b1 = 0` this is the averaging of Polyak and
    Ruppert; with `b1` near 1 gradients are taken near the average.

    Only `z` is kept, and `x` computed from it and the params. Where `b1` is a plain 0 the params are `z`, and `x` is
    kept instead. Where a schedule, a rule or an array (as in a sweep) makes `b1` 0, nothing is left to compute `x`
    from: `eval_params` returns the params then, and an average that goes on from there begins anew with them.

    The learning rate is that of `tx` and only weighs the points here. Both see the same counts, from 0 on.
    (`optax.contrib.schedule_free` counts from 1 for the weights and from 0 in `tx`.)

    Args:
      tx: the inner optimizer; sees the params and everything passed to `update`.
      learning_rate: finite and at least 0; a number, a schedule, or a tree of these. Updates at learning rate 0 weigh
        nothing.
      b1: how near to the average gradients are taken, in [0, 1). A schedule is asked for the next count: the params
        after an update are formed by the `b1` of the update to come.
      weight_lr_power: at least 0, a number or a schedule; with 0 all points weigh the same, however long the learning
        rate warms up.
      state_dtype: dtype of `z` (or `x`); `None` keeps the dtype of each param. Less precise than the params it would
        lose small updates.
      r: a finite number or a schedule; above 0, later points weigh more.

    Returns:
      An optimizer whose `update` needs `params` and raises a ValueError without them.

    Raises:
      TypeError: a coefficient is no number, schedule or tree of these, or `tx` no transformation.
      ValueError: a coefficient is out of range, or (at init) its tree does not fit the params.

    Examples:
      Steps of 1, and their average:

      >>> import jax.numpy as jnp, momentum_optax as mo
      >>> tx = mo.schedule_free(mo.heavy_ball(1.0, beta=0.0), 1.0, b1=0.5)
      >>> params = jnp.zeros(())
      >>> state = tx.init(params)
      >>> for _ in range(3):
      ...     update, state = tx.update(jnp.ones(()), state, params)
      ...     params = mo.apply_updates(params, update)
      ...     print(state.z, mo.eval_params(state, params), params)
      -1.0 -1.0 -1.0
      -2.0 -1.5 -1.75
      -3.0 -2.0 -2.5

    References:
      Defazio, Yang, Mehta, Mishchenko, Khaled and Cutkosky (2024), "The Road Less Scheduled".
      https://arxiv.org/abs/2405.15682
      The authors' code. https://github.com/facebookresearch/schedule_free
    """
    return around(extended(tx), learning_rate, b1, weight_lr_power, state_dtype, r)


def around(
    optimizer: optax.GradientTransformationExtraArgs,
    learning_rate: Coefficient,
    b1: Coefficient,
    weight_lr_power: Scalar | Schedule,
    state_dtype: jax.typing.DTypeLike | None,
    r: Scalar | Schedule,
    anew: Callable[..., Any] | None = None,
) -> optax.GradientTransformationExtraArgs:
    """`schedule_free` around what is known to be a transformation.

    Args:
      optimizer: the inner one.
      learning_rate: see `schedule_free`.
      b1: see `schedule_free`.
      weight_lr_power: see `schedule_free`.
      state_dtype: see `schedule_free`.
      r: see `schedule_free`.
      anew: `(updates, old inner state, new inner state, params) -> steps`, the steps once more. Both `z` and the params
        move by them; where they are dear to form, a compiler keeps them in between, which costs more than to form them
        twice. `None` where they are cheap, or not known how.
    """
    learning_rate = coefficient.check("learning_rate", learning_rate, coefficient.NON_NEGATIVE)
    b1 = coefficient.check("b1", b1)
    power = coefficient.single("weight_lr_power", weight_lr_power, coefficient.NON_NEGATIVE)
    r = coefficient.single("r", r, coefficient.FINITE)
    # Where the params are z, x is kept, and the other way round.
    keeps_x = jax.tree.map(lambda b: float(coefficient.is_zero(b)), b1, is_leaf=coefficient.is_schedule)

    def init(params: optax.Params) -> ScheduleFreeState:
        grouping.fit("learning_rate", learning_rate, params)
        grouping.fit("b1", b1, params)
        z, x = (copied(params, leafwise.zeros(params, state_dtype, decay=kept)) for kept in (b1, keeps_x))
        start = coefficient.stored(coefficient.at(b1, zero_count()))
        max_lr, weight_sum = coefficient.zeros(learning_rate), coefficient.zeros(learning_rate)
        return ScheduleFreeState(zero_count(), z, x, start, max_lr, weight_sum, optimizer.init(params))

    def update(updates, state: ScheduleFreeState, params=None, **extra) -> tuple[optax.Updates, ScheduleFreeState]:
        if params is None:
            raise ValueError("schedule_free needs the params: call update(updates, state, params).")
        wide, count = leafwise.widen_tree(updates), increment(state.count)
        steps, inner = optimizer.update(wide, state.inner_state, params, **extra)
        inner = leafwise.like(inner, state.inner_state)
        same = steps if anew is None else anew(wide, state.inner_state, inner, params)

        max_lr = grouping.advance(jnp.maximum, updates, state.max_lr, coefficient.at(learning_rate, state.count))
        age = (1.0 + state.count) ** coefficient.at(r, state.count)
        weight = jax.tree.map(lambda lr: age * lr ** coefficient.at(power, state.count), max_lr)
        weight_sum = grouping.advance(lambda total, w: total + w, updates, state.weight_sum, weight)
        share = jax.tree.map(_share, weight, weight_sum)

        point = leafwise.emit(lambda g, u, y: y + u, wide, (same, params))
        _, x = leafwise.remember(lambda p, x, c: x + c * (p - x), point, state.x, share)
        moved, z = leafwise.remember(lambda u, z: z + u, steps, state.z)
        ahead = coefficient.at(b1, count)
        updates = leafwise.emit(_step, updates, (same, moved, params), state.b1, ahead, share)
        b = grouping.advance(lambda _, new: new, updates, state.b1, ahead)
        return updates, ScheduleFreeState(count, z, x, b, max_lr, weight_sum, inner)

    return transformation(init, update)


def _share(weight: jax.Array, total: jax.Array) -> jax.Array:
    """The share of the newest point in the average; 0 as long as nothing weighs anything."""
    empty = total == 0
    return jnp.where(empty, 0.0, weight / jnp.where(empty, 1.0, total))


def _step(g: Any, u: Any, z: Any, y: Any, b: Any, ahead: Any, share: Any) -> Any:
    """The new params minus the old ones, `y = (1 - b) * z_before + b * x_before`, from the new `z = z_before + u`.

    Neither `x` nor the old `z` is in it, so that nothing of the size of the params is copied; and with a `b` that stays
    nothing is divided by it.
    """
    del g
    if coefficient.is_zero(ahead):
        return u
    alone = b == 0  # then y = z_before, whatever x is
    change = jnp.where(alone, 1.0, ahead / jnp.where(alone, 1.0, b))
    pull = jnp.where(alone, 0.0, (1 - change) + change * share)
    push = jnp.where(alone, 1.0, change * (1 - share) * (1 - b))
    return pull * (z - y) + push * u


def warmed_up(learning_rate: Coefficient, warmup_steps: int | None) -> Any:
    """The learning rate times `(count + 1) / warmup_steps` until that is 1, as in the authors' code."""
    if warmup_steps is None:
        return learning_rate
    steps: Any = coefficient.number("warmup_steps", warmup_steps, coefficient.AT_LEAST_ONE)
    learning_rate = coefficient.check("learning_rate", learning_rate, coefficient.NON_NEGATIVE)
    return coefficient.combine(jnp.multiply, learning_rate, lambda count: jnp.minimum((count + 1.0) / steps, 1.0))
