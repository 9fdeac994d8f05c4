"""The root of the variance of gradients, the denominator of centred RMSProp (Graves, 2013)."""

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
from .root_mean_square import start


class RootVarianceState(NamedTuple):
    """State of `root_variance`.

    Attributes:
      count: `()` int32, updates so far.
      mean: moving average of gradients; shaped like the params.
      second_moment: decaying sum of squared deviations from the mean, debiased or not; real, shaped like the params.
      weight: `()` for each coefficient: 1 minus the product of all `b2` so far.
    """

    count: jax.Array
    mean: Any
    second_moment: Any
    weight: Any


@adaptive
def root_variance(
    b2: Coefficient,
    eps: Coefficient = 1e-8,
    eps_root: Coefficient = 0.0,
    *,
    debias: bool = True,
    initial: Scalar = 0.0,
    state_dtype: jax.typing.DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Replaces each gradient by how much gradients have varied, about an average of the same length.

    For every leaf, with gradient `g`, starting from `mean = 0`, `square = initial` and `weight = 0`:

        mean   <- b2 * mean + (1 - b2) * g
        square <- b2 * square + (1 - b2) * |g|^2
        weight <- b2 * weight + (1 - b2)
        update <- sqrt(square / weight - |mean / weight|^2 + eps_root) + eps

    Without `debias` the weight is 1: then the mean is too small at first, and the variance too large. With it the
    variance of the first gradient is 0.

    Of gradients that hardly vary this is a difference of equal numbers, which by rounding may be below 0: torch, Keras
    and Optax then get NaN. Here `square` is not kept, but the sum of squared deviations that is left of it: with the
    new `mean` and `weight`, and `old_weight` before the gradient,

        second_moment <- b2 * second_moment + (1 - b2) * weight / (b2 * old_weight) * |g - mean / weight|^2
        update        <- sqrt(second_moment / weight + eps_root) + eps

    Args:
      b2: how much of the past survives a step, in [0, 1); where it is a plain 0, no memory is kept.
      eps: added outside the root; finite and at least 0, in units of the gradient.
      eps_root: added inside the root; finite and at least 0, in units of the squared gradient.
      debias: whether to divide by the weight of the gradients seen.
      initial: where the second moment starts; one number, finite and at least 0, in units of the squared gradient.
        (After `reset` it is 0.)
      state_dtype: dtype of both memories; `None` keeps the dtype of each param.

    Returns:
      A transformation that ignores `params`; its updates have the gradient's dtype and no imaginary part.

    Raises:
      TypeError: a coefficient is no number, schedule or tree of these, or `initial` no number.
      ValueError: a number is out of range, or (at init) a tree does not fit the params.

    References:
      Graves (2013), "Generating Sequences With Recurrent Neural Networks", equations 38 to 41.
      https://arxiv.org/abs/1308.0850
    """
    b2 = coefficient.check("b2", b2)
    eps = coefficient.check("eps", eps, coefficient.NON_NEGATIVE)
    eps_root = coefficient.check("eps_root", eps_root, coefficient.NON_NEGATIVE)
    initial = coefficient.number("initial", initial, coefficient.NON_NEGATIVE)

    def init(params: optax.Params) -> RootVarianceState:
        for name, value in (("b2", b2), ("eps", eps), ("eps_root", eps_root)):
            grouping.fit(name, value, params)
        mean = leafwise.zeros(params, state_dtype, decay=b2)
        second_moment = start(params, initial, state_dtype, decay=b2)
        return RootVarianceState(zero_count(), mean, second_moment, coefficient.zeros(b2))

    def update(updates, state: RootVarianceState, params=None, **extra) -> tuple[optax.Updates, RootVarianceState]:
        del params, extra
        now = coefficient.at(b2, state.count)
        weight = grouping.advance(average, updates, state.weight, now)
        old, new = (w if debias else jax.tree.map(jnp.ones_like, w) for w in (state.weight, weight))
        share = jax.tree.map(_share, now, old, new)
        inverse = jax.tree.map(lambda w: 1 / w, new)
        first, mean = leafwise.remember(lambda g, m, b: average(m, b, g), updates, state.mean, now)
        miss = leafwise.emit(lambda g, m, i: g - m * i, leafwise.widen_tree(updates), (first,), inverse)
        second, second_moment = leafwise.remember(
            lambda d, s, b, a: b * s + a * (d * d.conj()).real, miss, state.second_moment, now, share
        )
        updates = leafwise.emit(
            lambda g, s, i, e, e_root: leafwise.root(s * i + e_root) + e,
            updates,
            (second,),
            inverse,
            coefficient.at(eps, state.count),
            coefficient.at(eps_root, state.count),
        )
        return updates, RootVarianceState(increment(state.count), mean, second_moment, weight)

    return transformation(init, update)


def _share(b: Any, old: Any, new: Any) -> Any:
    """What a squared deviation from the *new* mean adds to the sum of those from the mean of the time."""
    past = b * old
    return jnp.where(past > 0, (1 - b) * new / jnp.where(past > 0, past, 1), 0.0)
