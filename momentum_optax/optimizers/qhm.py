"""Quasi-hyperbolic momentum (Ma and Yarats, 2018)."""

import jax
import optax

from .. import _coefficient as coefficient
from .. import _grouping as grouping
from .._adaptive import adaptive
from .._finish import finish
from .._types import Coefficient, Mask
from ..filters.blend import blend
from ..filters.ema import ema
from ..filters.identity import identity


@adaptive
def scale_by_qhm(
    beta: Coefficient = 0.999, nu: Coefficient = 0.7, *, state_dtype: jax.typing.DTypeLike | None = None
) -> optax.GradientTransformationExtraArgs:
    """The direction of `qhm`: a blend of the gradient and its moving average.

    Args:
      beta: see `qhm`.
      nu: see `qhm`.
      state_dtype: see `heavy_ball`.
    """
    nu = coefficient.check("nu", nu, coefficient.FINITE)
    average = ema(beta, debias=False, state_dtype=state_dtype)
    parts = blend((coefficient.combine(lambda n: 1 - n, nu), identity()), (nu, average))
    return grouping.named(parts, nu=nu)


@adaptive
def qhm(
    learning_rate: Coefficient,
    beta: Coefficient = 0.999,
    nu: Coefficient = 0.7,
    *,
    weight_decay: Coefficient = None,
    mask: Mask | None = None,
    state_dtype: jax.typing.DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Quasi-hyperbolic momentum: a step between gradient descent and momentum.

    With gradient `g`, starting from `velocity = 0`:

        velocity <- beta * velocity + (1 - beta) * g
        params   <- params - learning_rate * ((1 - nu) * g + nu * velocity)

    `nu = 0` is gradient descent and keeps no velocity, `nu = 1` is `ema_momentum`, and
    `qhm(learning_rate / (1 - beta), beta, nu=beta)` is `nesterov(learning_rate, beta)`.

    Args:
      learning_rate: see `heavy_ball`; good values are those of plain gradient descent.
      beta: how much of the average survives a step, in [0, 1).
      nu: how much of the step is the average; in [0, 1] in the paper, but any finite number: other methods are
        quasi-hyperbolic with a `nu` outside.
      weight_decay: see `heavy_ball`.
      mask: see `heavy_ball`.
      state_dtype: see `heavy_ball`.

    Returns:
      An optimizer, ready for `init` and `update`.

    Raises:
      TypeError: a coefficient is no number, schedule or tree of these.
      ValueError: a coefficient is out of range, or (at init) its tree does not fit the params.

    References:
      Ma and Yarats (2018), "Quasi-hyperbolic momentum and Adam for deep learning". https://arxiv.org/abs/1810.06801
    """
    return finish(scale_by_qhm(beta, nu, state_dtype=state_dtype), learning_rate, weight_decay, mask)
