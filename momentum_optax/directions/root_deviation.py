"""The root of the mean squared deviation from the average, AdaBelief's denominator (Zhuang et al., 2020)."""

from typing import Any, NamedTuple

import jax
import optax

from .. import _coefficient as coefficient
from .. import _grouping as grouping
from .. import _leafwise as leafwise
from .._adaptive import adaptive
from .._transformation import increment, transformation, zero_count
from .._types import Coefficient
from ..filters.ema import average


class RootDeviationState(NamedTuple):
    """State of `root_deviation`.

    Attributes:
      count: `()` int32, updates so far.
      mean: moving average of gradients, biased towards 0; shaped like the params.
      second_moment: moving average of squared deviations; real, shaped like the params.
      weight: `()` for each coefficient: 1 minus the product of all `b2` so far.
    """

    count: jax.Array
    mean: Any
    second_moment: Any
    weight: Any


@adaptive
def root_deviation(
    b1: Coefficient,
    b2: Coefficient,
    eps: Coefficient = 1e-16,
    eps_root: Coefficient = 1e-16,
    *,
    debias: bool = True,
    state_dtype: jax.typing.DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Replaces each gradient by how far gradients have been from their average: small where they were as expected.

    For every leaf, with gradient `g`, starting from `mean = second_moment = 0` and `weight = 0`:

        mean          <- b1 * mean + (1 - b1) * g
        second_moment <- b2 * second_moment + (1 - b2) * |g - mean|^2 + eps_root
        weight        <- b2 * weight + (1 - b2)
        update        <- sqrt(second_moment / weight) + eps

    As in the paper, the mean that is subtracted is the new one, which is not debiased, and `eps_root` is remembered:
    in the long run it is added `1 / (1 - b2)` times. Without `debias` the weight is 1. The mean is kept here, whatever
    is divided; a method that divides the same average, as `adabelief`, keeps it once.

    Args:
      b1: how much of the mean survives a step, in [0, 1); where it is a plain 0, there is no deviation and no memory of
        the mean.
      b2: how much of the second moment survives a step, in [0, 1); where it is a plain 0, it is not kept.
      eps: added outside the root; finite and at least 0, in units of the gradient.
      eps_root: added to the second moment at every step; finite and at least 0, in units of the squared gradient.
      debias: whether to divide by the weight of the deviations seen.
      state_dtype: dtype of both memories; `None` keeps the dtype of each param.

    Returns:
      A transformation that ignores `params`; its updates have the gradient's dtype and no imaginary part.

    Raises:
      TypeError: a coefficient is no number, schedule or tree of these.
      ValueError: a coefficient is out of range, or (at init) its tree does not fit the params.

    References:
      Zhuang et al. (2020), "AdaBelief Optimizer: Adapting Stepsizes by the Belief in Observed Gradients", Algorithm 2.
      https://arxiv.org/abs/2010.07468
    """
    b1, b2 = coefficient.check("b1", b1), coefficient.check("b2", b2)
    eps = coefficient.check("eps", eps, coefficient.NON_NEGATIVE)
    eps_root = coefficient.check("eps_root", eps_root, coefficient.NON_NEGATIVE)

    def init(params: optax.Params) -> RootDeviationState:
        for name, value in (("b1", b1), ("b2", b2), ("eps", eps), ("eps_root", eps_root)):
            grouping.fit(name, value, params)
        return RootDeviationState(
            zero_count(),
            leafwise.zeros(params, state_dtype, decay=b1),
            leafwise.zeros(params, state_dtype, decay=b2, real=True),
            coefficient.zeros(b2),
        )

    def update(updates, state: RootDeviationState, params=None, **extra) -> tuple[optax.Updates, RootDeviationState]:
        del params, extra
        first, now = coefficient.at(b1, state.count), coefficient.at(b2, state.count)
        weight = grouping.advance(average, updates, state.weight, now)
        value, mean = leafwise.remember(lambda g, m, b: average(m, b, g), updates, state.mean, first)
        deviation = leafwise.emit(lambda g, m: g - m, leafwise.widen_tree(updates), (value,))
        value, second_moment = leafwise.remember(
            # Ends in a sum of two arrays, or the compiler would form it twice instead of reading it back.
            lambda d, s, b, e_root: b * s + ((1 - b) * (d * d.conj()).real + e_root),
            deviation,
            state.second_moment,
            now,
            coefficient.at(eps_root, state.count),
        )
        updates = leafwise.emit(
            lambda g, s, inverse, e: leafwise.root(s * inverse if debias else s) + e,
            updates,
            (value,),
            jax.tree.map(lambda w: 1 / w, weight),
            coefficient.at(eps, state.count),
        )
        return updates, RootDeviationState(increment(state.count), mean, second_moment, weight)

    return transformation(init, update)
