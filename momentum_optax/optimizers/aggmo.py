"""Aggregated momentum (Lucas, Sun, Zemel and Grosse, 2018)."""

from collections.abc import Sequence

import jax
import optax

from .. import _coefficient as coefficient
from .. import _grouping as grouping
from .._adaptive import adaptive
from .._finish import finish
from .._types import Coefficient, Mask
from ..filters.blend import blend
from ..filters.trace import trace


@adaptive
def scale_by_aggmo(
    betas: Sequence[Coefficient] = (0.0, 0.9, 0.99), *, state_dtype: jax.typing.DTypeLike | None = None
) -> optax.GradientTransformationExtraArgs:
    """The direction of `aggmo`: the mean of velocities with different betas.

    Args:
      betas: see `aggmo`.
      state_dtype: see `heavy_ball`.
    """
    betas = coefficient.sequence("betas", betas)
    parts = blend(*[(1 / len(betas), trace(beta, state_dtype=state_dtype)) for beta in betas])
    return grouping.named(parts, **{f"betas[{i}]": beta for i, beta in enumerate(betas)})


@adaptive
def aggmo(
    learning_rate: Coefficient,
    betas: Sequence[Coefficient] = (0.0, 0.9, 0.99),
    *,
    weight_decay: Coefficient = None,
    mask: Mask | None = None,
    state_dtype: jax.typing.DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Aggregated momentum: several velocities at once, the slow ones damped by the fast.

    With gradient `g` and one velocity for each beta, all starting from 0:

        velocity_i <- beta_i * velocity_i + g
        params     <- params - learning_rate * mean_i velocity_i

    Args:
      learning_rate: see `heavy_ball`.
      betas: a sequence of coefficients in [0, 1), one per velocity; the paper takes `1 - 0.1 ** i` for i = 0, 1, ...
      weight_decay: see `heavy_ball`.
      mask: see `heavy_ball`.
      state_dtype: see `heavy_ball`.

    Returns:
      An optimizer, ready for `init` and `update`; holds one velocity for each beta that is not a plain 0.

    Raises:
      TypeError: `betas` is no sequence, or a coefficient is no number, schedule or tree of these.
      ValueError: `betas` is empty, a coefficient is out of range, or (at init) its tree does not fit the params.

    References:
      Lucas, Sun, Zemel and Grosse (2018), "Aggregated Momentum: Stability Through Passive Damping".
      https://arxiv.org/abs/1804.00325
    """
    return finish(scale_by_aggmo(betas, state_dtype=state_dtype), learning_rate, weight_decay, mask)
