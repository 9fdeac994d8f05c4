"""The root of the largest mean square so far, AMSGrad's denominator (Reddi, Kale and Kumar, 2018)."""

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
from ..filters.ema import average


class RootMaximumState(NamedTuple):
    """State of `root_maximum`.

    Attributes:
      count: `()` int32, updates so far.
      second_moment: moving average of squared magnitudes; real, shaped like the params.
      maximum: the largest second moment so far, number for number; real, shaped like the params.
      weight: `()` for each coefficient: 1 minus the product of all `b2` so far.
    """

    count: jax.Array
    second_moment: Any
    maximum: Any
    weight: Any


@adaptive
def root_maximum(
    b2: Coefficient,
    eps: Coefficient = 1e-8,
    eps_root: Coefficient = 0.0,
    *,
    debias: bool = True,
    raw_maximum: bool = False,
    state_dtype: jax.typing.DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Replaces each gradient by the largest that its mean square has been: a size that never shrinks.

    For every leaf, with gradient `g`, starting from `second_moment = maximum = 0` and `weight = 0`:

        second_moment <- b2 * second_moment + (1 - b2) * |g|^2
        weight        <- b2 * weight + (1 - b2)
        maximum       <- max(maximum, second_moment / weight)
        update        <- sqrt(maximum + eps_root) + eps

    This is Optax's convention. The paper does not debias (`debias=False`: the weight is 1). torch compares what is not
    yet debiased (`raw_maximum=True`), so that its size may shrink while the weight still grows:

        maximum <- max(maximum, second_moment)
        update  <- sqrt(maximum / weight + eps_root) + eps

    Args:
      b2: how much of the past survives a step, in [0, 1); where it is a plain 0, only the maximum is kept.
      eps: added outside the root; finite and at least 0, in units of the gradient.
      eps_root: added inside the root; finite and at least 0, in units of the squared gradient.
      debias: whether to divide by the weight of the gradients seen.
      raw_maximum: whether to divide after the maximum instead of before.
      state_dtype: dtype of `second_moment` and `maximum`; `None` keeps the (real) dtype of each param.

    Returns:
      A transformation that ignores `params`; its updates have the gradient's dtype and no imaginary part.

    Raises:
      TypeError: a coefficient is no number, schedule or tree of these.
      ValueError: a coefficient is out of range, or (at init) its tree does not fit the params.

    References:
      Reddi, Kale and Kumar (2018), "On the Convergence of Adam and Beyond", Algorithm 2.
      https://arxiv.org/abs/1904.09237
    """
    b2 = coefficient.check("b2", b2)
    eps = coefficient.check("eps", eps, coefficient.NON_NEGATIVE)
    eps_root = coefficient.check("eps_root", eps_root, coefficient.NON_NEGATIVE)

    def init(params: optax.Params) -> RootMaximumState:
        for name, value in (("b2", b2), ("eps", eps), ("eps_root", eps_root)):
            grouping.fit(name, value, params)
        second_moment = leafwise.zeros(params, state_dtype, decay=b2, real=True)
        maximum = leafwise.zeros(params, state_dtype, real=True)
        return RootMaximumState(zero_count(), second_moment, maximum, coefficient.zeros(b2))

    def update(updates, state: RootMaximumState, params=None, **extra) -> tuple[optax.Updates, RootMaximumState]:
        del params, extra
        now = coefficient.at(b2, state.count)
        weight = grouping.advance(average, updates, state.weight, now)
        inverse = jax.tree.map(lambda w: 1 / w, weight)
        before, after = debias and not raw_maximum, debias and raw_maximum
        value, second_moment = leafwise.remember(
            lambda g, s, b: average(s, b, (g * g.conj()).real), updates, state.second_moment, now
        )
        value, maximum = leafwise.remember(
            lambda s, m, i: jnp.maximum(m, s * i if before else s), value, state.maximum, inverse
        )
        updates = leafwise.emit(
            lambda g, m, i, e, e_root: leafwise.root((m * i if after else m) + e_root) + e,
            updates,
            (value,),
            inverse,
            coefficient.at(eps, state.count),
            coefficient.at(eps_root, state.count),
        )
        return updates, RootMaximumState(increment(state.count), second_moment, maximum, weight)

    return transformation(init, update)
