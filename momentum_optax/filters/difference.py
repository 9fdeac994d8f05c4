"""The change of the gradient from one step to the next."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from .. import _leafwise as leafwise
from .._transformation import increment, transformation, zero_count


class DifferenceState(NamedTuple):
    """State of `difference`.

    Attributes:
      count: `()` int32, updates so far.
      previous: the last gradient; shaped like the params.
    """

    count: jax.Array
    previous: Any


def difference(*, state_dtype: jax.typing.DTypeLike | None = None) -> optax.GradientTransformationExtraArgs:
    """Replaces each gradient by its change since the last step, 0 at the first.

    For every leaf, with gradient `g`:

        update   <- g - previous
        previous <- g

    Along a trajectory the change is the curvature times the last movement, to first order: the derivative term of a
    controller, and the correction that turns heavy ball into Nesterov's method.

    The first step is the state's, not a leaf's: a leaf whose first gradient comes later is compared with 0 then.

    Args:
      state_dtype: dtype of `previous`; `None` keeps the dtype of each param.

    Returns:
      A transformation that ignores `params`.

    References:
      An, Wang, Sun, Xu, Dai and Zhang (2018), "A PID Controller Approach for Stochastic Optimization of Deep Networks".
      https://doi.org/10.1109/CVPR.2018.00889
    """
    return _difference(state_dtype, lambda first, g, change: jnp.where(first, g - g, change))


def since_last(*, state_dtype: jax.typing.DTypeLike | None = None) -> optax.GradientTransformationExtraArgs:
    """`difference`, but the first update is the gradient: for who weighs it, and can give it no weight then."""
    return _difference(state_dtype, lambda first, g, change: change)


def _difference(
    state_dtype: jax.typing.DTypeLike | None, chosen: Callable[..., jax.Array]
) -> optax.GradientTransformationExtraArgs:
    def init(params: optax.Params) -> DifferenceState:
        return DifferenceState(zero_count(), leafwise.zeros(params, state_dtype))

    def update(updates, state: DifferenceState, params=None, **extra) -> tuple[optax.Updates, DifferenceState]:
        del params, extra
        first = state.count == 0
        _, previous = leafwise.remember(lambda g, _: g, updates, state.previous)
        updates = leafwise.emit(lambda g, p: chosen(first, g, g - p), updates, (state.previous,))
        return updates, DifferenceState(increment(state.count), previous)

    return transformation(init, update)
