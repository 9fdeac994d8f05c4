"""Momentum scaled by how sure it is (Balles and Hennig, 2018)."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from .. import _coefficient as coefficient
from .. import _grouping as grouping
from .. import _leafwise as leafwise
from .._adaptive import adaptive
from .._finish import finish
from .._transformation import increment, transformation, zero_count
from .._types import Coefficient, Mask
from ..filters.ema import average


class MsvagState(NamedTuple):
    """State of `scale_by_msvag`.

    Attributes:
      count: `()` int32, updates so far.
      velocity: moving average of gradients; shaped like the params.
      second_moment: moving average of squared magnitudes; real, shaped like the params.
      weight: `()` for each coefficient: 1 minus the product of all betas so far.
      norm: `()` for each coefficient: the Euclidean norm of the weights that the gradients so far have in the averages.
    """

    count: jax.Array
    velocity: Any
    second_moment: Any
    weight: Any
    norm: Any


def _odds(weight: Any, norm: Any) -> Any:
    """`rho / (1 - rho)`, where `rho` is the variance of the average in units of that of a gradient.

    As in the authors' code `rho` is at most .999; and of a single gradient no variance is known.
    """
    rho = (norm / weight) ** 2
    capped = jnp.minimum(rho, 0.999)
    return jnp.where(rho < 1, capped / (1 - capped), 0.0)


@adaptive
def scale_by_msvag(
    beta: Coefficient = 0.9, *, state_dtype: jax.typing.DTypeLike | None = None
) -> optax.GradientTransformationExtraArgs:
    """The direction of `msvag`: the debiased average of gradients, smaller where they vary.

    Args:
      beta: see `msvag`.
      state_dtype: see `heavy_ball`.
    """
    beta = coefficient.check("beta", beta)

    def init(params: optax.Params) -> MsvagState:
        grouping.fit("beta", beta, params)
        return MsvagState(
            zero_count(),
            leafwise.zeros(params, state_dtype, decay=beta),
            leafwise.zeros(params, state_dtype, decay=beta, real=True),
            coefficient.zeros(beta),
            coefficient.zeros(beta),
        )

    def update(updates, state: MsvagState, params=None, **extra) -> tuple[optax.Updates, MsvagState]:
        del params, extra
        now = coefficient.at(beta, state.count)
        weight = grouping.advance(average, updates, state.weight, now)
        norm = grouping.advance(lambda n, b: jnp.sqrt((b * n) ** 2 + (1 - b) ** 2), updates, state.norm, now)
        first, velocity = leafwise.remember(lambda g, v, b: average(v, b, g), updates, state.velocity, now)
        second, second_moment = leafwise.remember(
            lambda g, s, b: average(s, b, (g * g.conj()).real), updates, state.second_moment, now
        )

        def shrunk(g, v, s, inverse, odds):
            m = v * inverse
            square = (m * m.conj()).real
            whole = square + odds * jnp.maximum(s * inverse - square, 0)
            return m * (square / jnp.where(whole == 0, 1, whole))

        updates = leafwise.emit(
            shrunk,
            updates,
            (first, second),
            jax.tree.map(lambda w: 1 / w, weight),
            jax.tree.map(_odds, weight, norm),
        )
        return updates, MsvagState(increment(state.count), velocity, second_moment, weight, norm)

    return transformation(init, update)


@adaptive
def msvag(
    learning_rate: Coefficient,
    beta: Coefficient = 0.9,
    *,
    weight_decay: Coefficient = None,
    mask: Mask | None = None,
    state_dtype: jax.typing.DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """M-SVAG: momentum with Adam's caution about noise, and without its sign.

    With gradient `g`, starting from 0, and with `m = velocity / weight` and `rho = (norm / weight)^2`:

        velocity      <- beta * velocity + (1 - beta) * g
        second_moment <- beta * second_moment + (1 - beta) * |g|^2
        weight        <- beta * weight + (1 - beta)
        norm          <- sqrt((beta * norm)^2 + (1 - beta)^2)
        variance      <- (second_moment / weight - |m|^2) / (1 - rho)
        params        <- params - learning_rate * |m|^2 / (|m|^2 + rho * variance) * m

    `rho * variance` estimates the variance of `m`, so that the factor is what brings `m` closest to the mean gradient.
    `rho` is the sum of the squared weights of the gradients in `m`: the paper's formula for a constant `beta`, and
    exact under every schedule. There is no `eps`; where all gradients were 0, so is the step.

    Args:
      learning_rate: see `heavy_ball`; good values are those of `ema_momentum`.
      beta: how much of the averages survives a step, in [0, 1); at 0 this is gradient descent.
      weight_decay: see `heavy_ball`.
      mask: see `heavy_ball`.
      state_dtype: see `heavy_ball`.

    Returns:
      An optimizer, ready for `init` and `update`.

    Raises:
      TypeError: a coefficient is no number, schedule or tree of these.
      ValueError: a coefficient is out of range, or (at init) its tree does not fit the params.

    References:
      Balles and Hennig (2018), "Dissecting Adam: The Sign, Magnitude and Variance of Stochastic Gradients".
      https://arxiv.org/abs/1705.07774
    """
    return finish(scale_by_msvag(beta, state_dtype=state_dtype), learning_rate, weight_decay, mask)
