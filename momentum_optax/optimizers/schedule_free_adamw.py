"""Schedule-free AdamW (Defazio et al., 2024)."""

from typing import Any

import jax
import optax

from .. import _coefficient as coefficient
from .. import _grouping as grouping
from .. import _leafwise as leafwise
from .._adaptive import adaptive
from .._finish import finish
from .._types import Coefficient, Mask, Scalar, Schedule
from ..directions.divide import divide
from ..directions.root_mean_square import root_mean_square
from ..filters.identity import IdentityState, identity
from ..wrappers.schedule_free import around, warmed_up


@adaptive
def schedule_free_adamw(
    learning_rate: Coefficient = 0.0025,
    warmup_steps: int | None = None,
    b1: Coefficient = 0.9,
    b2: Coefficient = 0.999,
    eps: Coefficient = 1e-8,
    weight_decay: Coefficient = 0.0,
    weight_lr_power: Scalar | Schedule = 2.0,
    state_dtype: jax.typing.DTypeLike | None = None,
    *,
    r: Scalar | Schedule = 0.0,
    mask: Mask | None = None,
) -> optax.GradientTransformationExtraArgs:
    """AdamW that needs no schedule: `schedule_free` around Adam's denominator, with its average as momentum.

    With gradient `g` at the params, starting from `z = x = params`, at the learning rate after warm-up:

        second_moment <- b2 * second_moment + (1 - b2) * |g|^2
        z      <- z - learning_rate * (g / (sqrt(debiased second_moment) + eps) + weight_decay * params)
        weight <- (count + 1) ** r * max_lr ** weight_lr_power,    max_lr the largest learning rate so far
        x      <- x + weight / (sum of weights) * (z - x)
        params <- (1 - b1) * z + b1 * x

    `eval_params(state, params)` returns `x`, at which to evaluate. These are the numbers of the authors' code; Optax's
    warm-up is one step behind in `z`.

    Args:
      learning_rate: finite and at least 0; one to ten times that of AdamW with a schedule. A number, a schedule, or a
        tree of these.
      warmup_steps: see `schedule_free_sgd`.
      b1: see `schedule_free`.
      b2: see `root_mean_square`.
      eps: see `root_mean_square`.
      weight_decay: see `schedule_free_sgd`.
      weight_lr_power: see `schedule_free`.
      state_dtype: dtype of `z` and `second_moment`; `None` keeps the dtype of each param.
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
    eps = coefficient.check("eps", eps, coefficient.NON_NEGATIVE)
    direction = divide(identity(), by=root_mean_square(b2, eps, state_dtype=state_dtype))
    inner = finish(direction, learning_rate, weight_decay, mask)
    last = finish(identity(), learning_rate, weight_decay, mask)

    def anew(updates, old, new, params):
        # Behind a barrier the compiler does not see that these are the steps that it has formed already.
        size, count = new[0].denominator, old[0].denominator.count
        memory = size.second_moment
        memory = jax.lax.optimization_barrier(memory) if jax.tree.leaves(memory) else memory
        square, _ = leafwise.remember(_square, updates, memory)
        inverse = jax.tree.map(lambda w: 1 / w, size.weight)
        direction = leafwise.emit(_divided, updates, (square,), inverse, coefficient.at(eps, count))
        return last.update(direction, (IdentityState(), *old[1:]), params)[0]

    tx = around(inner, learning_rate, b1, weight_lr_power, state_dtype, r, anew)
    return grouping.named(tx, b2=b2, eps=eps)


def _square(g: jax.Array, memory: Any) -> jax.Array:
    """The second moment; without a memory, where `b2` is a plain 0, that of this gradient."""
    return memory if isinstance(memory, jax.Array) else (g * g.conj()).real


def _divided(g: jax.Array, square: jax.Array, inverse: Any, eps: Any) -> jax.Array:
    return g / (leafwise.root(square * inverse) + eps)
