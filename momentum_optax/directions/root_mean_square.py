"""The root of the mean square of gradients, Adam's denominator (Kingma and Ba, 2014)."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from .. import _coefficient as coefficient
from .. import _grouping as grouping
from .. import _leafwise as leafwise
from .._adaptive import adaptive
from .._transformation import increment, transformation, zero_count
from .._types import Coefficient, Scalar
from ..filters.ema import average


class RootMeanSquareState(NamedTuple):
    """State of `root_mean_square`.

    Attributes:
      count: `()` int32, updates so far.
      second_moment: second moment of the gradients, as a mean of squared magnitudes; real, shaped like the params.
      weight: `()` for each coefficient: 1 minus the product of all `b2` so far.
    """

    count: jax.Array
    second_moment: Any
    weight: Any


@adaptive
def root_mean_square(
    b2: Coefficient,
    eps: Coefficient = 1e-8,
    eps_root: Coefficient = 0.0,
    *,
    debias: bool = True,
    initial: Scalar = 0.0,
    state_dtype: jax.typing.DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Replaces each gradient by how large gradients have been: what to divide a direction by.

    For every leaf, with gradient `g`, starting from `second_moment = initial` and `weight = 0`:

        second_moment <- b2 * second_moment + (1 - b2) * |g|^2
        weight        <- b2 * weight + (1 - b2)
        update        <- sqrt(second_moment / weight + eps_root) + eps

    Without `debias` the weight is 1. The square root has derivative 0 at 0, so that gradients through an optimizer stay
    finite where a gradient is 0.

    Args:
      b2: how much of the past survives a step, in [0, 1); where it is a plain 0, no memory is kept.
      eps: added outside the root; finite and at least 0, in units of the gradient.
      eps_root: added inside the root; finite and at least 0, in units of the squared gradient.
      debias: whether to divide by the weight of the gradients seen.
      initial: where the second moment starts; one number, finite and at least 0, in units of the squared gradient.
        (After `reset` it is 0.)
      state_dtype: dtype of `second_moment`; `None` keeps the (real) dtype of each param. In bfloat16 a `b2` above .99
        hardly moves any more: 1 - b2 is below the spacing of numbers there.

    Returns:
      A transformation that ignores `params`; its updates have the gradient's dtype and no imaginary part.

    Raises:
      TypeError: a coefficient is no number, schedule or tree of these, or `initial` no number.
      ValueError: a number is out of range, or (at init) a tree does not fit the params.

    References:
      Kingma and Ba (2014), "Adam: A Method for Stochastic Optimization", Algorithm 1. https://arxiv.org/abs/1412.6980
    """
    b2 = coefficient.check("b2", b2)
    eps = coefficient.check("eps", eps, coefficient.NON_NEGATIVE)
    eps_root = coefficient.check("eps_root", eps_root, coefficient.NON_NEGATIVE)
    initial = coefficient.number("initial", initial, coefficient.NON_NEGATIVE)

    def init(params: optax.Params) -> RootMeanSquareState:
        for name, value in (("b2", b2), ("eps", eps), ("eps_root", eps_root)):
            grouping.fit(name, value, params)
        second_moment = start(params, initial, state_dtype, decay=b2)
        return RootMeanSquareState(zero_count(), second_moment, coefficient.zeros(b2))

    def update(updates, state: RootMeanSquareState, params=None, **extra) -> tuple[optax.Updates, RootMeanSquareState]:
        del params, extra
        now = coefficient.at(b2, state.count)
        weight = grouping.advance(average, updates, state.weight, now)
        value, second_moment = leafwise.remember(
            lambda g, s, b: average(s, b, (g * g.conj()).real), updates, state.second_moment, now
        )
        updates = leafwise.emit(
            lambda g, s, inverse, e, e_root: leafwise.root((s * inverse if debias else s) + e_root) + e,
            updates,
            (value,),
            jax.tree.map(lambda w: 1 / w, weight),  # one division for each coefficient, not for each number
            coefficient.at(eps, state.count),
            coefficient.at(eps_root, state.count),
        )
        return updates, RootMeanSquareState(increment(state.count), second_moment, weight)

    return transformation(init, update)


def start(params: optax.Params, initial: Any, state_dtype: jax.typing.DTypeLike | None, *, decay: Any = None) -> Any:
    """A second moment that is `initial` everywhere; the other arguments are those of `leafwise.zeros`."""
    zeros = leafwise.zeros(params, state_dtype, decay=decay, real=True)
    if coefficient.is_zero(initial):
        return zeros
    return jax.tree.map(lambda z: z + jnp.asarray(initial, z.dtype), zeros)
