"""The quotient of two transformations."""

from typing import Any, NamedTuple

import optax

from .. import _leafwise as leafwise
from .._transformation import transformation


class DivideState(NamedTuple):
    """State of `divide`.

    Attributes:
      numerator: state of the transformation above the line.
      denominator: state of the transformation below it.
    """

    numerator: Any
    denominator: Any


def divide(
    numerator: optax.GradientTransformation, by: optax.GradientTransformation
) -> optax.GradientTransformationExtraArgs:
    """Divides one transformation of the gradient by another of the same gradient: `update <- numerator(g) / by(g)`.

    Adam is `divide(ema(b1), by=root_mean_square(b2, eps))`. Both see the gradient in at least float32, and the quotient
    is rounded once, so that a small `eps` does its work in low precision too.

    Args:
      numerator: gives the direction.
      by: gives the size to divide by, never 0; `root_mean_square`, for example.

    Returns:
      A transformation that passes `params` and extra arguments on to both.

    Raises:
      TypeError: an argument is no transformation.

    References:
      Kingma and Ba (2014), "Adam: A Method for Stochastic Optimization". https://arxiv.org/abs/1412.6980
    """
    for name, part in (("numerator", numerator), ("by", by)):
        if not hasattr(part, "update"):
            raise TypeError(f"{name} must be a gradient transformation; got {part!r}.")
    above, below = optax.with_extra_args_support(numerator), optax.with_extra_args_support(by)

    def init(params: optax.Params) -> DivideState:
        return DivideState(above.init(params), below.init(params))

    def update(updates, state: DivideState, params=None, **extra) -> tuple[optax.Updates, DivideState]:
        wide = leafwise.widen_tree(updates)
        top, numerator_state = above.update(wide, state.numerator, params, **extra)
        bottom, denominator_state = below.update(wide, state.denominator, params, **extra)
        updates = leafwise.emit(lambda g, n, d: n / d, updates, (top, bottom))
        return updates, DivideState(
            leafwise.like(numerator_state, state.numerator), leafwise.like(denominator_state, state.denominator)
        )

    return transformation(init, update)
