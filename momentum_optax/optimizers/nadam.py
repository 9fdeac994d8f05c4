"""Adam with Nesterov's look ahead (Dozat, 2016)."""

import jax
import optax

from .. import _coefficient as coefficient
from .. import _grouping as grouping
from .. import _leafwise as leafwise
from .._adaptive import adaptive
from .._finish import finish
from .._types import Coefficient, Mask
from ..directions.divide import divide
from ..directions.root_mean_square import root_mean_square
from ..filters.ema import ema


@adaptive
def scale_by_nadam(
    b1: Coefficient = 0.9,
    b2: Coefficient = 0.999,
    eps: Coefficient = 1e-8,
    eps_root: Coefficient = 0.0,
    mu_dtype: jax.typing.DTypeLike | None = None,
    *,
    nesterov: bool = True,
    state_dtype: jax.typing.DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """The direction of `nadam`.

    Args:
      b1: see `nadam`.
      b2: see `adam`.
      eps: see `adam`.
      eps_root: see `adam`.
      mu_dtype: see `adam`.
      nesterov: see `nadam`.
      state_dtype: see `adam`.
    """
    b1 = coefficient.check("b1", b1)
    average = ema(b1, nesterov=nesterov, state_dtype=leafwise.first_dtype(mu_dtype, state_dtype))
    return grouping.named(divide(average, by=root_mean_square(b2, eps, eps_root, state_dtype=state_dtype)), b1=b1)


@adaptive
def nadam(
    learning_rate: Coefficient,
    b1: Coefficient = 0.9,
    b2: Coefficient = 0.999,
    eps: Coefficient = 1e-8,
    eps_root: Coefficient = 0.0,
    mu_dtype: jax.typing.DTypeLike | None = None,
    *,
    nesterov: bool = True,
    weight_decay: Coefficient = None,
    mask: Mask | None = None,
    state_dtype: jax.typing.DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Adam that looks ahead: the newest gradient weighs as much as it will in the next average.

    With gradient `g`, `b1 = b1(count)` and `next_b1 = b1(count + 1)`, averages and weights as in `adam`, and
    `next_weight1 = next_b1 * weight1 + (1 - next_b1)`:

        ahead  <- next_b1 * velocity / next_weight1 + (1 - b1) * g / weight1
        params <- params - learning_rate * ahead / (sqrt(second_moment / weight2 + eps_root) + eps)

    Dozat's second moment has another factor `b2`, which is left out here as everywhere. His `b1` is a schedule; torch
    and Keras each have one of their own, Optax has none, and any schedule can be given here. The arguments are Optax's,
    in its order.

    Args:
      learning_rate: see `adam`.
      b1: how much of the average of gradients survives a step, in [0, 1); a schedule is asked for the next count, too.
      b2: see `adam`.
      eps: see `adam`.
      eps_root: see `adam`.
      mu_dtype: see `adam`.
      nesterov: whether to look ahead; without, this is `adam`.
      weight_decay: see `heavy_ball`.
      mask: see `heavy_ball`.
      state_dtype: see `adam`.

    Returns:
      An optimizer, ready for `init` and `update`.

    Raises:
      TypeError: a coefficient is no number, schedule or tree of these, or a dtype is not floating.
      ValueError: a coefficient is out of range, or (at init) its tree does not fit the params.

    References:
      Dozat (2016), "Incorporating Nesterov Momentum into Adam". https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ
    """
    direction = scale_by_nadam(b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov, state_dtype=state_dtype)
    return finish(direction, learning_rate, weight_decay, mask)


@adaptive
def nadamw(
    learning_rate: Coefficient,
    b1: Coefficient = 0.9,
    b2: Coefficient = 0.999,
    eps: Coefficient = 1e-8,
    eps_root: Coefficient = 0.0,
    mu_dtype: jax.typing.DTypeLike | None = None,
    weight_decay: Coefficient = 1e-4,
    mask: Mask | None = None,
    *,
    nesterov: bool = True,
    state_dtype: jax.typing.DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """`nadam` with weight decay by default: `params <- params - learning_rate * (direction + weight_decay * params)`.

    Args:
      learning_rate: see `adam`.
      b1: see `nadam`.
      b2: see `adam`.
      eps: see `adam`.
      eps_root: see `adam`.
      mu_dtype: see `adam`.
      weight_decay: see `heavy_ball`.
      mask: see `heavy_ball`.
      nesterov: see `nadam`.
      state_dtype: see `adam`.

    Returns:
      An optimizer, ready for `init` and `update`.

    Raises:
      TypeError: a coefficient is no number, schedule or tree of these, or a dtype is not floating.
      ValueError: a coefficient is out of range, or (at init) its tree does not fit the params.

    References:
      Dozat (2016), "Incorporating Nesterov Momentum into Adam". https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ
      Loshchilov and Hutter (2017), "Decoupled Weight Decay Regularization". https://arxiv.org/abs/1711.05101
    """
    direction = scale_by_nadam(b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov, state_dtype=state_dtype)
    return finish(direction, learning_rate, weight_decay, mask)
