"""Schedule-free gradient descent (Defazio et al., 2024)."""

import jax
import optax

from .._adaptive import adaptive
from .._finish import finish
from .._types import Coefficient, Mask, Scalar, Schedule
from ..filters.identity import identity
from ..wrappers.schedule_free import schedule_free, warmed_up


@adaptive
def schedule_free_sgd(
    learning_rate: Coefficient = 1.0,
    warmup_steps: int | None = None,
    b1: Coefficient = 0.9,
    weight_decay: Coefficient = None,
    weight_lr_power: Scalar | Schedule = 2.0,
    state_dtype: jax.typing.DTypeLike | None = None,
    *,
    r: Scalar | Schedule = 0.0,
    mask: Mask | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Gradient descent that needs no schedule: `schedule_free` around plain steps.

    With gradient `g` at the params, starting from `z = x = params`, at the learning rate after warm-up:

        z      <- z - learning_rate * (g + weight_decay * params)
        weight <- (count + 1) ** r * max_lr ** weight_lr_power,    max_lr the largest learning rate so far
        x      <- x + weight / (sum of weights) * (z - x)
        params <- (1 - b1) * z + b1 * x

    `eval_params(state, params)` returns `x`, at which to evaluate. These are the numbers of the authors' code; Optax's
    warm-up is one step behind in `z`.

    Args:
      learning_rate: finite and at least 0; larger than for descent with a schedule. A number, a schedule, or a tree of
        these.
      warmup_steps: over how many steps the learning rate rises, `(count + 1) / warmup_steps` of it; `None` for none.
      b1: see `schedule_free`.
      weight_decay: decoupled, multiplied by the learning rate, and taken at the params; `None` for none.
      weight_lr_power: see `schedule_free`.
      state_dtype: see `schedule_free`.
      r: see `schedule_free`.
      mask: see `heavy_ball`.

    Returns:
      An optimizer whose `update` needs `params` and raises a ValueError without them.

    Raises:
      TypeError: a coefficient is no number, schedule or tree of these.
      ValueError: a coefficient is out of range, or (at init) its tree does not fit the params.

    References:
      Defazio, Yang, Mehta, Mishchenko, Khaled and Cutkosky (2024), "The Road Less Scheduled".
      https://arxiv.org/abs/2405.15682
    """
    learning_rate = warmed_up(learning_rate, warmup_steps)
    inner = finish(identity(), learning_rate, weight_decay, mask)
    return schedule_free(inner, learning_rate, b1, weight_lr_power, state_dtype, r=r)
