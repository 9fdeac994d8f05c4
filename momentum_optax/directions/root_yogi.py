"""The root of Yogi's second moment, which moves by steps that do not grow with it (Zaheer et al., 2018)."""

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
from .root_mean_square import RootMeanSquareState, start


@adaptive
def root_yogi(
    b2: Coefficient,
    eps: Coefficient = 1e-3,
    eps_root: Coefficient = 0.0,
    *,
    initial: Scalar = 1e-6,
    debias: bool = True,
    state_dtype: jax.typing.DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Replaces each gradient by a size that follows the gradients up and down at the pace of the gradients.

    For every leaf, with gradient `g`, starting from `second_moment = initial` and `weight = 0`:

        second_moment <- second_moment - (1 - b2) * sign(second_moment - |g|^2) * |g|^2
        weight        <- b2 * weight + (1 - b2)
        update        <- sqrt(second_moment / weight + eps_root) + eps

    An average forgets a large second moment at a rate of `1 - b2` of itself, however small the gradients have become;
    this one forgets it at that share of the small gradients. It is no average, and after many equal gradients it is
    larger than their square by the factor `1 / weight`; the paper has no weight (`debias=False`), Optax has it.

    Args:
      b2: 1 minus the share of a squared gradient by which the second moment moves; in [0, 1).
      eps: added outside the root; finite and at least 0, in units of the gradient.
      eps_root: added inside the root; finite and at least 0, in units of the squared gradient.
      initial: where the second moment starts; one number, finite and at least 0, in units of the squared gradient.
        (After `reset` it is 0.)
      debias: whether to divide by the weight that an average would have.
      state_dtype: dtype of `second_moment`; `None` keeps the (real) dtype of each param.

    Returns:
      A transformation that ignores `params`; its updates have the gradient's dtype and no imaginary part.

    Raises:
      TypeError: a coefficient is no number, schedule or tree of these, or `initial` is no number.
      ValueError: a number is out of range, or (at init) a tree does not fit the params.

    References:
      Zaheer, Reddi, Sachan, Kale and Kumar (2018), "Adaptive Methods for Nonconvex Optimization", Algorithm 2.
      https://papers.nips.cc/paper/2018/hash/90365351ccc7437a1309dc64e4db32a3-Abstract.html
    """
    b2 = coefficient.check("b2", b2)
    eps = coefficient.check("eps", eps, coefficient.NON_NEGATIVE)
    eps_root = coefficient.check("eps_root", eps_root, coefficient.NON_NEGATIVE)
    initial = coefficient.number("initial", initial, coefficient.NON_NEGATIVE)

    def init(params: optax.Params) -> RootMeanSquareState:
        for name, value in (("b2", b2), ("eps", eps), ("eps_root", eps_root)):
            grouping.fit(name, value, params)
        return RootMeanSquareState(zero_count(), start(params, initial, state_dtype), coefficient.zeros(b2))

    def update(updates, state: RootMeanSquareState, params=None, **extra) -> tuple[optax.Updates, RootMeanSquareState]:
        del params, extra

        def moved(g, s, b):
            square = (g * g.conj()).real
            return s + (b - 1) * jnp.sign(s - square) * square

        now = coefficient.at(b2, state.count)
        weight = grouping.advance(average, updates, state.weight, now)
        value, second_moment = leafwise.remember(moved, updates, state.second_moment, now)
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
