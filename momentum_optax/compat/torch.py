"""The optimizers of torch, number for number."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import optax

from .. import _coefficient as coefficient
from .. import _grouping as grouping
from .._adaptive import adaptive
from .._finish import add_decayed_weights, finish, join, scale_by_learning_rate
from .._types import Coefficient
from ..directions.divide import divide
from ..directions.root_mean_square import root_mean_square
from ..optimizers.rmsprop import scale_by_rmsprop
from ._nadam import nadam_average
from ._velocity import velocity


def _coupled(weight_decay: Coefficient) -> list[optax.GradientTransformationExtraArgs]:
    """The L2 penalty before everything else."""
    return [] if coefficient.is_zero(weight_decay) else [add_decayed_weights(weight_decay)]


@adaptive
def torch_sgd(
    learning_rate: Coefficient,
    momentum: Coefficient = 0.0,
    dampening: Coefficient = 0.0,
    nesterov: bool = False,
    weight_decay: Coefficient = 0.0,
    *,
    state_dtype: jax.typing.DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """`torch.optim.SGD`: the same params at every step, also when lr or momentum change on the way.

    (Two exceptions. Where a momentum that is not always 0 becomes 0, torch's velocity rests and this one forgets. And
    the first step is the state's: where a leaf's first gradient comes later, torch does not dampen it and this does.)

    With gradient `g`:

        g        <- g + weight_decay * params
        velocity <- momentum * velocity + (1 - dampening) * g      (at the first step velocity <- g, undampened)
        params   <- params - learning_rate * velocity              (plain)
        params   <- params - learning_rate * (g + momentum * velocity)   (nesterov)

    Args:
      learning_rate: torch's `lr`; a number, a schedule, or a tree of these.
      momentum: in [0, 1).
      dampening: how much of the new gradient is left out, in [0, 1]. With `dampening=momentum` this is an average that
        starts at the first gradient.
      nesterov: whether to add the look ahead; torch demands momentum and no dampening then, and so does this.
      weight_decay: L2 penalty, added to the gradient before the velocity.
      state_dtype: dtype of `velocity`; `None` keeps the dtype of each param.

    Returns:
      An optimizer, ready for `init` and `update`; with a weight decay that is no plain 0, `update` needs the params.

    Raises:
      TypeError: a coefficient is no number, schedule or tree of these.
      ValueError: a coefficient is out of range, or `nesterov` comes without momentum or with dampening.

    References:
      torch.optim.SGD, version 2.13. https://docs.pytorch.org/docs/stable/generated/torch.optim.SGD.html
    """
    momentum = coefficient.check("momentum", momentum)
    dampening = coefficient.check("dampening", dampening, coefficient.FRACTION)
    weight_decay = coefficient.check("weight_decay", weight_decay, coefficient.FINITE)
    if nesterov and (coefficient.is_zero(momentum) or not coefficient.is_zero(dampening)):
        raise ValueError(
            f"nesterov=True needs a momentum and zero dampening; got momentum={momentum!r}, dampening={dampening!r}."
        )
    # Without momentum torch keeps no velocity, and without a velocity there is nothing to dampen.
    later = 0.0 if coefficient.is_zero(momentum) else dampening
    if not coefficient.is_zero(later):
        later = coefficient.combine(lambda d, first: jnp.where(first, 0.0, d), dampening, lambda count: count == 0)
    step = scale_by_learning_rate(learning_rate)
    return join(*_coupled(weight_decay), velocity(momentum, nesterov, later, state_dtype), step)


@adaptive
def torch_nadam(
    learning_rate: Coefficient = 2e-3,
    betas: Sequence[Coefficient] = (0.9, 0.999),
    eps: Coefficient = 1e-8,
    weight_decay: Coefficient = 0.0,
    momentum_decay: Coefficient = 4e-3,
    decoupled_weight_decay: bool = False,
    *,
    state_dtype: jax.typing.DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """`torch.optim.NAdam`: the same params at every step, also when lr or betas change on the way.

    (Complex params aside: torch takes the second moments of their two parts, and this that of their magnitude. And the
    product of the `mu` is in float32 in torch, whatever the params are, unless its default dtype is another.)

    With gradient `g`, at step `t`, 1 at the first, with `mu(t) = beta1 * (1 - 0.96 ** (t * momentum_decay) / 2)`:

        g             <- g + weight_decay * params
        velocity      <- beta1 * velocity + (1 - beta1) * g
        second_moment <- beta2 * second_moment + (1 - beta2) * g^2
        size          <- sqrt(second_moment / (1 - product of beta2)) + eps
        params        <- params - learning_rate / size * (mu(t + 1) * velocity / (1 - product of mu up to t + 1)
                                                          + (1 - mu(t)) * g / (1 - product of mu up to t))

    Args:
      learning_rate: torch's `lr`; a number, a schedule, or a tree of these.
      betas: two coefficients in [0, 1), for the average of gradients and for that of their squares.
      eps: added outside the root; finite and at least 0.
      weight_decay: L2 penalty, added to the gradient; finite.
      momentum_decay: how fast the momentum grows from half of `beta1` to all of it; finite and at least 0.
      decoupled_weight_decay: whether the params decay by `learning_rate * weight_decay` instead.
      state_dtype: dtype of both memories; `None` keeps the dtype of each param.

    Returns:
      An optimizer, ready for `init` and `update`; with a weight decay that is no plain 0, `update` needs the params.

    Raises:
      TypeError: `betas` is no sequence, or a coefficient is no number, schedule or tree of these.
      ValueError: there are not two betas, or a coefficient is out of range.

    References:
      torch.optim.NAdam, version 2.13. https://docs.pytorch.org/docs/stable/generated/torch.optim.NAdam.html
    """
    betas = coefficient.sequence("betas", betas)
    if len(betas) != 2:
        raise ValueError(f"betas must be two coefficients; got {len(betas)} of them.")
    b1, b2 = betas
    eps = coefficient.check("eps", eps, coefficient.NON_NEGATIVE)
    weight_decay = coefficient.check("weight_decay", weight_decay, coefficient.FINITE)
    momentum_decay = coefficient.check("momentum_decay", momentum_decay, coefficient.NON_NEGATIVE)
    average = nadam_average(b1, momentum_decay, state_dtype)
    quotient = divide(average, by=root_mean_square(b2, eps, state_dtype=state_dtype))
    direction = grouping.named(quotient, **{"betas[0]": b1, "betas[1]": b2, "momentum_decay": momentum_decay})
    if decoupled_weight_decay:
        return finish(direction, learning_rate, weight_decay)
    return join(*_coupled(weight_decay), direction, scale_by_learning_rate(learning_rate))


@adaptive
def torch_rmsprop(
    learning_rate: Coefficient = 1e-2,
    alpha: Coefficient = 0.99,
    eps: Coefficient = 1e-8,
    weight_decay: Coefficient = 0.0,
    momentum: Coefficient = 0.0,
    centered: bool = False,
    *,
    state_dtype: jax.typing.DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """`torch.optim.RMSprop`: the same params at every step, also when lr, alpha or momentum change on the way.

    (The first exception of `torch_sgd` and of `torch_nadam` hold here, too. And where rounding makes the variance
    negative, torch's params become NaN, and here it is 0.)

    With gradient `g`:

        g             <- g + weight_decay * params
        second_moment <- alpha * second_moment + (1 - alpha) * g^2
        mean          <- alpha * mean + (1 - alpha) * g                       (centered; otherwise 0)
        velocity      <- momentum * velocity + g / (sqrt(second_moment - mean^2) + eps)
        params        <- params - learning_rate * velocity

    Args:
      learning_rate: torch's `lr`; a number, a schedule, or a tree of these.
      alpha: how much of the second moment survives a step, in [0, 1).
      eps: added outside the root; finite and at least 0.
      weight_decay: L2 penalty, added to the gradient; finite.
      momentum: how much of the velocity survives a step, in [0, 1).
      centered: whether to subtract the square of the mean.
      state_dtype: dtype of the memories; `None` keeps the dtype of each param.

    Returns:
      An optimizer, ready for `init` and `update`; with a weight decay that is no plain 0, `update` needs the params.

    Raises:
      TypeError: a coefficient is no number, schedule or tree of these.
      ValueError: a coefficient is out of range.

    References:
      torch.optim.RMSprop, version 2.13. https://docs.pytorch.org/docs/stable/generated/torch.optim.RMSprop.html
    """
    alpha, momentum = coefficient.check("alpha", alpha), coefficient.check("momentum", momentum)
    weight_decay = coefficient.check("weight_decay", weight_decay, coefficient.FINITE)
    direction = scale_by_rmsprop(
        alpha, eps, eps_in_sqrt=False, centered=centered, momentum=momentum, state_dtype=state_dtype
    )
    direction = grouping.named(direction, alpha=alpha)
    return join(*_coupled(weight_decay), direction, scale_by_learning_rate(learning_rate))
