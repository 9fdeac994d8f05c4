"""The optimizers of other frameworks, number for number."""

import jax
import jax.numpy as jnp
import optax

from . import _coefficient as coefficient
from . import _grouping as grouping
from ._adaptive import adaptive
from ._finish import add_decayed_weights, finish_inside, join, scale_by_learning_rate
from ._types import Coefficient
from .filters.blend import blend
from .filters.identity import identity
from .filters.trace import trace


def _velocity(
    momentum: Coefficient, nesterov: bool, dampening: Coefficient, state_dtype: jax.typing.DTypeLike | None
) -> optax.GradientTransformationExtraArgs:
    velocity = trace(momentum, dampening=dampening, state_dtype=state_dtype)
    # Not `trace(nesterov=True)`: these frameworks look ahead by the momentum of the step, not by the next one's.
    if nesterov:
        velocity = blend((1.0, identity()), (momentum, velocity))
    return grouping.named(velocity, momentum=momentum, dampening=dampening)


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
    decay = [] if coefficient.is_zero(weight_decay) else [add_decayed_weights(weight_decay)]
    return join(*decay, _velocity(momentum, nesterov, later, state_dtype), scale_by_learning_rate(learning_rate))


@adaptive
def keras_sgd(
    learning_rate: Coefficient = 0.01,
    momentum: Coefficient = 0.0,
    nesterov: bool = False,
    *,
    weight_decay: Coefficient = None,
    state_dtype: jax.typing.DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """`keras.optimizers.SGD`: the learning rate is remembered with the step.

    (The first exception of `torch_sgd` holds here, too.)

    With gradient `g`:

        velocity <- momentum * velocity - learning_rate * g
        params   <- params + velocity                                           (plain)
        params   <- params + momentum * velocity - learning_rate * g            (nesterov)

    Args:
      learning_rate: a number, a schedule, or a tree of these.
      momentum: in [0, 1).
      nesterov: whether to look ahead.
      weight_decay: decoupled, multiplied by the learning rate; `None` for none. Keras decays before it takes the step,
        and the gradient is that of the params before either: the same numbers.
      state_dtype: dtype of `velocity`; `None` keeps the dtype of each param.

    Returns:
      An optimizer, ready for `init` and `update`.

    Raises:
      TypeError: a coefficient is no number, schedule or tree of these.
      ValueError: a coefficient is out of range.

    References:
      keras.optimizers.SGD, version 3. https://keras.io/api/optimizers/sgd/
    """
    momentum = coefficient.check("momentum", momentum)
    return finish_inside(_velocity(momentum, nesterov, 0.0, state_dtype), learning_rate, weight_decay)
