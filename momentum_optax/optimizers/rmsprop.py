"""RMSProp, plain, centred and with momentum (Hinton, 2012; Graves, 2013)."""

import jax
import optax

from .. import _coefficient as coefficient
from .. import _grouping as grouping
from .._adaptive import adaptive
from .._finish import finish_inside, join
from .._types import Coefficient, Mask, Scalar
from ..directions.divide import divide
from ..directions.root_mean_square import root_mean_square
from ..directions.root_variance import root_variance
from ..filters.identity import identity
from ..filters.trace import trace


def _quotient(
    decay: Coefficient,
    eps: Coefficient,
    initial_scale: Scalar,
    eps_in_sqrt: bool,
    centered: bool,
    bias_correction: bool,
    state_dtype: jax.typing.DTypeLike | None,
) -> optax.GradientTransformationExtraArgs:
    decay = coefficient.check("decay", decay)
    eps = coefficient.check("eps", eps, coefficient.NON_NEGATIVE)
    initial_scale = coefficient.number("initial_scale", initial_scale, coefficient.NON_NEGATIVE)
    outside, inside = (0.0, eps) if eps_in_sqrt else (eps, 0.0)
    root = root_variance if centered else root_mean_square
    by = root(decay, outside, inside, debias=bias_correction, initial=initial_scale, state_dtype=state_dtype)
    return grouping.named(divide(identity(), by=by), decay=decay, eps=eps)


def _velocity(
    momentum: Coefficient, nesterov: bool, state_dtype: jax.typing.DTypeLike | None
) -> optax.GradientTransformationExtraArgs:
    momentum = coefficient.check("momentum", momentum)
    return grouping.named(trace(momentum, nesterov=nesterov, state_dtype=state_dtype), momentum=momentum)


@adaptive
def scale_by_rmsprop(
    decay: Coefficient = 0.9,
    eps: Coefficient = 1e-8,
    initial_scale: Scalar = 0.0,
    eps_in_sqrt: bool = True,
    centered: bool = False,
    momentum: Coefficient = None,
    nesterov: bool = False,
    bias_correction: bool = False,
    *,
    state_dtype: jax.typing.DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """The direction of `rmsprop` at a constant learning rate: a velocity of quotients, as torch has it.

    Args:
      decay: see `rmsprop`.
      eps: see `rmsprop`.
      initial_scale: see `rmsprop`.
      eps_in_sqrt: see `rmsprop`.
      centered: see `rmsprop`.
      momentum: see `rmsprop`.
      nesterov: see `rmsprop`.
      bias_correction: see `rmsprop`.
      state_dtype: see `heavy_ball`.
    """
    quotient = _quotient(decay, eps, initial_scale, eps_in_sqrt, centered, bias_correction, state_dtype)
    return join(quotient, _velocity(momentum, nesterov, state_dtype))


@adaptive
def rmsprop(
    learning_rate: Coefficient,
    decay: Coefficient = 0.9,
    eps: Coefficient = 1e-8,
    initial_scale: Scalar = 0.0,
    eps_in_sqrt: bool = True,
    centered: bool = False,
    momentum: Coefficient = None,
    nesterov: bool = False,
    bias_correction: bool = False,
    *,
    weight_decay: Coefficient = None,
    mask: Mask | None = None,
    state_dtype: jax.typing.DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """RMSProp: each gradient divided by how large gradients have been.

    With gradient `g`, starting from `second_moment = initial_scale` and `velocity = 0`:

        second_moment <- decay * second_moment + (1 - decay) * |g|^2
        velocity      <- momentum * velocity - learning_rate * g / sqrt(second_moment + eps)
        params        <- params + velocity

    The arguments are those of `optax.rmsprop`, and so are the numbers. (Under a schedule of `momentum`, which Optax
    does not take, `nesterov` looks ahead by the next momentum, as `trace` does.) As in Optax and Keras the learning
    rate is inside the velocity; torch has it outside (`compat.torch_rmsprop`, or `scale_by_rmsprop` before the learning
    rate).

    Args:
      learning_rate: see `heavy_ball`.
      decay: how much of the second moment survives a step, in [0, 1).
      eps: finite and at least 0; in units of the squared gradient, or with `eps_in_sqrt=False` of the gradient.
      initial_scale: where the second moment starts, finite and at least 0; TensorFlow 1 took 1.
      eps_in_sqrt: whether `eps` is added inside the root (Optax, Keras) or outside (torch).
      centered: whether to divide by the root of the variance, by `root_variance`.
      momentum: how much of the velocity survives a step, in [0, 1); `None` for no velocity.
      nesterov: whether to look ahead.
      bias_correction: whether to divide the second moment by the weight of the gradients seen.
      weight_decay: see `heavy_ball`; the decay is not remembered.
      mask: see `heavy_ball`.
      state_dtype: see `heavy_ball`.

    Returns:
      An optimizer, ready for `init` and `update`.

    Raises:
      TypeError: a coefficient is no number, schedule or tree of these, or `initial_scale` no number.
      ValueError: a number is out of range, or (at init) a tree does not fit the params.

    References:
      Hinton (2012), "Neural Networks for Machine Learning", lecture 6e.
      https://www.cs.toronto.edu/~tijmen/csc321/slides/lecture_slides_lec6.pdf
      Graves (2013), "Generating Sequences With Recurrent Neural Networks". https://arxiv.org/abs/1308.0850
    """
    quotient = _quotient(decay, eps, initial_scale, eps_in_sqrt, centered, bias_correction, state_dtype)
    velocity = _velocity(momentum, nesterov, state_dtype)
    return join(quotient, finish_inside(velocity, learning_rate, weight_decay, mask))
