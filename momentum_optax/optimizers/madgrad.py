"""Momentumized, adaptive dual averaging (Defazio and Jelassi, 2021)."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from .. import _coefficient as coefficient
from .. import _grouping as grouping
from .. import _leafwise as leafwise
from .._adaptive import adaptive
from .._finish import add_decayed_weights, join
from .._transformation import increment, transformation, zero_count
from .._types import Coefficient, Mask
from ..directions.cube_root_sum import cube_root


class MadgradState(NamedTuple):
    """State of the steps of `madgrad`.

    Attributes:
      count: `()` int32, updates so far.
      gradients: weighted sum of gradients; shaped like the params.
      squares: weighted sum of squared magnitudes; real, shaped like the params.
      start: the params that `init` saw.
    """

    count: jax.Array
    gradients: Any
    squares: Any
    start: Any


@adaptive
def madgrad(
    learning_rate: Coefficient,
    momentum: Coefficient = 0.9,
    weight_decay: Coefficient = 0.0,
    eps: Coefficient = 1e-6,
    *,
    mask: Mask | None = None,
    state_dtype: jax.typing.DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """MADGRAD: from the start along the sum of all gradients, divided by a cube root, and averaged over the iterates.

    With gradient `g`, starting from `gradients = squares = 0` and `start = params`:

        g         <- g + weight_decay * params
        scale     <- (learning_rate + eps) * sqrt(count + 1)
        gradients <- gradients + scale * g
        squares   <- squares + scale * |g|^2
        point     <- start - gradients / (cbrt(squares) + eps)
        params    <- momentum * params + (1 - momentum) * point

    The arguments and the numbers are those of `optax.contrib.madgrad` and of the authors' code, from which the `eps` in
    `scale` is; Optax takes the root of the count in float32. No velocity decays here: `reset` and its kin find none,
    because params that lose their sum go back to the start. A learning rate that changes counts from then on.

    Args:
      learning_rate: finite and at least 0; a number, a schedule, or a tree of these. Not comparable to that of others.
      momentum: how much of the params survives a step, in [0, 1).
      weight_decay: that share of the params is added to the gradient; the authors need less than others, often none.
      eps: added to the root and to the learning rate; finite and at least 0. At 0, what had no gradient yet stays where
        it is.
      mask: see `heavy_ball`.
      state_dtype: dtype of the sums; `None` keeps the dtype of each param. `start` always has the param's.

    Returns:
      An optimizer whose `update` needs the params, and raises a ValueError without them.

    Raises:
      TypeError: a coefficient is no number, schedule or tree of these.
      ValueError: a coefficient is out of range, or (at init) its tree does not fit the params.

    References:
      Defazio and Jelassi (2021), "Adaptivity without Compromise: A Momentumized, Adaptive, Dual Averaged Gradient
      Method for Stochastic Optimization". https://arxiv.org/abs/2101.11075
    """
    none = weight_decay is None or coefficient.is_zero(weight_decay)
    decay = [] if none else [add_decayed_weights(weight_decay, mask)]
    return join(*decay, _steps(learning_rate, momentum, eps, state_dtype))


def _start(params: optax.Params) -> Any:
    """The params in buffers of their own."""

    def leaf(zero, p):
        # Where only shapes are asked for, there is nothing to copy.
        return zero if isinstance(p, jax.ShapeDtypeStruct) else zero + jnp.asarray(p, zero.dtype)

    return jax.tree.map(leaf, leafwise.zeros(params), params)


def _steps(
    learning_rate: Coefficient, momentum: Coefficient, eps: Coefficient, state_dtype: jax.typing.DTypeLike | None
) -> optax.GradientTransformationExtraArgs:
    learning_rate = coefficient.check("learning_rate", learning_rate, coefficient.NON_NEGATIVE)
    momentum = coefficient.check("momentum", momentum)
    eps = coefficient.check("eps", eps, coefficient.NON_NEGATIVE)

    def init(params: optax.Params) -> MadgradState:
        for name, value in (("learning_rate", learning_rate), ("momentum", momentum), ("eps", eps)):
            grouping.fit(name, value, params)
        gradients = leafwise.zeros(params, state_dtype)
        squares = leafwise.zeros(params, state_dtype, real=True)
        return MadgradState(zero_count(), gradients, squares, _start(params))

    def update(updates, state: MadgradState, params=None, **extra) -> tuple[optax.Updates, MadgradState]:
        del extra
        if params is None:
            raise ValueError("madgrad needs the params: call update(updates, state, params).")
        # Of a float, and not of the count: the root of an int32 is a float32.
        growth = jnp.sqrt(state.count.astype(jnp.result_type(float)) + 1)
        rates, small = coefficient.at(learning_rate, state.count), coefficient.at(eps, state.count)

        def scale(lr, e):
            return (lr + e) * growth

        sums, gradients = leafwise.remember(
            lambda g, s, lr, e: s + scale(lr, e) * g, updates, state.gradients, rates, small
        )
        sizes, squares = leafwise.remember(
            lambda g, s, lr, e: s + scale(lr, e) * (g * g.conj()).real, updates, state.squares, rates, small
        )

        def step(g, p, origin, s, q, m, e):
            size = cube_root(q) + e
            return (1 - m) * ((origin - p) - s / jnp.where(size == 0, 1, size))

        updates = leafwise.emit(
            step,
            updates,
            (params, state.start, sums, sizes),
            coefficient.at(momentum, state.count),
            small,
        )
        return updates, MadgradState(increment(state.count), gradients, squares, state.start)

    return transformation(init, update)
