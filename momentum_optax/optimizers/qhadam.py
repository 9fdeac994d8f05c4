"""Quasi-hyperbolic Adam (Ma and Yarats, 2018)."""

from typing import Any

import jax
import optax

from .. import _coefficient as coefficient
from .. import _grouping as grouping
from .. import _leafwise as leafwise
from .._adaptive import adaptive
from .._finish import finish
from .._transformation import increment, transformation
from .._types import Coefficient, Mask
from ..directions.divide import divide
from ..directions.root_mean_square import RootMeanSquareState, root_mean_square
from ..filters.blend import blend
from ..filters.ema import average, ema
from ..filters.identity import identity


def _square(g: jax.Array) -> jax.Array:
    return (g * g.conj()).real


def _size(
    b2: Coefficient, nu2: Coefficient, eps: Coefficient, eps_root: Coefficient, state_dtype: jax.typing.DTypeLike | None
) -> optax.GradientTransformationExtraArgs:
    """`sqrt((1 - nu2) * |g|^2 + nu2 * second_moment / weight2 + eps_root) + eps`."""
    whole = root_mean_square(b2, eps, eps_root, state_dtype=state_dtype)
    if coefficient.is_zero(nu2):  # only the gradient counts, and nothing need be kept
        return root_mean_square(0.0, eps, eps_root)
    if coefficient.is_zero(coefficient.combine(lambda n: 1 - n, nu2)):
        return whole

    def update(updates, state: RootMeanSquareState, params=None, **extra) -> tuple[optax.Updates, RootMeanSquareState]:
        del params, extra
        now = coefficient.at(b2, state.count)
        weight = grouping.advance(average, updates, state.weight, now)
        value, second_moment = leafwise.remember(
            lambda g, s, b: average(s, b, _square(g)), updates, state.second_moment, now
        )
        updates = leafwise.emit(
            lambda g, s, w, n, e, e_root: leafwise.root((1 - n) * _square(g) + n / w * s + e_root) + e,
            updates,
            (value,),
            weight,
            *(coefficient.at(c, state.count) for c in (nu2, eps, eps_root)),
        )
        return updates, RootMeanSquareState(increment(state.count), second_moment, weight)

    def init(params: optax.Params) -> Any:
        return whole.init(params)

    return transformation(init, update)


@adaptive
def scale_by_qhadam(
    b1: Coefficient = 0.995,
    b2: Coefficient = 0.999,
    nu1: Coefficient = 0.7,
    nu2: Coefficient = 1.0,
    eps: Coefficient = 1e-8,
    eps_root: Coefficient = 0.0,
    *,
    state_dtype: jax.typing.DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """The direction of `qhadam`.

    Args:
      b1: see `adam`.
      b2: see `adam`.
      nu1: see `qhadam`.
      nu2: see `qhadam`.
      eps: see `adam`.
      eps_root: see `adam`.
      state_dtype: see `adam`.
    """
    b1, b2 = coefficient.check("b1", b1), coefficient.check("b2", b2)
    nu1 = coefficient.check("nu1", nu1, coefficient.FINITE)
    nu2 = coefficient.check("nu2", nu2, coefficient.FRACTION)
    eps = coefficient.check("eps", eps, coefficient.NON_NEGATIVE)
    eps_root = coefficient.check("eps_root", eps_root, coefficient.NON_NEGATIVE)
    direction = blend((coefficient.combine(lambda n: 1 - n, nu1), identity()), (nu1, ema(b1, state_dtype=state_dtype)))
    return grouping.named(divide(direction, by=_size(b2, nu2, eps, eps_root, state_dtype)), b1=b1, nu1=nu1, nu2=nu2)


@adaptive
def qhadam(
    learning_rate: Coefficient,
    b1: Coefficient = 0.995,
    b2: Coefficient = 0.999,
    nu1: Coefficient = 0.7,
    nu2: Coefficient = 1.0,
    eps: Coefficient = 1e-8,
    eps_root: Coefficient = 0.0,
    *,
    weight_decay: Coefficient = None,
    mask: Mask | None = None,
    state_dtype: jax.typing.DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Quasi-hyperbolic Adam: both averages of `adam` are blended with what they average.

    With gradient `g`, averages and weights as in `adam`:

        direction <- (1 - nu1) * g + nu1 * velocity / weight1
        size      <- sqrt((1 - nu2) * |g|^2 + nu2 * second_moment / weight2 + eps_root) + eps
        params    <- params - learning_rate * direction / size

    `nu1 = nu2 = 1` is `adam`; `nu1 = 0` keeps no velocity, `nu2 = 0` no second moment.

    Args:
      learning_rate: see `adam`.
      b1: see `adam`; the paper's authors recommend .995 with `nu1 = .7` to those who use .9 in Adam.
      b2: see `adam`.
      nu1: how much of the direction is the average; in [0, 1] in the paper, but any finite number.
      nu2: how much of the mean square is the average, in [0, 1].
      eps: see `adam`.
      eps_root: see `adam`.
      weight_decay: see `heavy_ball`.
      mask: see `heavy_ball`.
      state_dtype: see `adam`.

    Returns:
      An optimizer, ready for `init` and `update`.

    Raises:
      TypeError: a coefficient is no number, schedule or tree of these.
      ValueError: a coefficient is out of range, or (at init) its tree does not fit the params.

    References:
      Ma and Yarats (2018), "Quasi-hyperbolic momentum and Adam for deep learning". https://arxiv.org/abs/1810.06801
    """
    direction = scale_by_qhadam(b1, b2, nu1, nu2, eps, eps_root, state_dtype=state_dtype)
    return finish(direction, learning_rate, weight_decay, mask)
