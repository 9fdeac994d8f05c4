"""Gradient descent along an exponential moving average."""

import jax
import optax

from .._adaptive import adaptive
from .._finish import finish
from .._types import Coefficient, Mask
from ..filters.ema import ema


@adaptive
def scale_by_ema_momentum(
    beta: Coefficient = 0.9, *, debias: bool = False, state_dtype: jax.typing.DTypeLike | None = None
) -> optax.GradientTransformationExtraArgs:
    """The direction of `ema_momentum`: `ema(beta, debias=debias)`, which see."""
    return ema(beta, debias=debias, state_dtype=state_dtype)


@adaptive
def ema_momentum(
    learning_rate: Coefficient,
    beta: Coefficient = 0.9,
    *,
    debias: bool = False,
    weight_decay: Coefficient = None,
    mask: Mask | None = None,
    state_dtype: jax.typing.DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Gradient descent along the moving average of gradients.

    With gradient `g`, starting from `velocity = 0`:

        velocity <- beta * velocity + (1 - beta) * g
        params   <- params - learning_rate * velocity

    and with `debias` the velocity is divided by 1 minus the product of all betas so far. The step does not grow with
    `beta`: at constant coefficients this is `heavy_ball(learning_rate * (1 - beta), beta)`; see `convert`.

    Args:
      learning_rate: see `heavy_ball`.
      beta: how much of the average survives a step, in [0, 1).
      debias: whether to make up for the start at 0.
      weight_decay: see `heavy_ball`.
      mask: see `heavy_ball`.
      state_dtype: see `heavy_ball`.

    Returns:
      An optimizer, ready for `init` and `update`.

    Raises:
      TypeError: a coefficient is no number, schedule or tree of these.
      ValueError: a coefficient is out of range, or (at init) its tree does not fit the params.

    References:
      Kingma and Ba (2014), "Adam: A Method for Stochastic Optimization", Section 3. https://arxiv.org/abs/1412.6980
    """
    direction = scale_by_ema_momentum(beta, debias=debias, state_dtype=state_dtype)
    return finish(direction, learning_rate, weight_decay, mask)
