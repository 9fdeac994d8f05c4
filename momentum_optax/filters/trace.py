"""The decaying sum of gradients (Polyak, 1964)."""

from typing import Any, NamedTuple

import jax
import optax

from .. import _coefficient as coefficient
from .. import _grouping as grouping
from .. import _leafwise as leafwise
from .._adaptive import adaptive
from .._transformation import increment, transformation, zero_count
from .._types import Coefficient


class TraceState(NamedTuple):
    """State of `trace`.

    Attributes:
      count: `()` int32, updates so far.
      velocity: decaying sum of gradients; shaped like the params.
    """

    count: jax.Array
    velocity: Any


@adaptive
def trace(
    beta: Coefficient,
    *,
    nesterov: bool = False,
    dampening: Coefficient = 0.0,
    state_dtype: jax.typing.DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Replaces each gradient by a decaying sum of all gradients so far.

    For every leaf, with gradient `g`, starting from `velocity = 0`, at the count that the update sees:

        velocity <- beta(count) * velocity + (1 - dampening) * g
        update   <- velocity                                                     (plain)
        update   <- (1 - dampening) * g + beta(count + 1) * velocity             (nesterov)

    A constant gradient is amplified by `1 / (1 - beta)` in the long run. With `nesterov` the params are the lookahead
    points, and because the extrapolation uses the *next* beta, this is Nesterov's method under every schedule. A rule
    does not know what it will decide next: here it extrapolates by the present value, in `nesterov` it is exact.

    Args:
      beta: how much of the past survives a step, in [0, 1); where it is a plain 0, no velocity is kept.
      nesterov: whether to look ahead.
      dampening: how much of the new gradient is left out, in [0, 1].
      state_dtype: dtype of `velocity`; `None` keeps the dtype of each param.

    Returns:
      A transformation that ignores `params`. `update` raises a ValueError if the updates do not fit the state.

    Raises:
      TypeError: a coefficient is no number, schedule or tree of these.
      ValueError: a coefficient is out of range, or (at init) its tree does not fit the params.

    Examples:
      With gradient 1 throughout, the velocity grows to 2:

      >>> import jax.numpy as jnp, momentum_optax as mo
      >>> tx = mo.trace(0.5)
      >>> state = tx.init(jnp.zeros(()))
      >>> for _ in range(3):
      ...     update, state = tx.update(jnp.ones(()), state)
      ...     print(update)
      1.0
      1.5
      1.75

    References:
      Polyak (1964), "Some methods of speeding up the convergence of iteration methods".
      https://doi.org/10.1016/0041-5553(64)90137-5
      Sutskever, Martens, Dahl and Hinton (2013), "On the importance of initialization and momentum in deep learning".
      https://proceedings.mlr.press/v28/sutskever13.html
    """
    beta = coefficient.check("beta", beta)
    dampening = coefficient.check("dampening", dampening, coefficient.FRACTION)

    def init(params: optax.Params) -> TraceState:
        grouping.fit("beta", beta, params)
        grouping.fit("dampening", dampening, params)
        return TraceState(zero_count(), leafwise.zeros(params, state_dtype, decay=beta))

    def update(updates, state: TraceState, params=None, **extra) -> tuple[optax.Updates, TraceState]:
        del params, extra
        count = increment(state.count)
        now, damp = coefficient.at(beta, state.count), coefficient.at(dampening, state.count)

        def damped(g, d):
            return g if coefficient.is_zero(d) else (1 - d) * g

        value, velocity = leafwise.remember(lambda g, v, b, d: b * v + damped(g, d), updates, state.velocity, now, damp)
        if nesterov:
            ahead = coefficient.at(beta, count)
            updates = leafwise.emit(lambda g, v, b, d: b * v + damped(g, d), updates, (value,), ahead, damp)
        else:
            updates = leafwise.emit(lambda g, v: v, updates, (value,))
        return updates, TraceState(count, velocity)

    return transformation(init, update)
