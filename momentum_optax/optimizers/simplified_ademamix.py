"""Simplified AdEMAMix: one velocity and the gradient (Morwani, Vyas, Zhang and Kakade, 2025)."""

import jax
import optax

from .. import _coefficient as coefficient
from .. import _grouping as grouping
from .._adaptive import adaptive
from .._finish import finish
from .._types import Coefficient, Mask
from ..directions.divide import divide
from ..directions.root_mean_square import root_mean_square
from ..filters.blend import blend
from ..filters.identity import identity
from ..filters.trace import trace


@adaptive
def scale_by_simplified_ademamix(
    b1: Coefficient = 0.99,
    b2: Coefficient = 0.95,
    alpha: Coefficient = 0.0,
    eps: Coefficient = 1e-8,
    eps_root: Coefficient = 0.0,
    *,
    state_dtype: jax.typing.DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """The direction of `simplified_ademamix`: a decaying sum and the gradient over the root of the mean square.

    Args:
      b1: see `simplified_ademamix`.
      b2: see `simplified_ademamix`.
      alpha: see `simplified_ademamix`.
      eps: see `simplified_ademamix`.
      eps_root: see `simplified_ademamix`.
      state_dtype: see `simplified_ademamix`.
    """
    b1 = coefficient.check("b1", b1)
    alpha = coefficient.check("alpha", alpha, coefficient.FINITE)
    velocity = blend((1.0, trace(b1, state_dtype=state_dtype)), (alpha, identity()))
    ratio = divide(velocity, by=root_mean_square(b2, eps, eps_root, state_dtype=state_dtype))
    return grouping.named(ratio, b1=b1, alpha=alpha)


@adaptive
def simplified_ademamix(
    learning_rate: Coefficient,
    b1: Coefficient = 0.99,
    b2: Coefficient = 0.95,
    alpha: Coefficient = 0.0,
    eps: Coefficient = 1e-8,
    eps_root: Coefficient = 0.0,
    weight_decay: Coefficient = 0.0,
    mask: Mask | None = None,
    *,
    state_dtype: jax.typing.DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Simplified AdEMAMix: a long memory and the gradient itself, with one velocity instead of two averages.

    With gradient `g`, starting from `velocity = second_moment = 0`, where `hat` stands for debiasing:

        velocity      <- b1 * velocity + g
        second_moment <- b2 * second_moment + (1 - b2) * |g|^2
        direction     <- (velocity + alpha * g) / (sqrt(hat second_moment + eps_root) + eps)
        params        <- params - learning_rate * (direction + weight_decay * params)

    The velocity is a sum and no average: a constant gradient is amplified by up to `1 / (1 - b1)`. `alpha = 0` is Adam
    with learning rate `learning_rate / (1 - b1)` and an average that is not debiased. The authors' optional warm-up of
    `b1`, from `low`, is `schedules.ademamix_b3(b1, steps, low)`.

    Args:
      learning_rate: see `heavy_ball`; the authors take `sqrt((1 - b) * (1 - b1))` of Adam's, `b` being Adam's `b1`.
      b1: how much of the velocity survives a step, in [0, 1).
      b2: how much of the mean square survives a step, in [0, 1).
      alpha: how much the gradient counts beside the velocity; finite. The smaller the batch, the larger: from about 0
        to 100 in the authors' runs.
      eps: added outside the root; finite and at least 0, in units of the gradient.
      eps_root: added inside the root; finite and at least 0, in units of the squared gradient.
      weight_decay: see `heavy_ball`.
      mask: see `heavy_ball`.
      state_dtype: dtype of both memories; `None` keeps the dtype of each param.

    Returns:
      An optimizer, ready for `init` and `update`.

    Raises:
      TypeError: a coefficient is no number, schedule or tree of these.
      ValueError: a coefficient is out of range, or (at init) its tree does not fit the params.

    References:
      Morwani, Vyas, Zhang and Kakade (2025), "Connections between Schedule-Free Optimizers, AdEMAMix, and Accelerated
      SGD Variants". https://arxiv.org/abs/2502.02431
    """
    direction = scale_by_simplified_ademamix(b1, b2, alpha, eps, eps_root, state_dtype=state_dtype)
    return finish(direction, learning_rate, weight_decay, mask)
