"""Slow weights that follow the params (Zhang et al., 2019)."""

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax

from .. import _coefficient as coefficient
from .. import _grouping as grouping
from .. import _leafwise as leafwise
from .._arguments import choice
from .._memories import beside, fade, fields, map_holders
from .._transformation import extended, increment, transformation, zero_count
from .._types import Scalar, Schedule
from . import _slow

Velocity = Literal["keep", "reset", "pull back"]


class SlowVelocitiesState(NamedTuple):
    """What velocities are pulled back to, in `lookahead`.

    Attributes:
      inner_state: the state of the transformation inside, as it was when the weights last met; of it, there are only
        the velocities and what begins anew with them.
    """

    inner_state: Any


class LookaheadState(NamedTuple):
    """State of `lookahead`.

    Attributes:
      count: `()` int32, updates so far.
      since: `()` int32, updates since fast and slow weights last met.
      slow: the slow weights; shaped like the params.
      slow_velocities: the velocities of the inner transformation as they were when the weights last met; empty unless
        they are pulled back.
      inner_state: state of the inner transformation.
    """

    count: jax.Array
    since: jax.Array
    slow: Any
    slow_velocities: Any
    inner_state: Any

    def eval_params(self, params: optax.Params) -> optax.Params:
        """The slow weights."""
        return _slow.answer(self.slow, params)


def _pulled(node: Any) -> list[str]:
    """The fields of a state to pull back; the weight of an average mixes as the average does."""
    return [name for name, kind in (fields(node) | beside(node)).items() if kind == "velocity"]


def _velocities(state: Any) -> SlowVelocitiesState:
    """What there is to pull back, wherever it is in a state."""

    def holder(node):
        return node._replace(**dict.fromkeys(set(node._fields) - set(_pulled(node)), leafwise.NoMemory()))

    return SlowVelocitiesState(map_holders(holder, state, others=lambda leaf: leafwise.NoMemory()))


def _pull_back(state: Any, slow_velocities: SlowVelocitiesState, step: Any) -> Any:
    """The state whose velocities are on the way from the slow ones, by a step of 1 where they were."""
    holders: list[Any] = []
    map_holders(holders.append, slow_velocities.inner_state)
    slow = iter(holders)

    def mixed(old, new):
        wide = leafwise.widen(old)
        return leafwise.narrow(wide + step * (leafwise.widen(new) - wide), new.dtype)

    def holder(node):
        old = next(slow)
        return node._replace(
            **{name: jax.tree.map(mixed, getattr(old, name), getattr(node, name)) for name in _pulled(node)}
        )

    return map_holders(holder, state)


def _met(followed: Any, slow: Any, steps: optax.Updates, params: optax.Params, meets: jax.Array) -> Any:
    """The slow weights that have `followed`, at a meeting by where the steps take the params, which is the same.

    The compiler then reads the new params. From the steps it would have to keep these, if they are dear to form.
    """

    def leaf(u, p, new, old):
        if u is None or new.dtype != jnp.result_type(p):
            return new
        return jnp.where(meets, leafwise.narrow(leafwise.widen(p) + leafwise.widen(u), new.dtype), old)

    return jax.tree.map(leaf, steps, params, followed, slow, is_leaf=grouping.is_none)


def lookahead(
    tx: optax.GradientTransformation,
    sync_period: Scalar | Schedule = 6,
    slow_step: Scalar | Schedule = 0.5,
    *,
    velocity: Velocity = "keep",
    state_dtype: jax.typing.DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Lets slow weights follow the params, and takes the params back to them every few updates.

    With the update `u` of the inner optimizer, starting from `slow = params`:

        params <- params + u

    and at every `sync_period`-th update after that

        slow   <- slow + slow_step * (params - slow)
        params <- slow

    `eval_params(state, params)` returns the slow weights, at which to evaluate. With `slow_step = 1` this is the inner
    optimizer. A leaf that has no gradient (`None`) at a meeting stays where it is, and meets its slow weights at the
    next.

    Unlike `optax.lookahead` it takes ordinary params. It goes around a whole optimizer: what comes after it in a chain
    would lead the params past the slow weights.

    Args:
      tx: the inner optimizer; sees the params and everything passed to `update`.
      sync_period: updates from one meeting of fast and slow weights to the next, at least 1; a number or a schedule.
      slow_step: how far the slow weights go towards the params, in [0, 1]; a number or a schedule.
      velocity: what happens at a meeting to the velocities inside `tx`, of all leaves: `"keep"` leaves them alone;
        `"reset"` makes them 0; `"pull back"` takes them, as the params, by `slow_step` from what they were after the
        last meeting towards what they are. What an average is debiased by follows, unless it is the count of updates.
        (A `reset` or `rescale` changes what they are pulled back to, too; a `transplant` does not.)
      state_dtype: dtype of the slow weights; `None` keeps the dtype of each param.

    Returns:
      An optimizer whose `update` needs `params` and raises a ValueError without them.

    Raises:
      TypeError: `sync_period` or `slow_step` is no number or schedule, or `tx` no transformation.
      ValueError: one of them is out of range, or `velocity` is none of the three.

    Examples:
      Two steps of -1 and half the way back:

      >>> import jax.numpy as jnp, momentum_optax as mo
      >>> tx = mo.lookahead(mo.heavy_ball(1.0, beta=0.0), sync_period=2)
      >>> params = jnp.zeros(())
      >>> state = tx.init(params)
      >>> for _ in range(4):
      ...     update, state = tx.update(jnp.ones(()), state, params)
      ...     params = mo.apply_updates(params, update)
      ...     print(params, mo.eval_params(state, params))
      -1.0 0.0
      -1.0 -1.0
      -2.0 -1.0
      -2.0 -2.0

    References:
      Zhang, Lucas, Hinton and Ba (2019), "Lookahead Optimizer: k steps forward, 1 step back".
      https://arxiv.org/abs/1907.08610
    """
    sync_period = coefficient.single("sync_period", sync_period, coefficient.AT_LEAST_ONE)
    slow_step = coefficient.single("slow_step", slow_step, coefficient.FRACTION)
    choice("velocity", velocity, ("keep", "reset", "pull back"))
    optimizer = extended(tx)

    def init(params: optax.Params) -> LookaheadState:
        inner = optimizer.init(params)
        velocities = jax.tree.map(jnp.copy, _velocities(inner)) if velocity == "pull back" else ()
        return LookaheadState(zero_count(), zero_count(), _slow.start(params, state_dtype), velocities, inner)

    def update(updates, state: LookaheadState, params=None, **extra) -> tuple[optax.Updates, LookaheadState]:
        params = _slow.given(params, "lookahead")
        steps, inner = optimizer.update(updates, state.inner_state, params, **extra)
        meets, since = _slow.advance(state.since, sync_period, state.count)
        step = coefficient.at(slow_step, state.count)
        followed, slow = leafwise.remember(
            lambda d, s, a: jnp.where(meets, s + a * d, s), _slow.way(steps, params, state.slow), state.slow, step
        )
        steps = _slow.lead(steps, params, followed, meets)
        slow = _met(slow, state.slow, steps, params, meets)
        velocities = state.slow_velocities
        if velocity == "reset":
            inner = fade(inner, meets)
        elif velocity == "pull back":

            def select(new, old):
                return jax.tree.map(lambda n, o: jnp.where(meets, n, o), new, old)

            inner = select(_pull_back(inner, velocities, step), inner)
            velocities = select(_velocities(inner), velocities)
        return steps, LookaheadState(increment(state.count), since, slow, velocities, inner)

    return transformation(init, update)
