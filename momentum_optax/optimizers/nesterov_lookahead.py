"""Nesterov's accelerated gradient, with the gradient taken ahead of the params (Nesterov, 1983)."""

from typing import Any, NamedTuple

import jax
import optax

from .. import _coefficient as coefficient
from .. import _leafwise as leafwise
from .._adaptive import adaptive
from .._finish import finish_inside
from .._transformation import transformation
from .._types import Coefficient, Mask
from ..filters import _lookahead as lookahead


class NesterovLookaheadState(NamedTuple):
    """State of `scale_by_nesterov_lookahead`.

    Attributes:
      count: `()` int32, updates so far.
      velocity: decaying sum of steps; shaped like the params.
      ahead: `()` for each coefficient: the beta of the coming update, for `lookahead_params`.
    """

    count: jax.Array
    velocity: Any
    ahead: Any

    def lookahead_params(self, params: optax.Params) -> optax.Params:
        """`params + ahead * velocity`: where the coming gradient is to be taken."""
        return leafwise.shift(params, self.velocity, self.ahead, sign=1)


@adaptive
def scale_by_nesterov_lookahead(
    beta: Coefficient = 0.9, *, state_dtype: jax.typing.DTypeLike | None = None
) -> optax.GradientTransformationExtraArgs:
    """Turns steps taken at `lookahead_params` into those of `nesterov_lookahead`; goes after the learning rate.

    Args:
      beta: see `nesterov_lookahead`.
      state_dtype: see `heavy_ball`.
    """
    beta = coefficient.check("beta", beta)

    def init(params: optax.Params) -> NesterovLookaheadState:
        return NesterovLookaheadState(*lookahead.start(beta, params, state_dtype))

    def update(
        updates, state: NesterovLookaheadState, params=None, **extra
    ) -> tuple[optax.Updates, NesterovLookaheadState]:
        del params, extra
        value, parts = lookahead.move(beta, updates, state)
        updates = leafwise.emit(lambda s, v: v, updates, (value,))
        return updates, NesterovLookaheadState(*parts)

    return transformation(init, update)


@adaptive
def nesterov_lookahead(
    learning_rate: Coefficient,
    beta: Coefficient = 0.9,
    *,
    weight_decay: Coefficient = None,
    mask: Mask | None = None,
    state_dtype: jax.typing.DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Nesterov's accelerated gradient in its own words: the params are `theta`, the gradient is taken ahead of them.

    With `g` the gradient at `lookahead_params(state, params) = params + beta(count) * velocity`:

        velocity <- beta(count) * velocity - learning_rate(count) * g
        params   <- params + velocity

    The params are those that `nesterov` returns from `eval_params`.

    Args:
      learning_rate: see `heavy_ball`.
      beta: how much of the velocity survives a step, in [0, 1).
      weight_decay: see `heavy_ball`; acts at the params, not at the lookahead point.
      mask: see `heavy_ball`.
      state_dtype: see `heavy_ball`.

    Returns:
      An optimizer, ready for `init` and `update`; pass `update` the params, not the lookahead point.

    Raises:
      TypeError: a coefficient is no number, schedule or tree of these.
      ValueError: a coefficient is out of range, or (at init) its tree does not fit the params.

    Examples:
      On x^2 / 2, whose gradient is x:

      >>> import jax.numpy as jnp, momentum_optax as mo
      >>> tx, params = mo.nesterov_lookahead(0.5, beta=0.5), jnp.ones(())
      >>> state = tx.init(params)
      >>> for _ in range(3):
      ...     gradient = mo.lookahead_params(state, params)
      ...     update, state = tx.update(gradient, state, params)
      ...     params = params + update
      ...     print(params)
      0.5
      0.125
      -0.03125

    References:
      Nesterov (1983), "A method of solving a convex programming problem with convergence rate O(1/k^2)".
      Sutskever, Martens, Dahl and Hinton (2013), "On the importance of initialization and momentum in deep learning",
      Equations 3 and 4. https://proceedings.mlr.press/v28/sutskever13.html
    """
    steps = scale_by_nesterov_lookahead(beta, state_dtype=state_dtype)
    return finish_inside(steps, learning_rate, weight_decay, mask)
