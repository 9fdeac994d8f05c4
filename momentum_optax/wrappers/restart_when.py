"""Momentum that begins anew when it does harm."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax

from .. import _coefficient as coefficient
from .. import _leafwise as leafwise
from .. import _sums as sums
from .._transformation import extended, increment, transformation, zero_count
from .._types import Scalar, Schedule
from ._restarting import moved, settle, start

_RULES = ("gradient", "function", "speed")


class RestartWhenState(NamedTuple):
    """State of `restart_when`.

    Attributes:
      count: `()` int32, updates so far.
      since: `()` int32, updates since the last restart.
      restarts: `()` int32, restarts so far.
      last: `()`, what the next update is compared with: the last value for `"function"`, the length of the last step
        for `"speed"`, 0 otherwise.
      inner_state: of the transformation inside.
    """

    count: jax.Array
    since: jax.Array
    restarts: jax.Array
    last: jax.Array
    inner_state: Any


def _check_rule(when: Any) -> None:
    if isinstance(when, str) and when in _RULES:
        return
    accepted = f"when must be one of {', '.join(map(repr, _RULES))}, or a function of the count that returns a bool"
    if isinstance(when, str) or not coefficient.is_schedule(when):
        raise (ValueError if isinstance(when, str) else TypeError)(f"{accepted}; got {when!r}.")
    value = jax.eval_shape(when, jnp.zeros((), jnp.result_type(int)))
    if getattr(value, "dtype", None) != jnp.bool_ or value.shape != ():
        raise ValueError(f"{accepted}; got a function that returns {value!r}.")


def restart_when(
    tx: optax.GradientTransformation,
    when: Literal["gradient", "function", "speed"] | Callable[[Any], Any],
    *,
    keep: Scalar | Schedule = 0.0,
    min_steps: Scalar | Schedule | None = None,
    second_moments: bool = False,
    counts: bool | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Lets the velocities of a transformation begin anew whenever momentum does harm.

    With gradient `g`, and `step` from the answer before the update to the one after it (`eval_params`; for most methods
    the update itself), the method restarts after the update if

        <g, step> > 0                    ("gradient": the step went uphill)
        value > last value               ("function": the loss rose)
        |step| < |last step|             ("speed": it slowed down)
        when(count + 1)                  (a function of the count: the coming update is to begin without a past)

    and at least `min_steps` updates were made since the last restart. What a restart does is said at `restart_every`;
    one decision is made for all leaves, from those that have a gradient. With the sequences of Nesterov, rules of this
    kind come close to a momentum tuned to the curvature, and ask for no constants.

    Noisy gradients mislead all three rules: a step holds the noise of its own gradient with the other sign, so that
    `"gradient"` hardly ever fires, and a noisy loss rises at every other update, so that `"function"` leaves little
    more than gradient descent. Use them for full or large batches, or give a function of the count.

    Args:
      tx: any optimizer with a velocity, ours or Optax's, with its learning rate: the direction alone goes uphill at
        every step, and `"gradient"` would always restart.
      when: the rule. `"function"` asks for the loss, `update(..., value=loss)`, where the gradient was taken.
      keep: how much of the velocity survives a restart, in [0, 1].
      min_steps: updates from one restart to the next, at least; `None` for 10 with `"speed"`, which at the start of a
        run would fire at once, and for 1 otherwise.
      second_moments: whether second moments begin anew, too.
      counts: whether the counts beside velocities do, so that a schedule of beta such as `nesterov_sequence` begins
        again. `None` for True with the three rules, and for False with a function of the count, whose schedules know
        the count already.

    Returns:
      A transformation that passes `params` and extra arguments on; `update` needs `params` only if those of `tx` are
      ahead of its answer. It raises a ValueError if the rule is `"function"` and there is no `value`.

    Raises:
      TypeError: `tx` is no transformation, `when` no rule, or an argument no number or schedule.
      ValueError: `when` is no known rule or returns no bool, an argument is out of range, or (at init) `tx` keeps no
        velocity.

    Examples:
      Once the minimum of `x^2 / 2` is passed, the velocity is forgotten:

      >>> import jax.numpy as jnp, momentum_optax as mo
      >>> from momentum_optax.wrappers import restart_when
      >>> tx, x = restart_when(mo.heavy_ball(0.25, beta=0.75), "gradient"), jnp.ones(())
      >>> state = tx.init(x)
      >>> for _ in range(5):
      ...     update, state = tx.update(x, state, x)
      ...     x = x + update
      ...     print(f"{x:.4f}", state.restarts)
      0.7500 0
      0.3750 0
      0.0000 0
      -0.2812 0
      -0.4219 1

    References:
      O'Donoghue and Candes (2015), "Adaptive Restart for Accelerated Gradient Schemes", Section 3.2.
      https://arxiv.org/abs/1204.3982
      Su, Boyd and Candes (2016), "A Differential Equation for Modeling Nesterov's Accelerated Gradient Method: Theory
      and Insights", Algorithm 1 (speed). https://jmlr.org/papers/v17/15-084.html
    """
    inner = extended(tx)
    _check_rule(when)
    keep = coefficient.single("keep", keep, coefficient.FRACTION)
    if min_steps is None:
        min_steps = 10 if when == "speed" else 1
    least = coefficient.single("min_steps", min_steps, coefficient.AT_LEAST_ONE)
    anew = isinstance(when, str) if counts is None else counts

    def init(params: optax.Params) -> RestartWhenState:
        first = jnp.inf if when == "function" else 0.0
        last = jnp.asarray(first, jnp.result_type(float))
        return RestartWhenState(zero_count(), zero_count(), zero_count(), last, start(inner, params))

    def update(updates, state: RestartWhenState, params=None, **extra) -> tuple[optax.Updates, RestartWhenState]:
        gradients, last = updates, state.last
        updates, new = inner.update(gradients, state.inner_state, params, **extra)
        if when == "function":
            if extra.get("value") is None:
                raise ValueError("restart_when('function') needs the loss: update(updates, state, params, value=loss).")
            last = jnp.real(jnp.asarray(extra["value"])).astype(last.dtype)
            harmful = last > state.last
        elif isinstance(when, str):
            step = moved(updates, state.inner_state, new, params)
            if when == "gradient":
                harmful = sums.inner_product(gradients, step) > 0
            else:
                last = leafwise.root(sums.inner_product(step, step)).astype(last.dtype)
                harmful = last < state.last
        else:
            harmful = when(increment(state.count).astype(jnp.result_type(int)))
        since = increment(state.since)
        fire = jnp.logical_and(harmful, since >= coefficient.at(least, state.count))
        kept = coefficient.at(keep, state.count)
        updates, new = settle(fire, updates, new, params, kept, second_moments=second_moments, counts=anew)
        restarts = jnp.where(fire, increment(state.restarts), state.restarts)
        since = jnp.where(fire, jnp.zeros_like(since), since)
        return updates, RestartWhenState(increment(state.count), since, restarts, last, new)

    return transformation(init, update)
