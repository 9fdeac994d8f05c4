"""Signum: the sign of an average (Bernstein et al., 2018)."""

import jax
import optax

from .. import _coefficient as coefficient
from .. import _leafwise as leafwise
from .._adaptive import adaptive
from .._finish import finish, join
from .._types import Coefficient, Mask
from ..directions.sign import sign
from ..filters.ema import ema


@adaptive
def scale_by_signum(
    beta: Coefficient = 0.9,
    accumulator_dtype: jax.typing.DTypeLike | None = None,
    *,
    state_dtype: jax.typing.DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """The direction of `signum`: the sign of the average of gradients.

    Args:
      beta: see `signum`.
      accumulator_dtype: see `signum`.
      state_dtype: see `heavy_ball`.
    """
    dtype = leafwise.first_dtype(accumulator_dtype, state_dtype, "accumulator_dtype")
    return join(ema(beta, debias=False, state_dtype=dtype), sign())


@adaptive
def signum(
    learning_rate: Coefficient,
    beta: Coefficient = 0.9,
    accumulator_dtype: jax.typing.DTypeLike | None = None,
    *,
    weight_decay: Coefficient = None,
    mask: Mask | None = None,
    state_dtype: jax.typing.DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Signum, sign descent with momentum: every number of the params moves by the learning rate, up or down.

    With gradient `g`, starting from `velocity = 0`:

        velocity <- beta * velocity + (1 - beta) * g
        params   <- params - learning_rate * sign(velocity)

    `beta = 0` is signSGD. It is `lion` with both decays equal. For a sign that turns smooth near 0, chain the parts:
    `chain(ema(beta, debias=False), sign(smoothing), scale_by_learning_rate(learning_rate))`. The arguments are Optax's,
    in its order.

    Args:
      learning_rate: see `heavy_ball`; the distance of a step for each number.
      beta: how much of the average survives a step, in [0, 1).
      accumulator_dtype: dtype of `velocity`; `None` for `state_dtype`.
      weight_decay: see `heavy_ball`.
      mask: see `heavy_ball`.
      state_dtype: see `heavy_ball`.

    Returns:
      An optimizer, ready for `init` and `update`.

    Raises:
      TypeError: a coefficient is no number, schedule or tree of these, or a dtype is not floating.
      ValueError: a coefficient is out of range, or (at init) its tree does not fit the params.

    References:
      Bernstein, Wang, Azizzadenesheli and Anandkumar (2018), "signSGD: Compressed Optimisation for Non-Convex
      Problems". https://arxiv.org/abs/1802.04434
    """
    beta = coefficient.check("beta", beta)
    direction = scale_by_signum(beta, accumulator_dtype, state_dtype=state_dtype)
    return finish(direction, learning_rate, weight_decay, mask)
