"""Adam, and Adam with decoupled weight decay (Kingma and Ba, 2014; Loshchilov and Hutter, 2017)."""

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
def scale_by_adam(
    b1: Coefficient = 0.9,
    b2: Coefficient = 0.999,
    eps: Coefficient = 1e-8,
    eps_root: Coefficient = 0.0,
    mu_dtype: jax.typing.DTypeLike | None = None,
    *,
    nesterov: bool = False,
    state_dtype: jax.typing.DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """The direction of `adam`: the average of gradients over the root of their mean square.

    Args:
      b1: see `adam`.
      b2: see `adam`.
      eps: see `adam`.
      eps_root: see `adam`.
      mu_dtype: see `adam`.
      nesterov: see `adam`.
      state_dtype: see `adam`.
    """
    b1 = coefficient.check("b1", b1)
    average = ema(b1, nesterov=nesterov, state_dtype=leafwise.first_dtype(mu_dtype, state_dtype))
    return grouping.named(divide(average, by=root_mean_square(b2, eps, eps_root, state_dtype=state_dtype)), b1=b1)


@adaptive
def adam(
    learning_rate: Coefficient,
    b1: Coefficient = 0.9,
    b2: Coefficient = 0.999,
    eps: Coefficient = 1e-8,
    eps_root: Coefficient = 0.0,
    mu_dtype: jax.typing.DTypeLike | None = None,
    *,
    nesterov: bool = False,
    weight_decay: Coefficient = None,
    mask: Mask | None = None,
    state_dtype: jax.typing.DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Adam: every number of the params moves by about the learning rate, whatever the size of its gradient.

    With gradient `g`, starting from `velocity = second_moment = 0` and both weights 0:

        velocity      <- b1 * velocity + (1 - b1) * g
        second_moment <- b2 * second_moment + (1 - b2) * |g|^2
        weight1, weight2 <- b1 * weight1 + (1 - b1), b2 * weight2 + (1 - b2)
        params <- params - learning_rate * (velocity / weight1) / (sqrt(second_moment / weight2 + eps_root) + eps)

    A weight is 1 minus the product of its betas, in Optax `1 - b ** count`: the same for constants, and right for
    schedules as well. The arguments are Optax's, in its order.

    Args:
      learning_rate: about the distance of a step for each number; a number or schedule at least 0, or a tree of these.
      b1: how much of the average of gradients survives a step, in [0, 1); at a plain 0 none is kept.
      b2: how much of the average of their squares survives a step, in [0, 1).
      eps: added outside the root; finite and at least 0, in units of the gradient.
      eps_root: added inside the root; finite and at least 0, in units of the squared gradient.
      mu_dtype: dtype of the average of gradients; `None` for `state_dtype`. Steps are taken from the average as stored,
        those of Optax from the one that is not yet rounded.
      nesterov: whether to weigh the newest gradient as the next average will: `nadam`.
      weight_decay: see `heavy_ball`; torch's `Adam` has another, before the averages: put `add_decayed_weights` first.
      mask: see `heavy_ball`.
      state_dtype: dtype of both averages; `None` keeps the dtype of each param.

    Returns:
      An optimizer, ready for `init` and `update`.

    Raises:
      TypeError: a coefficient is no number, schedule or tree of these, or a dtype is not floating.
      ValueError: a coefficient is out of range, or (at init) its tree does not fit the params.

    Examples:
      The first step is the learning rate, whatever the gradient:

      >>> import jax.numpy as jnp, momentum_optax as mo
      >>> tx = mo.adam(0.5)
      >>> update, _ = tx.update(jnp.array([1e-3, -1e3]), tx.init(jnp.zeros(2)))
      >>> print(update.round(3))
      [-0.5  0.5]

    References:
      Kingma and Ba (2014), "Adam: A Method for Stochastic Optimization". https://arxiv.org/abs/1412.6980
    """
    direction = scale_by_adam(b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov, state_dtype=state_dtype)
    return finish(direction, learning_rate, weight_decay, mask)


@adaptive
def adamw(
    learning_rate: Coefficient,
    b1: Coefficient = 0.9,
    b2: Coefficient = 0.999,
    eps: Coefficient = 1e-8,
    eps_root: Coefficient = 0.0,
    mu_dtype: jax.typing.DTypeLike | None = None,
    weight_decay: Coefficient = 1e-4,
    mask: Mask | None = None,
    *,
    nesterov: bool = False,
    state_dtype: jax.typing.DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """`adam` with weight decay by default: `params <- params - learning_rate * (direction + weight_decay * params)`.

    The decay is decoupled: it is not divided by the size of the gradients. The arguments are Optax's, in its order.

    Args:
      learning_rate: see `adam`.
      b1: see `adam`.
      b2: see `adam`.
      eps: see `adam`.
      eps_root: see `adam`.
      mu_dtype: see `adam`.
      weight_decay: see `heavy_ball`; torch's default is .01.
      mask: see `heavy_ball`.
      nesterov: see `adam`.
      state_dtype: see `adam`.

    Returns:
      An optimizer, ready for `init` and `update`.

    Raises:
      TypeError: a coefficient is no number, schedule or tree of these, or a dtype is not floating.
      ValueError: a coefficient is out of range, or (at init) its tree does not fit the params.

    References:
      Loshchilov and Hutter (2017), "Decoupled Weight Decay Regularization". https://arxiv.org/abs/1711.05101
    """
    direction = scale_by_adam(b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov, state_dtype=state_dtype)
    return finish(direction, learning_rate, weight_decay, mask)
