"""Gradient descent as a PID controller (An et al., 2018)."""

import jax
import optax

from .. import _coefficient as coefficient
from .. import _grouping as grouping
from .._adaptive import adaptive
from .._finish import finish
from .._types import Coefficient, Mask
from ..filters.blend import blend
from ..filters.difference import difference
from ..filters.ema import ema
from ..filters.identity import identity
from ..filters.trace import trace


@adaptive
def scale_by_pid(
    beta: Coefficient = 0.9,
    integral: Coefficient = 5.0,
    derivative: Coefficient = 10.0,
    *,
    state_dtype: jax.typing.DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """The direction of `pid`: the gradient, its decaying sum, and the average of its change.

    Args:
      beta: see `pid`.
      integral: see `pid`.
      derivative: see `pid`.
      state_dtype: see `heavy_ball`.
    """
    integral = coefficient.check("integral", integral, coefficient.FINITE)
    derivative = coefficient.check("derivative", derivative, coefficient.FINITE)
    change = optax.chain(difference(state_dtype=state_dtype), ema(beta, debias=False, state_dtype=state_dtype))
    total = trace(beta, state_dtype=state_dtype)
    parts = blend((1.0, identity()), (integral, total), (derivative, change))
    return grouping.named(parts, integral=integral, derivative=derivative)


@adaptive
def pid(
    learning_rate: Coefficient,
    beta: Coefficient = 0.9,
    integral: Coefficient = 5.0,
    derivative: Coefficient = 10.0,
    *,
    weight_decay: Coefficient = None,
    mask: Mask | None = None,
    state_dtype: jax.typing.DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Gradient descent as a controller: present, past and trend of the gradient.

    With gradient `g`, `g_previous = g` at the first step, and both memories starting from 0:

        sum    <- beta * sum + g
        change <- beta * change + (1 - beta) * (g - g_previous)
        params <- params - learning_rate * (g + integral * sum + derivative * change)

    Args:
      learning_rate: see `heavy_ball`; the first step is `1 + integral` times as long as gradient descent's.
      beta: how much of both memories survives a step, in [0, 1).
      integral: weight of the past; finite.
      derivative: weight of the trend; finite. It damps the overshoot that the past brings.
      weight_decay: see `heavy_ball`.
      mask: see `heavy_ball`.
      state_dtype: see `heavy_ball`.

    Returns:
      An optimizer, ready for `init` and `update`; holds three arrays of the size of the params.

    Raises:
      TypeError: a coefficient is no number, schedule or tree of these.
      ValueError: a coefficient is out of range, or (at init) its tree does not fit the params.

    References:
      An, Wang, Sun, Xu, Dai and Zhang (2018), "A PID Controller Approach for Stochastic Optimization of Deep Networks".
      https://doi.org/10.1109/CVPR.2018.00889
    """
    direction = scale_by_pid(beta, integral, derivative, state_dtype=state_dtype)
    return finish(direction, learning_rate, weight_decay, mask)
