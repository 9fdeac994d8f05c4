"""Lion (Chen et al., 2023), written from the new memory."""

import math
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax

from .. import _coefficient as coefficient
from .. import _grouping as grouping
from .. import _leafwise as leafwise
from .._adaptive import adaptive
from .._arguments import choice
from .._finish import finish
from .._transformation import increment, transformation, zero_count
from .._types import Coefficient, Mask
from ..directions.sign import sign_of
from ..filters.ema import average


class LionState(NamedTuple):
    """State of `scale_by_lion`.

    Attributes:
      count: `()` int32, updates so far.
      velocity: moving average of gradients with decay `b2`; shaped like the params.
    """

    count: jax.Array
    velocity: Any


@adaptive
def scale_by_lion(
    b1: Coefficient = 0.9,
    b2: Coefficient = 0.99,
    mu_dtype: jax.typing.DTypeLike | None = None,
    *,
    mode: Literal["hard", "smooth", "refined"] = "hard",
    smooth_beta: Coefficient = 1.0,
    state_dtype: jax.typing.DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """The direction of `lion`: the sign of an average that is more recent than the one it remembers.

    Lion looks at the old velocity, and an update that reads an old memory while the new one is written over it costs a
    copy of it. From the *new* velocity the same number is

        b1 * old + (1 - b1) * g = g + b1 / b2 * (velocity - g)

    which is what is computed. Rounding grows by `b1 / b2` on the way, so that a b2 that is not known to be 0 counts as
    the root of the precision of the velocity where it is below (3e-4 in float32): of two numbers one keeps half the
    digits each, and no form that sees only the new velocity could do better. At a plain 0 the velocity is the last
    gradient, nothing of the old one is left in it, and the old one is read.

    Args:
      b1: see `lion`.
      b2: see `lion`.
      mu_dtype: see `lion`.
      mode: what is made of the average `x`, as in Optax: "hard" its sign; "smooth" `tanh(smooth_beta * x)`; "refined"
        `x` cut off at 1. Only the first has steps that do not depend on the size of gradients.
      smooth_beta: 1 over the size at which a smooth sign becomes hard; finite and above 0.
      state_dtype: see `heavy_ball`.

    Raises:
      TypeError: a coefficient is no number, schedule or tree of these, or a dtype is not floating.
      ValueError: a coefficient is out of range, `mode` is none of the three, or (at init) a tree does not fit the
        params.
    """
    choice("mode", mode, ("hard", "smooth", "refined"))
    b1, b2 = coefficient.check("b1", b1), coefficient.check("b2", b2)
    smooth_beta = coefficient.check("smooth_beta", smooth_beta, coefficient.POSITIVE)
    dtype = leafwise.first_dtype(mu_dtype, state_dtype)
    last_gradients = any(map(coefficient.is_zero, jax.tree.leaves(b2)))

    def init(params: optax.Params) -> LionState:
        grouping.fit("b1", b1, params)
        grouping.fit("b2", b2, params)
        grouping.fit("smooth_beta", smooth_beta, params)
        return LionState(zero_count(), leafwise.zeros(params, dtype, decay=b1))

    def remembered(g, v, b):
        return g if coefficient.is_zero(b) else average(v, b, g)

    def mixed(g, new, old, recent, b):
        if coefficient.is_zero(recent):
            return g
        if coefficient.is_zero(b):
            return average(old, recent, g)
        return g + recent / b * (new - g)

    def direction(g, new, old, recent, b, steepness):
        x = mixed(g, new, old, recent, b)
        if mode == "refined":
            return x / jnp.maximum(jnp.abs(x), 1)
        return sign_of(x, 1 / steepness if mode == "smooth" else 0.0)

    def update(updates, state: LionState, params=None, **extra) -> tuple[optax.Updates, LionState]:
        del params, extra
        recent, now = coefficient.at(b1, state.count), _floored(coefficient.at(b2, state.count), state.velocity)
        value, velocity = leafwise.remember(remembered, updates, state.velocity, now)
        old = _kept(value, state.velocity) if last_gradients else value
        steepness = coefficient.at(smooth_beta, state.count)
        updates = leafwise.emit(direction, updates, (value, old), recent, now, steepness)
        return updates, LionState(increment(state.count), velocity)

    return transformation(init, update)


def _floored(b2: Any, velocity: Any) -> Any:
    """The values of b2, none of them between 0 and the root of the precision of the velocity, nor a 0 in disguise."""
    floor = max((math.sqrt(jnp.finfo(v.dtype).eps) for v in jax.tree.leaves(velocity)), default=0.0)

    def leaf(b):
        if coefficient.is_zero(b) or not floor:
            return b
        return max(b, floor) if isinstance(b, float) else jnp.maximum(b, floor)

    return jax.tree.map(leaf, b2)


def _kept(value: Any, velocity: Any) -> Any:
    """The velocity, with something in its place where there is none."""
    if isinstance(velocity, leafwise.NoMemory):
        return value
    return jax.tree.map(
        lambda new, old: new if isinstance(old, leafwise.NoMemory) else old, value, velocity, is_leaf=grouping.is_none
    )


@adaptive
def lion(
    learning_rate: Coefficient,
    b1: Coefficient = 0.9,
    b2: Coefficient = 0.99,
    mu_dtype: jax.typing.DTypeLike | None = None,
    weight_decay: Coefficient = 1e-3,
    mask: Mask | None = None,
    *,
    state_dtype: jax.typing.DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Lion: every number of the params moves by the learning rate, up or down; one memory.

    With gradient `g`, starting from `velocity = 0`:

        direction <- sign(b1 * velocity + (1 - b1) * g)
        velocity  <- b2 * velocity + (1 - b2) * g
        params    <- params - learning_rate * (direction + weight_decay * params)

    With `b1 = b2` it is `signum`. Good learning rates are 3 to 10 times smaller than those of `adamw`, good weight
    decays as much larger. The arguments are Optax's, in its order.

    Args:
      learning_rate: see `heavy_ball`; the distance of a step for each number.
      b1: how much of the velocity is in the direction, in [0, 1); at a plain 0 none is kept.
      b2: how much of the velocity survives a step, in [0, 1). See `scale_by_lion` for what happens close to 0.
      mu_dtype: dtype of `velocity`; `None` for `state_dtype`.
      weight_decay: see `heavy_ball`.
      mask: see `heavy_ball`.
      state_dtype: see `heavy_ball`.

    Returns:
      An optimizer, ready for `init` and `update`; with a weight decay that is no plain 0, `update` needs the params.

    Raises:
      TypeError: a coefficient is no number, schedule or tree of these, or a dtype is not floating.
      ValueError: a coefficient is out of range, or (at init) its tree does not fit the params.

    Examples:
      The newest gradient outweighs nine of the past when it is that much larger:

      >>> import jax.numpy as jnp, momentum_optax as mo
      >>> tx = mo.lion(0.5, b1=0.9, b2=0.0, weight_decay=None)
      >>> state = tx.init(jnp.zeros(2))
      >>> for g in ([1.0, 1.0], [-8.0, -10.0]):
      ...     update, state = tx.update(jnp.array(g), state)
      ...     print(update)
      [-0.5 -0.5]
      [-0.5  0.5]

    References:
      Chen et al. (2023), "Symbolic Discovery of Optimization Algorithms". https://arxiv.org/abs/2302.06675
    """
    return finish(scale_by_lion(b1, b2, mu_dtype, state_dtype=state_dtype), learning_rate, weight_decay, mask)
