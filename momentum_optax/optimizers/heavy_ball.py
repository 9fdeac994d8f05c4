"""Heavy ball (Polyak, 1964)."""

import jax
import optax

from .._adaptive import adaptive
from .._finish import finish, finish_inside
from .._types import Coefficient, Mask
from ..filters.trace import trace


@adaptive
def scale_by_heavy_ball(
    beta: Coefficient = 0.9, *, state_dtype: jax.typing.DTypeLike | None = None
) -> optax.GradientTransformationExtraArgs:
    """The direction of `heavy_ball`: `trace(beta)`, which see."""
    return trace(beta, state_dtype=state_dtype)


@adaptive
def heavy_ball(
    learning_rate: Coefficient,
    beta: Coefficient = 0.9,
    *,
    lr_in_velocity: bool = False,
    weight_decay: Coefficient = None,
    mask: Mask | None = None,
    state_dtype: jax.typing.DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Gradient descent with heavy-ball momentum.

    With gradient `g`, starting from `velocity = 0`:

        velocity <- beta * velocity + g
        params   <- params - learning_rate * velocity            (as in torch)

    or, with `lr_in_velocity`, which differs as soon as the learning rate changes:

        velocity <- beta * velocity + learning_rate * g
        params   <- params - velocity                            (as in Keras)

    The second is Polyak's `params <- params - learning_rate * g + beta * (params - previous params)` under every
    schedule; in the state its velocity has the sign of the step.

    Args:
      learning_rate: step size, a number or schedule at least 0, or a tree of these.
      beta: how much of the velocity survives a step, in [0, 1); a number, schedule or tree. 0 is gradient descent.
      lr_in_velocity: whether past steps keep the learning rate at which they were taken.
      weight_decay: decoupled decay, multiplied by the learning rate; `None` for none.
      mask: which leaves decay; a tree of bools, or a function of the params giving one.
      state_dtype: dtype of `velocity`; `None` keeps the dtype of each param.

    Returns:
      An optimizer, ready for `init` and `update`; with `weight_decay`, `update` needs the params.

    Raises:
      TypeError: a coefficient is no number, schedule or tree of these.
      ValueError: a coefficient is out of range, or (at init) its tree does not fit the params.

    Examples:
      With gradient 1 throughout, three steps move by 1, then 1.5, then 1.75:

      >>> import jax.numpy as jnp, momentum_optax as mo
      >>> tx = mo.heavy_ball(learning_rate=1.0, beta=0.5)
      >>> state = tx.init(jnp.zeros(()))
      >>> for _ in range(3):
      ...     update, state = tx.update(jnp.ones(()), state)
      ...     print(update)
      -1.0
      -1.5
      -1.75

    References:
      Polyak (1964), "Some methods of speeding up the convergence of iteration methods".
      https://doi.org/10.1016/0041-5553(64)90137-5
    """
    velocity = scale_by_heavy_ball(beta, state_dtype=state_dtype)
    join = finish_inside if lr_in_velocity else finish
    return join(velocity, learning_rate, weight_decay, mask)
