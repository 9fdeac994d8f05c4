"""LaProp: divide first, average then (Ziyin, Wang and Ueda, 2020)."""

import jax
import optax

from .. import _coefficient as coefficient
from .. import _grouping as grouping
from .._adaptive import adaptive
from .._finish import finish, join
from .._types import Coefficient, Mask
from ..directions.divide import divide
from ..directions.root_mean_square import root_mean_square
from ..filters.ema import ema
from ..filters.identity import identity


@adaptive
def scale_by_laprop(
    b1: Coefficient = 0.9,
    b2: Coefficient = 0.999,
    eps: Coefficient = 1e-15,
    *,
    state_dtype: jax.typing.DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """The direction of `laprop`: the average of gradients over the root of their mean square at the time.

    Args:
      b1: see `laprop`.
      b2: see `laprop`.
      eps: see `laprop`.
      state_dtype: see `laprop`.
    """
    b1 = coefficient.check("b1", b1)
    ratio = divide(identity(), by=root_mean_square(b2, eps, state_dtype=state_dtype))
    return grouping.named(join(ratio, ema(b1, state_dtype=state_dtype)), b1=b1)


@adaptive
def laprop(
    learning_rate: Coefficient,
    b1: Coefficient = 0.9,
    b2: Coefficient = 0.999,
    eps: Coefficient = 1e-15,
    *,
    weight_decay: Coefficient = None,
    mask: Mask | None = None,
    state_dtype: jax.typing.DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """LaProp: Adam with the division before the average, which no mismatch of `b1` and `b2` makes diverge.

    With gradient `g`, starting from `velocity = second_moment = 0` and both weights 0:

        second_moment <- b2 * second_moment + (1 - b2) * |g|^2
        weight2       <- b2 * weight2 + (1 - b2)
        velocity      <- b1 * velocity + (1 - b1) * g / (sqrt(second_moment / weight2) + eps)
        weight1       <- b1 * weight1 + (1 - b1)
        params        <- params - learning_rate * velocity / weight1

    No gradient counts for more than `1 / sqrt(1 - b2)`, however large `b1` is. `b2 = 0` averages signs, `b1 = 0` is
    `rmsprop`, debiased.

    The learning rate stands outside the average, as in the paper's algorithm. The authors' code weighs each gradient by
    the learning rate of its time and then by `learning_rate / average of learning rates`: the same while the learning
    rate is constant.

    Args:
      learning_rate: see `heavy_ball`; about the distance of a step for each number.
      b1: how much of the average survives a step, in [0, 1).
      b2: how much of the mean square survives a step, in [0, 1).
      eps: added outside the root; finite and at least 0, in units of the gradient.
      weight_decay: see `heavy_ball`.
      mask: see `heavy_ball`.
      state_dtype: dtype of both memories; `None` keeps the dtype of each param.

    Returns:
      An optimizer, ready for `init` and `update`.

    Raises:
      TypeError: a coefficient is no number, schedule or tree of these.
      ValueError: a coefficient is out of range, or (at init) its tree does not fit the params.

    References:
      Ziyin, Wang and Ueda (2020), "LaProp: Separating Momentum and Adaptivity in Adam".
      https://arxiv.org/abs/2002.04839
    """
    return finish(scale_by_laprop(b1, b2, eps, state_dtype=state_dtype), learning_rate, weight_decay, mask)
