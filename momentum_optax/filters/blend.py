"""The weighted sum of transformations."""

import functools
import operator
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from .. import _coefficient as coefficient
from .. import _grouping as grouping
from .. import _leafwise as leafwise
from .._adaptive import adaptive
from .._transformation import increment, transformation, zero_count
from .._types import Coefficient


class BlendState(NamedTuple):
    """State of `blend`.

    Attributes:
      count: `()` int32, updates so far.
      parts: the states of the transformations, in their order.
    """

    count: jax.Array
    parts: tuple[Any, ...]


def blend(*parts: tuple[Coefficient, optax.GradientTransformation]) -> optax.GradientTransformationExtraArgs:
    """Adds up transformations of the same gradient: `update <- sum of weight_i * update_i`.

    Most momentum methods are such sums, of memories of different lengths and the gradient itself. The parts see the
    gradient in at least float32 and the sum is rounded once; a part whose own state would change its dtype (some of
    Optax's do in low precision) is held to it. A part whose weight is a plain 0 is left out, with its memory.

    Args:
      *parts: pairs `(weight, transformation)`; a weight is any finite coefficient.

    Returns:
      A transformation that passes `params` and extra arguments on to its parts.

    Raises:
      TypeError: a part is no pair of a coefficient and a transformation.
      ValueError: there is no part, a weight is not finite, or (at init) its tree does not fit the params.

    Examples:
      Quasi-hyperbolic momentum is the gradient blended with its average:

      >>> import jax.numpy as jnp, momentum_optax as mo
      >>> tx = mo.blend((0.3, mo.identity()), (0.7, mo.ema(0.5, debias=False)))
      >>> update, _ = tx.update(jnp.ones(()), tx.init(jnp.zeros(())))
      >>> print(update)
      0.65
    """
    if not parts:
        raise ValueError("blend needs at least one part, a pair (weight, transformation); got none.")
    for i, part in enumerate(parts):
        if not (isinstance(part, tuple) and len(part) == 2 and hasattr(part[1], "update")):
            raise TypeError(f"part {i} of blend must be a pair (weight, transformation); got {part!r}.")
    return _blend([weight for weight, _ in parts], tuple(optax.with_extra_args_support(tx) for _, tx in parts))


@adaptive
def _blend(
    weights: Sequence[Coefficient], transforms: tuple[optax.GradientTransformationExtraArgs, ...]
) -> optax.GradientTransformationExtraArgs:
    """`blend` of transformations of which it is known that they are some."""
    weights = [coefficient.check(f"weight {i} of blend", w, coefficient.FINITE) for i, w in enumerate(weights)]
    transforms = tuple(tx for tx, w in zip(transforms, weights, strict=True) if not coefficient.is_zero(w))
    weights = [w for w in weights if not coefficient.is_zero(w)]

    def init(params: optax.Params) -> BlendState:
        for i, weight in enumerate(weights):
            grouping.fit(f"weight {i} of blend", weight, params)
        return BlendState(zero_count(), tuple(tx.init(params) for tx in transforms))

    def update(updates, state: BlendState, params=None, **extra) -> tuple[optax.Updates, BlendState]:
        wide = leafwise.widen_tree(updates)
        terms, states = [], []
        for tx, old in zip(transforms, state.parts, strict=True):
            term, new = tx.update(wide, old, params, **extra)
            terms.append(term)
            states.append(leafwise.like(new, old))

        def weighted_sum(g, *pairs):
            weighted = [w * u for u, w in zip(pairs[: len(terms)], pairs[len(terms) :], strict=True)]
            return functools.reduce(operator.add, weighted) if weighted else jnp.zeros_like(g)

        now = [coefficient.at(weight, state.count) for weight in weights]
        updates = leafwise.emit(weighted_sum, updates, tuple(terms), *now)
        return updates, BlendState(increment(state.count), tuple(states))

    return transformation(init, update)
