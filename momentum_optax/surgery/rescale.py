"""Velocities times a number."""

from typing import Any

import jax.numpy as jnp
import optax

from .. import _coefficient as coefficient
from .. import _leafwise as leafwise
from .. import _memories as memories
from .._types import Scalar
from ._choice import Where, check_found, chooser, in_group


def rescale(
    state: optax.OptState, factor: Scalar, where: Where | None = None, *, group: str | None = None
) -> optax.OptState:
    """Multiplies the velocities in the state of any optimizer: the momentum correction for a new learning rate.

    For every leaf that is chosen:

        velocity <- factor * velocity

    A velocity that holds gradients (`heavy_ball`, `ema_momentum`, torch, Optax) needs no correction: the learning rate
    comes after it. One that holds steps (`heavy_ball(lr_in_velocity=True)`, `nesterov`, Keras) keeps the sizes at which
    they were taken; with `factor = new learning rate / old` it is as if all of them had been taken at the new one, and
    the run is that of the other kind. The authors found that it matters most when the learning rate rises.

    The weight by which an average is debiased stays: a debiased average is `factor` times what it was, until new
    gradients replace it. Second moments stay, too.

    Args:
      state: see `reset`.
      factor: any finite number, traced or not; below 0 the velocity turns around.
      where: see `reset`.
      group: see `reset`.

    Returns:
      The state, with the same structure, shapes and dtypes.

    Raises:
      TypeError: `factor` is no number, or `where` none of what is accepted.
      ValueError: the state holds no velocity, `where` names or chooses no leaf, no partition has the group, or `factor`
        is not finite.

    Examples:
      >>> import jax.numpy as jnp, momentum_optax as mo
      >>> tx = mo.heavy_ball(1.0, beta=0.5, lr_in_velocity=True)
      >>> _, state = tx.update(jnp.ones(()), tx.init(jnp.zeros(())))
      >>> update, _ = tx.update(jnp.zeros(()), mo.rescale(state, 0.1))
      >>> print(update)
      -0.05

    References:
      Goyal et al. (2017), "Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour", Section 3, momentum correction.
      https://arxiv.org/abs/1706.02677
    """
    number = coefficient.number("factor", factor, coefficient.FINITE)

    def operate(part: Any) -> Any:
        check_found(part)
        chosen = chooser(where, part)

        def leaf(path, velocity):
            if chosen is not None and not chosen(path):
                return velocity
            return leafwise.narrow(jnp.asarray(leafwise.widen(velocity) * number), velocity.dtype)

        return memories.edit(leaf, part)

    return in_group(operate, state, group)
