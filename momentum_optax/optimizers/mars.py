"""Adam of variance-reduced gradients (Yuan et al., 2024)."""

from typing import Any

import jax
import optax

from .. import _coefficient as coefficient
from .. import _grouping as grouping
from .._adaptive import adaptive
from .._finish import finish, join
from .._types import Coefficient, Mask
from ..directions.divide import divide
from ..directions.gradient_correction import correction
from ..directions.root_mean_square import root_mean_square
from ..filters.ema import ema


@adaptive
def scale_by_mars(
    b1: Coefficient = 0.95,
    b2: Coefficient = 0.99,
    eps: Coefficient = 1e-8,
    gamma: Coefficient = 0.025,
    *,
    max_norm: Coefficient = 1.0,
    approximate: bool = False,
    state_dtype: jax.typing.DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """The direction of `mars`: Adam's, of corrected gradients.

    Args:
      b1: see `mars`.
      b2: see `mars`.
      eps: see `mars`.
      gamma: see `mars`.
      max_norm: see `gradient_correction`.
      approximate: see `mars`.
      state_dtype: see `heavy_ball`.
    """
    return _direction("scale_by_mars", b1, b2, eps, gamma, max_norm, approximate, state_dtype)


def _direction(
    method: str, b1: Any, b2: Any, eps: Any, gamma: Any, max_norm: Any, approximate: bool, state_dtype: Any
) -> optax.GradientTransformationExtraArgs:
    """For the method that the user has called."""
    b1 = coefficient.check("b1", b1)
    corrected = correction(method, b1, gamma, max_norm, approximate, state_dtype)
    average, size = ema(b1, state_dtype=state_dtype), root_mean_square(b2, eps, state_dtype=state_dtype)
    return grouping.named(join(corrected, divide(average, by=size)), b1=b1, b2=b2, eps=eps)


@adaptive
def mars(
    learning_rate: Coefficient,
    b1: Coefficient = 0.95,
    b2: Coefficient = 0.99,
    eps: Coefficient = 1e-8,
    gamma: Coefficient = 0.025,
    *,
    max_norm: Coefficient = 1.0,
    approximate: bool = False,
    weight_decay: Coefficient = None,
    mask: Mask | None = None,
    state_dtype: jax.typing.DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """MARS-AdamW: AdamW of gradients that are corrected by a second gradient on the same batch.

    With gradient `g`, and `previous_gradient` at the params of the last update on the same batch:

        c             <- g + gamma * b1 / (1 - b1) * (g - previous_gradient), scaled down to a norm of max_norm per leaf
        velocity      <- b1 * velocity + (1 - b1) * c
        second_moment <- b2 * second_moment + (1 - b2) * |c|^2
        params        <- params - learning_rate * debiased velocity / (sqrt(debiased second_moment) + eps)

    `make_step` computes both gradients; by hand they are two lines:

        value, g, previous = mo.two_point_gradients(loss)(params, mo.previous_params(state, params), batch)
        updates, state = tx.update(g, state, params, previous_gradient=previous)

    `gamma = 0` is AdamW of clipped gradients. For MARS around another method, chain `gradient_correction` before it.

    Args:
      learning_rate: see `heavy_ball`.
      b1: how much of the average survives a step, in [0, 1).
      b2: how much of the mean square survives a step, in [0, 1).
      eps: added to the root; finite and at least 0.
      gamma: how much of the correction is added, finite; 1 would reduce the variance of the average as `storm` does.
      max_norm: see `gradient_correction`.
      approximate: whether the last gradient, of another batch, stands for `previous_gradient`: MARS-approx, the default
        of the authors' code. Then `update` asks for nothing. The first update, which has no correction, is the state's,
        not a leaf's: a leaf whose first gradient comes later is corrected against 0.
      weight_decay: see `heavy_ball`.
      mask: see `heavy_ball`.
      state_dtype: see `heavy_ball`; the params of the last update are kept as they are.

    Returns:
      An optimizer whose `update` needs `params` and `previous_gradient=`, with the structure and the shapes of the
      gradient (unless it is approximate), and raises a ValueError without them.

    Raises:
      TypeError: a coefficient is no number, schedule or tree of these.
      ValueError: a coefficient is out of range, or (at init) its tree does not fit the params.

    References:
      Yuan, Liu, Wu, Zhou and Gu (2024), "MARS: Unleashing the Power of Variance Reduction for Training Large Models".
      https://arxiv.org/abs/2411.10438
      The authors' code. https://github.com/AGI-Arena/MARS
    """
    direction = _direction("mars", b1, b2, eps, gamma, max_norm, approximate, state_dtype)
    return finish(direction, learning_rate, weight_decay, mask)
