"""The change of the gradient from the last params to these, on one batch (Johnson and Zhang, 2013, and after)."""

from typing import Any, NamedTuple

import jax
import optax

from .. import _leafwise as leafwise
from .._transformation import increment, transformation, zero_count
from .._two_point import copied, follow, given, recall


class TwoPointDifferenceState(NamedTuple):
    """State of `two_point_difference`.

    Attributes:
      count: `()` int32, updates so far.
      before: the params of the last update; shaped like the params, in their dtypes.
    """

    count: jax.Array
    before: Any

    def previous_params(self, params: optax.Params) -> optax.Params:
        """The params of the last update."""
        return recall(self.before, params)


def two_point_difference() -> optax.GradientTransformationExtraArgs:
    """Replaces each gradient by how much the last step has changed it, free of the noise of the batch.

    With gradient `g` at the params, and `previous_gradient` at the params of the last update on the same batch:

        update <- g - previous_gradient

    `difference` takes the last gradient instead, of another batch: it costs no second gradient, and most of what it
    gives is noise. Blended with what they follow, such differences carry an average along (`storm`, `mars`).

    Returns:
      A transformation whose `update` needs `params`, and `previous_gradient=` with the structure and the shapes of the
      gradient; a ValueError says so without them. `previous_params(state, params)` gives the params to take it at (the
      first time the present ones), `two_point_gradients` takes both, and `make_step` does so by itself.

    Examples:
      >>> import jax.numpy as jnp, momentum_optax as mo
      >>> tx = mo.two_point_difference()
      >>> state = tx.init(jnp.zeros(()))
      >>> update, state = tx.update(jnp.asarray(3.0), state, jnp.ones(()), previous_gradient=jnp.asarray(2.5))
      >>> print(update, mo.previous_params(state, jnp.zeros(())))
      0.5 1.0

    References:
      Cutkosky and Orabona (2019), "Momentum-Based Variance Reduction in Non-Convex SGD".
      https://arxiv.org/abs/1905.10018
    """
    return since_last_params("two_point_difference")


def since_last_params(method: str) -> optax.GradientTransformationExtraArgs:
    """`two_point_difference`, for a method that has another name where something is missing."""

    def init(params: optax.Params) -> TwoPointDifferenceState:
        return TwoPointDifferenceState(zero_count(), copied(params, leafwise.zeros(params)))

    def update(
        updates, state: TwoPointDifferenceState, params=None, *, previous_gradient: Any = None, **extra
    ) -> tuple[optax.Updates, TwoPointDifferenceState]:
        del extra
        previous = given(previous_gradient, updates, method)
        before = follow(params, updates, state.before, method)
        change = leafwise.emit(lambda g, p: g - p, updates, (previous,))
        return change, TwoPointDifferenceState(increment(state.count), before)

    return transformation(init, update)
