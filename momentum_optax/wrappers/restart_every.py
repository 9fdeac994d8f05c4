"""Momentum that begins anew at fixed intervals."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from .. import _coefficient as coefficient
from .._transformation import extended, increment, transformation, zero_count
from .._types import Scalar, Schedule
from ._restarting import settle, start


class RestartEveryState(NamedTuple):
    """State of `restart_every`.

    Attributes:
      count: `()` int32, updates so far.
      since: `()` int32, updates since the last restart.
      restarts: `()` int32, restarts so far.
      inner_state: of the transformation inside.
    """

    count: jax.Array
    since: jax.Array
    restarts: jax.Array
    inner_state: Any


def restart_every(
    tx: optax.GradientTransformation,
    period: Scalar | Schedule,
    *,
    keep: Scalar | Schedule = 0.0,
    second_moments: bool = False,
    counts: bool = True,
) -> optax.GradientTransformationExtraArgs:
    """Lets the velocities of a transformation begin anew after every `period` updates.

    After update `period`, `2 * period` and so on, whose steps are taken as ever:

        velocity <- keep * velocity
        weight   <- keep * weight      (by which an average is debiased)
        count    <- 0                  (that the velocity's coefficients are scheduled by)

    Accelerated methods overshoot when their momentum is too large for the curvature at hand; a restart takes the
    momentum away. With params that are ahead of the answer (`nesterov`), the step before a restart ends at the answer,
    `eval_params`: that is where the method begins anew.

    Args:
      tx: any transformation with a velocity, ours or Optax's.
      period: updates from one restart to the next, at least 1; a number, traced or not, or a schedule.
      keep: how much of the velocity survives a restart, in [0, 1].
      second_moments: whether second moments begin anew, too.
      counts: whether the counts beside velocities do, so that a schedule of beta such as `nesterov_sequence` begins
        again. The learning rate's schedule goes on in either case.

    Returns:
      A transformation that passes `params` and extra arguments on; `update` needs `params` only if those of `tx` are
      ahead of its answer.

    Raises:
      TypeError: `tx` is no transformation, or an argument no number or schedule.
      ValueError: an argument is out of range, or (at init) `tx` keeps no velocity.

    Examples:
      >>> import jax.numpy as jnp, momentum_optax as mo
      >>> from momentum_optax.wrappers import restart_every
      >>> tx = restart_every(mo.heavy_ball(1.0, beta=0.5), period=2)
      >>> state = tx.init(jnp.zeros(()))
      >>> for _ in range(4):
      ...     update, state = tx.update(jnp.ones(()), state)
      ...     print(update)
      -1.0
      -1.5
      -1.0
      -1.5

    References:
      O'Donoghue and Candes (2015), "Adaptive Restart for Accelerated Gradient Schemes", Section 3.1.
      https://arxiv.org/abs/1204.3982
    """
    inner = extended(tx)
    period = coefficient.single("period", period, coefficient.AT_LEAST_ONE)
    keep = coefficient.single("keep", keep, coefficient.FRACTION)

    def init(params: optax.Params) -> RestartEveryState:
        return RestartEveryState(zero_count(), zero_count(), zero_count(), start(inner, params))

    def update(updates, state: RestartEveryState, params=None, **extra) -> tuple[optax.Updates, RestartEveryState]:
        updates, new = inner.update(updates, state.inner_state, params, **extra)
        since = increment(state.since)
        fire = since >= coefficient.at(period, state.count)
        kept = coefficient.at(keep, state.count)
        updates, new = settle(fire, updates, new, params, kept, second_moments=second_moments, counts=counts)
        restarts = jnp.where(fire, increment(state.restarts), state.restarts)
        since = jnp.where(fire, jnp.zeros_like(since), since)
        return updates, RestartEveryState(increment(state.count), since, restarts, new)

    return transformation(init, update)
