"""More momentum when the loss has stopped falling."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .. import _coefficient as coefficient
from .._rule import Rule, Seen
from .._types import Scalar
from ..schedules._values import below_one
from ._numbers import AT_LEAST_ONE, FACTOR, number, ordered


class PlateauState(NamedTuple):
    """State of `plateau`; every field is `()`.

    Attributes:
      average: decaying sum of the losses.
      weight: sum of their weights; 0 before the first.
      best: the lowest smoothed loss so far.
      gap: `1 - beta`.
      waited: updates since the last improvement, action or rest.
      resting: updates that are left of the cooldown.
    """

    average: jax.Array
    weight: jax.Array
    best: jax.Array
    gap: jax.Array
    waited: jax.Array
    resting: jax.Array


class _Plateau(Rule):
    def __init__(self, numbers: dict[str, Any]):
        self.numbers = numbers
        self.start = {"beta": numbers["start"]}

    def __repr__(self) -> str:
        return f"rules.plateau(start={self.numbers['start']}, high={self.numbers['high']})"

    def init(self) -> PlateauState:
        zero = jnp.zeros(())
        return PlateauState(zero, zero, zero, 1 - jnp.asarray(self.numbers["start"]), zero, zero)

    def decide(self, state: PlateauState, seen: Seen):
        n = self.numbers
        weight = n["decay"] * state.weight + (1 - n["decay"])
        average = n["decay"] * state.average + (1 - n["decay"]) * _loss(seen)
        loss = average / weight
        improved = (state.weight == 0) | (loss < state.best - n["rtol"] * jnp.abs(state.best) - n["atol"])
        rests = state.resting > 0
        waited = jnp.where(improved, 0, state.waited + 1)
        acts = ~rests & (waited >= n["patience"])
        gap = jnp.where(acts, jnp.maximum(state.gap * n["factor"], 1 - n["high"]), state.gap)
        new = PlateauState(
            average=average,
            weight=weight,
            best=jnp.where(improved, loss, state.best),
            gap=gap,
            waited=jnp.where(rests | acts, 0, waited),
            resting=jnp.where(acts, n["cooldown"], jnp.maximum(state.resting - 1, 0)),
        )
        return {"beta": below_one(1 - gap)}, new


def _loss(seen: Seen) -> jax.Array:
    if seen.value is None:
        raise ValueError(
            f"{seen.where} is rules.plateau, which needs value: call update(updates, state, params, value=loss)."
        )
    if jnp.shape(seen.value) != ():
        raise ValueError(f"value must be one number, the loss; got shape {jnp.shape(seen.value)}.")
    return jnp.asarray(seen.value, jnp.result_type(float))


def plateau(
    start: Scalar = 0.9,
    high: Scalar = 0.999,
    factor: Scalar = 0.5,
    patience: Scalar = 10,
    *,
    rtol: Scalar = 1e-4,
    atol: Scalar = 0.0,
    cooldown: Scalar = 0,
    decay: Scalar = 0.0,
) -> Rule:
    """Beta that rises when the loss has not fallen for a while.

    With `loss` the average of `value` with weights that decay by `decay`, at every update that does not rest:

        improved <- loss < best - rtol * |best| - atol
        waited   <- 0 if improved, waited + 1 if not
        1 - beta <- max(factor * (1 - beta), 1 - high) if waited reaches patience, which starts it and a cooldown anew

    The counterpart for beta of a learning rate that is reduced on a plateau: under constant gradients the sum of the
    velocity grows by `1 / factor`, as it shrinks by `factor` there, and noise is averaged over a longer time. It acts
    as `optax.contrib.reduce_on_plateau` does, whose names the arguments have; `value` is seen at every update, so that
    for a loss of minibatches `decay` is to be near 1.

    A loss that is not finite is not counted. It keeps no array and costs a few operations on numbers.

    Args:
      start: beta until the first plateau, in [0, 1), at most `high`.
      high: the largest beta, in [0, 1).
      factor: by what `1 - beta` is multiplied, in (0, 1).
      patience: how many updates without improvement are a plateau, at least 1.
      rtol: which part of the best loss an improvement has to be, in [0, 1].
      atol: how much it has to be besides, finite and at least 0.
      cooldown: updates to rest after acting, finite and at least 0.
      decay: how much of the average of the losses survives an update, in [0, 1); 0 takes each as it is.

    Returns:
      A rule, for the place of a coefficient. The `update` of the method then needs `value=`, the loss, and raises a
      ValueError without it.

    Raises:
      TypeError: an argument is no number.
      ValueError: an argument is out of range.

    Examples:
      The loss stays at 1:

      >>> import jax.numpy as jnp, momentum_optax as mo
      >>> tx = mo.heavy_ball(0.1, beta=mo.rules.plateau(start=0.5, patience=2))
      >>> state = tx.init(jnp.zeros(()))
      >>> for _ in range(5):
      ...     update, state = tx.update(jnp.ones(()), state, value=1.0)
      ...     print(state.values["beta"])
      0.5
      0.5
      0.75
      0.75
      0.875

    References:
      Optax, `optax.contrib.reduce_on_plateau`.
      https://optax.readthedocs.io/en/latest/api/contrib.html#optax.contrib.reduce_on_plateau
    """
    numbers = {
        "start": number("start", start),
        "high": number("high", high),
        "factor": number("factor", factor, FACTOR),
        "patience": number("patience", patience, AT_LEAST_ONE),
        "rtol": number("rtol", rtol, coefficient.FRACTION),
        "atol": number("atol", atol, coefficient.NON_NEGATIVE),
        "cooldown": number("cooldown", cooldown, coefficient.NON_NEGATIVE),
        "decay": number("decay", decay),
    }
    ordered(start=numbers["start"], high=numbers["high"])
    return _Plateau(numbers)
