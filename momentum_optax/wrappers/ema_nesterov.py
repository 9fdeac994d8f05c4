"""Nesterov's lookahead along an average of the way so far (Yau et al., 2026)."""

from typing import Any, NamedTuple

import jax
import optax

from .. import _coefficient as coefficient
from .. import _grouping as grouping
from .. import _leafwise as leafwise
from .._transformation import extended, increment, transformation, zero_count
from .._types import Coefficient


class EmaNesterovState(NamedTuple):
    """State of `ema_nesterov`.

    Attributes:
      count: `()` int32, updates so far.
      velocity: moving average of how far `theta` went in a step; shaped like the params.
      ahead: `()` for each coefficient: the beta by which the params are ahead, `params = theta + ahead * velocity`.
      inner_state: state of the inner optimizer.
    """

    count: jax.Array
    velocity: Any
    ahead: Any
    inner_state: Any

    def eval_params(self, params: optax.Params) -> optax.Params:
        """`params - ahead * velocity`: the point that is looked ahead from."""
        return leafwise.shift(params, self.velocity, self.ahead, sign=-1)


def ema_nesterov(
    tx: optax.GradientTransformation,
    beta: Coefficient = 0.5,
    gamma: Coefficient = 0.99,
    *,
    state_dtype: jax.typing.DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Lets any optimizer step from ahead of where it is, along the average direction of its way so far.

    Nesterov's method looks ahead along its last step, which is noise for the most part; this one along an average of
    hundreds. The params *are* the points ahead, at which the gradient is taken and which the inner optimizer sees. With
    its update `u` at `params = theta + beta(count) * velocity`:

        next     <- params + u
        velocity <- gamma * velocity + (1 - gamma) * (next - theta)
        theta    <- next
        params   <- theta + beta(count + 1) * velocity

    `eval_params(state, params)` returns `theta`, at which to evaluate. `gamma = 0` around gradient descent is
    `nesterov`. One array beside the inner state: `theta` is not kept.

    The authors let `beta` fall with the learning rate, `beta * learning_rate / highest learning rate`, and be 0 in the
    first tenth of the run and in the last quarter or third: a schedule. It goes around a whole optimizer, which must
    not train elsewhere itself.

    Args:
      tx: the inner optimizer; sees the params and everything passed to `update`.
      beta: how far to look ahead, in units of a mean step over `1 - gamma` of them, in [0, 1); .3 to .6 in the authors'
        runs. A number, a schedule or a tree; where it is a plain 0, no velocity is kept.
      gamma: how much of the average survives a step, in [0, 1); a number, a schedule or a tree.
      state_dtype: dtype of `velocity`; `None` keeps the dtype of each param.

    Returns:
      An optimizer that passes `params` and extra arguments on.

    Raises:
      TypeError: `tx` is no transformation, or a coefficient no number, schedule or tree of these.
      ValueError: a coefficient is out of range, or (at init) its tree does not fit the params.

    Examples:
      Steps of -1 at a constant gradient; the average fills up, and the params are more and more ahead:

      >>> import jax.numpy as jnp, momentum_optax as mo
      >>> tx = mo.ema_nesterov(mo.heavy_ball(1.0, beta=0.0), beta=0.5, gamma=0.5)
      >>> params = jnp.zeros(())
      >>> state = tx.init(params)
      >>> for _ in range(3):
      ...     update, state = tx.update(jnp.ones(()), state, params)
      ...     params = mo.apply_updates(params, update)
      ...     print(params, mo.eval_params(state, params))
      -1.25 -1.0
      -2.6875 -2.25
      -4.265625 -3.6875

    References:
      Yau, Li, Glentis, Boreiko, Wai and Hong (2026), "EMA-Nesterov: Stabilizing Nesterov's Lookahead for Accelerated
      Deep Learning Optimization". https://arxiv.org/abs/2605.25395
    """
    beta, gamma = coefficient.check("beta", beta), coefficient.check("gamma", gamma)
    inner = extended(tx)

    def init(params: optax.Params) -> EmaNesterovState:
        grouping.fit("beta", beta, params)
        grouping.fit("gamma", gamma, params)
        count = zero_count()
        ahead = coefficient.stored(coefficient.at(beta, count))
        velocity = leafwise.zeros(params, state_dtype, decay=beta)
        return EmaNesterovState(count, velocity, ahead, inner.init(params))

    def update(updates, state: EmaNesterovState, params=None, **extra) -> tuple[optax.Updates, EmaNesterovState]:
        wide = leafwise.widen_tree(updates)  # so that nothing is rounded between the two
        steps, inner_state = inner.update(wide, state.inner_state, params, **extra)
        count = increment(state.count)
        # next - theta = ahead * velocity + step
        value, velocity = leafwise.remember(
            lambda s, v, a, c: (c + (1 - c) * a) * v + (1 - c) * s,
            steps,
            state.velocity,
            state.ahead,
            coefficient.at(gamma, state.count),
        )
        ahead = grouping.advance(lambda _, b: b, steps, state.ahead, coefficient.at(beta, count))
        updates = leafwise.emit(lambda _, s, v, a: a * v + s, updates, (steps, value), ahead)
        return updates, EmaNesterovState(count, velocity, ahead, leafwise.like(inner_state, state.inner_state))

    return transformation(init, update)
