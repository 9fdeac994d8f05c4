"""As far as the momentum goes, and where the gradient points (Cao, Li and Song, 2024)."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import optax

from .. import _leafwise as leafwise
from .._transformation import extended, transformation
from ..directions.sign import sign_of


class GramsState(NamedTuple):
    """State of `grams`.

    Attributes:
      inner_state: state of the transformation that gives the magnitudes.
    """

    inner_state: Any


def grams(tx: optax.GradientTransformation, *, downhill: bool = True) -> optax.GradientTransformationExtraArgs:
    """Gives every number of an update the direction of its gradient: `update <- -|tx's update| * sign(g)`.

    What was remembered says how far to go and the gradient alone where to, so that no step goes uphill. Where the
    gradient is 0 there is no step. (The paper's Grams is `grams(adam(...))`, with the weight decay outside.) Nor should
    a method be inside that trains elsewhere than it answers (`nesterov`): it counts on its steps.

    Args:
      tx: an optimizer, or with `downhill=False` a part of one; Optax's, too.
      downhill: whether to go down the gradient, as the updates of an optimizer do; False for parts that come before the
        learning rate: `update <- |tx's update| * sign(g)`.

    Returns:
      A transformation that passes `params` and extra arguments on.

    Raises:
      TypeError: `tx` is no transformation.

    References:
      Cao, Li and Song (2024), "Grams: Gradient Descent with Adaptive Momentum Scaling".
      https://arxiv.org/abs/2412.17107
    """
    inside = extended(tx)
    way = -1 if downhill else 1

    def init(params: optax.Params) -> GramsState:
        return GramsState(inside.init(params))

    def update(updates, state: GramsState, params=None, **extra) -> tuple[optax.Updates, GramsState]:
        stepped, inner = inside.update(leafwise.widen_tree(updates), state.inner_state, params, **extra)
        updates = leafwise.emit(lambda g, u: way * jnp.abs(u) * sign_of(g), updates, (stepped,))
        return updates, GramsState(leafwise.like(inner, state.inner_state))

    return transformation(init, update)
