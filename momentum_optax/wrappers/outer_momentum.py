"""Momentum on what an optimizer did in many steps (Wang et al., 2019; Douillard et al., 2023)."""

from collections.abc import Hashable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax

from .. import _coefficient as coefficient
from .. import _grouping as grouping
from .. import _leafwise as leafwise
from .._arguments import choice
from .._memories import fade
from .._transformation import extended, increment, transformation, zero_count
from .._types import Coefficient, Scalar, Schedule
from ..filters.trace import TraceState
from . import _slow


class OuterMomentumState(NamedTuple):
    """State of `outer_momentum`.

    Attributes:
      count: `()` int32, updates so far.
      since: `()` int32, updates since the last meeting.
      slow: where the params were after the last meeting; shaped like the params.
      outer: the outer velocity, and the meetings so far.
      inner_state: state of the inner transformation.
    """

    count: jax.Array
    since: jax.Array
    slow: Any
    outer: TraceState
    inner_state: Any

    def eval_params(self, params: optax.Params) -> optax.Params:
        """Where the params were after the last meeting, the same for all replicas."""
        return _slow.answer(self.slow, params)


def _mean(tree: Any, axis_name: Any, meets: jax.Array) -> Any:
    """The mean over the replicas where they meet, and anything where they do not."""

    def mean(tree):
        return jax.tree.map(lambda x: jax.lax.pmean(x, axis_name), tree)

    # A branch, where all else is a select: not to communicate is what the steps between are for. All replicas have
    # counted the same steps and take the same branch. Zeros like the mean vary along the axes that it varies along.
    return jax.lax.cond(meets, mean, lambda tree: jax.tree.map(jnp.zeros_like, jax.eval_shape(mean, tree)), tree)


def outer_momentum(
    tx: optax.GradientTransformation,
    sync_period: Scalar | Schedule,
    *,
    outer_learning_rate: Coefficient = 0.7,
    outer_beta: Coefficient = 0.9,
    nesterov: bool = True,
    inner_learning_rate: Coefficient = 1.0,
    velocity: Literal["keep", "reset"] = "keep",
    axis_name: Hashable | None = None,
    state_dtype: jax.typing.DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Takes what an optimizer did in `sync_period` updates for a gradient, and descends along it with momentum.

    With the update `u` of the inner optimizer, starting from `slow = params`, `outer_velocity = 0`:

        params <- params + u

    and at every `sync_period`-th update after that, with the mean over the replicas of the axis, if there is one:

        g              <- (slow - mean of params) / inner_learning_rate
        outer_velocity <- outer_beta * outer_velocity + g
        d              <- outer_velocity, or with nesterov: g + next_outer_beta * outer_velocity
        slow           <- slow - outer_learning_rate * inner_learning_rate * d
        params         <- slow

    With `nesterov` this is DiLoCo, whose defaults these are. Without it is SlowMo, whose momentum is in units of
    gradients: for a scheduled learning rate give the schedule as `inner_learning_rate` too; a constant one makes no
    difference. With `outer_learning_rate = 1` and `outer_beta = 0` replicas meet in their mean: local SGD.
    `eval_params(state, params)` returns the slow weights, at which to evaluate.

    With an `axis_name`, call `update` inside `jax.shard_map` (or `jax.vmap`), where each replica has params of its own
    and an inner state of its own; the other parts of the state are the same for all. Under `shard_map` replicas
    communicate at meetings only.

    Args:
      tx: the inner optimizer; sees the params and everything passed to `update`.
      sync_period: updates from one meeting to the next, at least 1; a number or a schedule.
      outer_learning_rate: finite and at least 0. A schedule sees the count of meetings, not of updates.
      outer_beta: how much of the outer velocity survives a meeting, in [0, 1); where it is a plain 0, none is kept. A
        schedule sees the count of meetings.
      nesterov: whether to look ahead.
      inner_learning_rate: what the inner optimizer multiplies gradients by, finite and above 0; a schedule sees the
        count of updates, as it does there, and the value at the update of the meeting is the one that counts.
      velocity: what happens at a meeting to the velocities inside `tx`, of all leaves: `"keep"` leaves them alone,
        `"reset"` makes them 0.
      axis_name: the axis, or axes, of the replicas; `None` for one replica.
      state_dtype: dtype of the slow weights and of the outer velocity; `None` keeps the dtype of each param.

    Returns:
      An optimizer whose `update` needs `params` and raises a ValueError without them. It goes around a whole optimizer:
      what comes after it in a chain would lead the params away from the slow weights.

    Raises:
      TypeError: a coefficient is no number, schedule or tree of these; `sync_period` is a tree; `tx` is no
        transformation.
      ValueError: a coefficient is out of range, or (at init) its tree does not fit the params; or `velocity` is none of
        the two.

    Examples:
      Four steps of -1, of which every two are one outer step:

      >>> import jax.numpy as jnp, momentum_optax as mo
      >>> sgd = mo.heavy_ball(1.0, beta=0.0)
      >>> tx = mo.outer_momentum(sgd, 2, outer_learning_rate=1.0, outer_beta=0.5, nesterov=False)
      >>> params = jnp.zeros(())
      >>> state = tx.init(params)
      >>> for _ in range(4):
      ...     update, state = tx.update(jnp.ones(()), state, params)
      ...     params = mo.apply_updates(params, update)
      ...     print(params)
      -1.0
      -2.0
      -3.0
      -5.0

    References:
      Wang, Tantia, Ballas and Rabbat (2019), "SlowMo: Improving Communication-Efficient Distributed SGD with Slow
      Momentum". https://arxiv.org/abs/1910.00643
      Douillard et al. (2023), "DiLoCo: Distributed Low-Communication Training of Language Models".
      https://arxiv.org/abs/2311.08105
    """
    sync_period = coefficient.single("sync_period", sync_period, coefficient.AT_LEAST_ONE)
    outer_learning_rate = coefficient.check("outer_learning_rate", outer_learning_rate, coefficient.NON_NEGATIVE)
    outer_beta = coefficient.check("outer_beta", outer_beta)
    inner_learning_rate = coefficient.check("inner_learning_rate", inner_learning_rate, coefficient.POSITIVE)
    choice("velocity", velocity, ("keep", "reset"))
    optimizer = extended(tx)

    def init(params: optax.Params) -> OuterMomentumState:
        grouping.fit("outer_learning_rate", outer_learning_rate, params)
        grouping.fit("outer_beta", outer_beta, params)
        grouping.fit("inner_learning_rate", inner_learning_rate, params)
        outer = TraceState(zero_count(), leafwise.zeros(params, state_dtype, decay=outer_beta))
        slow = _slow.start(params, state_dtype)
        return OuterMomentumState(zero_count(), zero_count(), slow, outer, optimizer.init(params))

    def moved(gradient: Any, outer: TraceState, meets: jax.Array) -> tuple[TraceState, Any]:
        """`trace` at a meeting; elsewhere the velocity stays, and the direction is of no use.

        The direction is formed from the velocity that is kept, so that the one before need not be kept beside it.
        """
        count = increment(outer.count)
        now, ahead = coefficient.at(outer_beta, outer.count), coefficient.at(outer_beta, count)
        value, velocity = leafwise.remember(
            lambda g, v, b: jnp.where(meets, b * v + g, v), gradient, outer.velocity, now
        )
        direction = leafwise.emit(lambda g, v, b: b * v + g, gradient, (value,), ahead) if nesterov else value
        return TraceState(jnp.where(meets, count, outer.count), velocity), direction

    def update(updates, state: OuterMomentumState, params=None, **extra) -> tuple[optax.Updates, OuterMomentumState]:
        params = _slow.given(params, "outer_momentum")
        steps, inner = optimizer.update(updates, state.inner_state, params, **extra)
        meets, since = _slow.advance(state.since, sync_period, state.count)
        way = _slow.way(steps, params, state.slow)
        if axis_name is not None:
            way = _mean(way, axis_name, meets)
        inner_lr = coefficient.at(inner_learning_rate, state.count)
        outer_lr = coefficient.at(outer_learning_rate, state.outer.count)
        outer, direction = moved(leafwise.emit(lambda d, i: -d / i, way, (), inner_lr), state.outer, meets)
        led, slow = leafwise.remember(
            lambda d, s, o, i: jnp.where(meets, s - o * i * d, s), direction, state.slow, outer_lr, inner_lr
        )
        if velocity == "reset":
            inner = fade(inner, meets)
        steps = _slow.lead(steps, params, led, meets)
        return steps, OuterMomentumState(increment(state.count), since, slow, outer, inner)

    return transformation(init, update)
