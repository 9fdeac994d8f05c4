"""The velocity of torch's and Keras's SGD."""

import jax
import optax

from .. import _grouping as grouping
from .._types import Coefficient
from ..filters.blend import blend
from ..filters.identity import identity
from ..filters.trace import trace


def velocity(
    momentum: Coefficient, nesterov: bool, dampening: Coefficient, state_dtype: jax.typing.DTypeLike | None
) -> optax.GradientTransformationExtraArgs:
    """`trace`, which with `nesterov` looks ahead by the momentum of the step, and not by that of the next."""
    average = trace(momentum, dampening=dampening, state_dtype=state_dtype)
    if nesterov:
        average = blend((1.0, identity()), (momentum, average))
    return grouping.named(average, momentum=momentum, dampening=dampening)
