"""AdEMAMix: a fast and a very slow average (Pagliardini, Ablin and Grangier, 2024)."""

from typing import Any

import jax
import optax

from .. import _coefficient as coefficient
from .. import _grouping as grouping
from .. import _leafwise as leafwise
from .._adaptive import adaptive
from .._finish import finish
from .._order import check_order, if_plain, in_order
from .._types import Coefficient, Mask
from ..directions.divide import divide
from ..directions.root_mean_square import root_mean_square
from ..filters.blend import blend
from ..filters.ema import ema


@in_order
@adaptive
def scale_by_ademamix(
    b1: Coefficient = 0.9,
    b2: Coefficient = 0.999,
    b3: Coefficient = 0.9999,
    alpha: Coefficient = 6.0,
    eps: Coefficient = 1e-8,
    eps_root: Coefficient = 0.0,
    mu_dtype: jax.typing.DTypeLike | None = None,
    *,
    state_dtype: jax.typing.DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """The direction of `ademamix`: a fast and a slow average of gradients over the root of their mean square.

    Args:
      b1: see `ademamix`.
      b2: see `ademamix`.
      b3: see `ademamix`.
      alpha: see `ademamix`; 6 by default, as in Optax.
      eps: see `ademamix`.
      eps_root: see `ademamix`.
      mu_dtype: see `ademamix`.
      state_dtype: see `ademamix`.
    """
    return _direction(b1, b2, b3, alpha, eps, eps_root, mu_dtype, state_dtype)


def _direction(
    b1: Any, b2: Any, b3: Any, alpha: Any, eps: Any, eps_root: Any, mu_dtype: Any, state_dtype: Any
) -> optax.GradientTransformationExtraArgs:
    """Of coefficients in which `layerwise` has become a tree, and a rule an array."""
    b1, b3 = coefficient.check("b1", b1), coefficient.check("b3", b3)
    alpha = coefficient.check("alpha", alpha, coefficient.FINITE)
    first = leafwise.first_dtype(mu_dtype, state_dtype)
    averages = blend((1.0, ema(b1, state_dtype=first)), (alpha, ema(b3, debias=False, state_dtype=first)))
    ratio = divide(averages, by=root_mean_square(b2, eps, eps_root, state_dtype=state_dtype))
    named = grouping.named(ratio, b1=b1, b3=b3, alpha=alpha)

    def init(params: optax.Params) -> Any:
        if jax.tree.leaves(params):  # without leaves, what `layerwise` has for some stands for all
            check_order(if_plain(b1), if_plain(b3), alpha)
        return named.init(params)

    return optax.GradientTransformationExtraArgs(init, named.update)


@in_order
@adaptive
def ademamix(
    learning_rate: Coefficient,
    b1: Coefficient = 0.9,
    b2: Coefficient = 0.999,
    b3: Coefficient = 0.9999,
    alpha: Coefficient = 5.0,
    eps: Coefficient = 1e-8,
    eps_root: Coefficient = 0.0,
    mu_dtype: jax.typing.DTypeLike | None = None,
    weight_decay: Coefficient = 0.0,
    mask: Mask | None = None,
    *,
    state_dtype: jax.typing.DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """AdEMAMix: Adam with a second average that remembers tens of thousands of steps.

    With gradient `g`, starting from `fast = slow = second_moment = 0`, where `hat` stands for debiasing:

        fast          <- b1 * fast + (1 - b1) * g
        slow          <- b3 * slow + (1 - b3) * g
        second_moment <- b2 * second_moment + (1 - b2) * |g|^2
        direction     <- (hat fast + alpha * slow) / (sqrt(hat second_moment + eps_root) + eps)
        params        <- params - learning_rate * (direction + weight_decay * params)

    The slow average is not debiased: it fills up slowly. `alpha = 0` is Adam and keeps no slow average.

    The paper lets `alpha` grow from 0 and `b3` from `b1`: `schedules.ademamix_alpha` and `schedules.ademamix_b3`. Both
    begin at the paper's t = 1, so that they give its values here and in `optax.contrib.ademamix` as well.

    Args:
      learning_rate: see `heavy_ball`; about the distance of a step for each number, divided by `1 + alpha`.
      b1: how much of the fast average survives a step, in [0, 1); at a plain 0 none is kept.
      b2: how much of the mean square survives a step, in [0, 1).
      b3: how much of the slow average survives a step, in [0, 1); for no leaf below `b1`, but for a plain 0 (or where
        `alpha` is one). Only numbers can be held against each other: what is traced, a schedule's or a rule's may be.
      alpha: how much the slow average weighs beside the fast one; finite. The paper takes 4 to 10.
      eps: added outside the root; finite and at least 0, in units of the gradient.
      eps_root: added inside the root; finite and at least 0, in units of the squared gradient.
      mu_dtype: dtype of the averages of gradients; `None` for `state_dtype`. In bfloat16 a `b3` above .99 hardly moves.
      weight_decay: see `heavy_ball`.
      mask: see `heavy_ball`.
      state_dtype: dtype of all memories; `None` keeps the dtype of each param.

    Returns:
      An optimizer, ready for `init` and `update`; holds three arrays of the size of the params.

    Raises:
      TypeError: a coefficient is no number, schedule or tree of these, or a dtype is not floating.
      ValueError: a coefficient is out of range, `b1` is above `b3` (of `layerwise`, at init), or (at init) a tree does
        not fit the params.

    Examples:
      For a run of 10,000 steps:

      >>> import momentum_optax as mo
      >>> tx = mo.ademamix(
      ...     1e-3,
      ...     b3=mo.schedules.ademamix_b3(0.9999, 10_000, b1=0.9),
      ...     alpha=mo.schedules.ademamix_alpha(5.0, 10_000),
      ... )

    References:
      Pagliardini, Ablin and Grangier (2024), "The AdEMAMix Optimizer: Better, Faster, Older".
      https://arxiv.org/abs/2409.03137
    """
    direction = _direction(b1, b2, b3, alpha, eps, eps_root, mu_dtype, state_dtype)
    return finish(direction, learning_rate, weight_decay, mask)
