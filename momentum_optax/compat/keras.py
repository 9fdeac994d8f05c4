"""The optimizers of Keras, number for number."""

import jax
import optax

from .. import _coefficient as coefficient
from .. import _grouping as grouping
from .._adaptive import adaptive
from .._finish import finish, finish_inside
from .._types import Coefficient
from ..directions.divide import divide
from ..directions.root_mean_square import root_mean_square
from ..optimizers.rmsprop import rmsprop
from ._nadam import nadam_average
from ._velocity import velocity


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
    return finish_inside(velocity(momentum, nesterov, 0.0, state_dtype), learning_rate, weight_decay)


@adaptive
def keras_nadam(
    learning_rate: Coefficient = 0.001,
    beta_1: Coefficient = 0.9,
    beta_2: Coefficient = 0.999,
    epsilon: Coefficient = 1e-7,
    *,
    weight_decay: Coefficient = None,
    state_dtype: jax.typing.DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """`keras.optimizers.Nadam`: the momentum grows 250 times as fast as torch's.

    The equation of `torch_nadam` with `momentum_decay = 1`: at step `t`, 1 at the first, with
    `mu(t) = beta_1 * (1 - 0.96 ** t / 2)`,

        velocity      <- beta_1 * velocity + (1 - beta_1) * g
        second_moment <- beta_2 * second_moment + (1 - beta_2) * g^2
        size          <- sqrt(second_moment / (1 - product of beta_2)) + epsilon
        params        <- params - learning_rate / size * (mu(t + 1) * velocity / (1 - product of mu up to t + 1)
                                                          + (1 - mu(t)) * g / (1 - product of mu up to t))

    Args:
      learning_rate: a number, a schedule, or a tree of these.
      beta_1: how much of the average of gradients survives a step, in [0, 1).
      beta_2: how much of the average of their squares survives a step, in [0, 1).
      epsilon: added outside the root; finite and at least 0.
      weight_decay: decoupled, multiplied by the learning rate; `None` for none.
      state_dtype: dtype of both memories; `None` keeps the dtype of each param.

    Returns:
      An optimizer, ready for `init` and `update`.

    Raises:
      TypeError: a coefficient is no number, schedule or tree of these.
      ValueError: a coefficient is out of range.

    References:
      keras.optimizers.Nadam, version 3. https://keras.io/api/optimizers/Nadam/
    """
    beta_1, beta_2 = coefficient.check("beta_1", beta_1), coefficient.check("beta_2", beta_2)
    epsilon = coefficient.check("epsilon", epsilon, coefficient.NON_NEGATIVE)
    average = nadam_average(beta_1, 1.0, state_dtype)
    quotient = divide(average, by=root_mean_square(beta_2, epsilon, state_dtype=state_dtype))
    return finish(grouping.named(quotient, beta_1=beta_1, beta_2=beta_2, epsilon=epsilon), learning_rate, weight_decay)


@adaptive
def keras_rmsprop(
    learning_rate: Coefficient = 0.001,
    rho: Coefficient = 0.9,
    momentum: Coefficient = 0.0,
    epsilon: Coefficient = 1e-7,
    centered: bool = False,
    *,
    weight_decay: Coefficient = None,
    state_dtype: jax.typing.DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """`keras.optimizers.RMSprop`: `rmsprop` under Keras's names, the learning rate remembered with the step.

    (The exceptions of `torch_rmsprop` hold here, too.)

        second_moment <- rho * second_moment + (1 - rho) * g^2
        mean          <- rho * mean + (1 - rho) * g                           (centered; otherwise 0)
        velocity      <- momentum * velocity + learning_rate * g / sqrt(second_moment - mean^2 + epsilon)
        params        <- params - velocity

    Args:
      learning_rate: a number, a schedule, or a tree of these.
      rho: how much of the second moment survives a step, in [0, 1).
      momentum: how much of the velocity survives a step, in [0, 1).
      epsilon: added inside the root; finite and at least 0.
      centered: whether to subtract the square of the mean.
      weight_decay: decoupled, multiplied by the learning rate; `None` for none.
      state_dtype: dtype of the memories; `None` keeps the dtype of each param.

    Returns:
      An optimizer, ready for `init` and `update`.

    Raises:
      TypeError: a coefficient is no number, schedule or tree of these.
      ValueError: a coefficient is out of range.

    References:
      keras.optimizers.RMSprop, version 3. https://keras.io/api/optimizers/rmsprop/
    """
    rho, momentum = coefficient.check("rho", rho), coefficient.check("momentum", momentum)
    epsilon = coefficient.check("epsilon", epsilon, coefficient.NON_NEGATIVE)
    tx = rmsprop(
        learning_rate,
        rho,
        epsilon,
        centered=centered,
        momentum=momentum,
        weight_decay=weight_decay,
        state_dtype=state_dtype,
    )
    return grouping.named(tx, rho=rho, momentum=momentum, epsilon=epsilon)
