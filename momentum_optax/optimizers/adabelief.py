"""Adam divided by how far gradients are from their average (Zhuang et al., 2020)."""

import jax
import optax

from .. import _coefficient as coefficient
from .. import _grouping as grouping
from .. import _leafwise as leafwise
from .._adaptive import adaptive
from .._finish import finish
from .._transformation import increment, transformation
from .._types import Coefficient, Mask
from ..directions.divide import DivideState
from ..directions.root_mean_square import RootMeanSquareState, root_mean_square
from ..filters.ema import average, ema


@adaptive
def scale_by_adabelief(
    b1: Coefficient = 0.9,
    b2: Coefficient = 0.999,
    eps: Coefficient = 1e-16,
    eps_root: Coefficient = 1e-16,
    *,
    nesterov: bool = False,
    state_dtype: jax.typing.DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """The direction of `adabelief`.

    Args:
      b1: see `adam`.
      b2: see `adabelief`.
      eps: see `adam`.
      eps_root: see `adabelief`.
      nesterov: see `adam`.
      state_dtype: see `adam`.
    """
    b1 = coefficient.check("b1", b1)
    b2 = coefficient.check("b2", b2)
    eps = coefficient.check("eps", eps, coefficient.NON_NEGATIVE)
    eps_root = coefficient.check("eps_root", eps_root, coefficient.NON_NEGATIVE)
    # The parts of a quotient, and its state; but the size is that of the average's own misses.
    above = ema(b1, nesterov=nesterov, state_dtype=state_dtype)
    below = root_mean_square(b2, eps, eps_root, state_dtype=state_dtype)

    def init(params: optax.Params) -> DivideState:
        grouping.fit("b1", b1, params)
        return DivideState(above.init(params), below.init(params))

    def update(updates, state: DivideState, params=None, **extra) -> tuple[optax.Updates, DivideState]:
        del params, extra
        wide = leafwise.widen_tree(updates)
        top, numerator = above.update(wide, state.numerator)
        memory: RootMeanSquareState = state.denominator
        now = coefficient.at(b2, memory.count)
        weight = grouping.advance(average, wide, memory.weight, now)
        mean, _ = leafwise.remember(  # the same numbers as in `above`, before they are debiased
            lambda g, m, b: average(m, b, g), wide, state.numerator.velocity, coefficient.at(b1, memory.count)
        )
        miss = leafwise.emit(lambda g, m: g - m, wide, (mean,))
        value, second_moment = leafwise.remember(
            # Ends in a sum of two arrays, or the compiler would form it twice instead of reading it back.
            lambda d, s, b, e_root: b * s + ((1 - b) * (d * d.conj()).real + e_root),
            miss,
            memory.second_moment,
            now,
            coefficient.at(eps_root, memory.count),
        )
        updates = leafwise.emit(
            lambda g, m, s, inverse, e: m / (leafwise.root(s * inverse) + e),
            updates,
            (top, value),
            jax.tree.map(lambda w: 1 / w, weight),
            coefficient.at(eps, memory.count),
        )
        return updates, DivideState(numerator, RootMeanSquareState(increment(memory.count), second_moment, weight))

    return transformation(init, update)


@adaptive
def adabelief(
    learning_rate: Coefficient,
    b1: Coefficient = 0.9,
    b2: Coefficient = 0.999,
    eps: Coefficient = 1e-16,
    eps_root: Coefficient = 1e-16,
    *,
    nesterov: bool = False,
    weight_decay: Coefficient = None,
    mask: Mask | None = None,
    state_dtype: jax.typing.DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Adam that trusts its average: long steps where gradients are as expected, short ones where they are not.

    With gradient `g`, average and weights as in `adam`:

        velocity      <- b1 * velocity + (1 - b1) * g
        second_moment <- b2 * second_moment + (1 - b2) * |g - velocity|^2 + eps_root
        params <- params - learning_rate * (velocity / weight1) / (sqrt(second_moment / weight2) + eps)

    As in the paper and in its authors' code, `eps_root` is part of what is remembered and piles up to
    `eps_root / (1 - b2)`; the paper has one number for both eps. Where gradients never change, nothing else limits the
    step. The arguments are Optax's, in its order.

    Args:
      learning_rate: see `adam`.
      b1: see `adam`.
      b2: how much of the average of squared deviations survives a step, in [0, 1).
      eps: see `adam`.
      eps_root: added to the second moment at every step; finite and at least 0, in units of the squared gradient.
      nesterov: whether the average above the line looks ahead, as in `nadam`.
      weight_decay: see `heavy_ball`; the authors' code has .01 times the learning rate, decoupled.
      mask: see `heavy_ball`.
      state_dtype: see `adam`; at the default `eps_root`, float16 holds no second moment below 6e-8.

    Returns:
      An optimizer, ready for `init` and `update`.

    Raises:
      TypeError: a coefficient is no number, schedule or tree of these.
      ValueError: a coefficient is out of range, or (at init) its tree does not fit the params.

    References:
      Zhuang, Tang, Ding, Tatikonda, Dvornek, Papademetris and Duncan (2020), "AdaBelief Optimizer: Adapting Stepsizes
      by the Belief in Observed Gradients", Algorithm 2. https://arxiv.org/abs/2010.07468
    """
    direction = scale_by_adabelief(b1, b2, eps, eps_root, nesterov=nesterov, state_dtype=state_dtype)
    return finish(direction, learning_rate, weight_decay, mask)
