"""A bank of averages of different lengths (after Zheng and Cheng, 2026)."""

from collections.abc import Sequence

import jax
import optax

from .. import _coefficient as coefficient
from .. import _grouping as grouping
from .._adaptive import adaptive
from .._types import Coefficient
from .blend import blend
from .ema import ema


@adaptive
def bank(
    betas: Sequence[Coefficient],
    weights: Sequence[Coefficient] = (),
    *,
    debias: bool = True,
    state_dtype: jax.typing.DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Replaces each gradient by a mixture of moving averages, short and long ones.

    With gradient `g`, and for each beta a velocity that starts at 0:

        velocity_i <- beta_i * velocity_i + (1 - beta_i) * g
        update     <- sum of weights_i * velocity_i / (1 - product of all beta_i so far)

    Without `debias` nothing is divided by. The gradient of `k` steps ago weighs `sum of weights_i * (1 - beta_i) *
    beta_i^k`: a sum of exponentials comes close to any kernel that falls smoothly, such as a power of the age, which
    one average cannot. For betas that spread evenly over the scales see `log_spaced_betas`, for weights with a given
    mean age, which may change during the run, see `mean_age_weights`.

    The cost is one array for each beta, read and written once, and the gradient; no other array of that size. (On a CPU
    every array that comes out is a loop of its own, and the sum reads the arrays a second time.)

    Args:
      betas: a list or tuple of coefficients in [0, 1), one for each average; where one is a plain 0, its average is the
        gradient, and nothing is kept.
      weights: as many finite coefficients; empty for the mean of the averages. With weights that sum to 1 a constant
        gradient gives itself. An average with a plain 0 is left out.
      debias: whether to divide each average by the weight of the gradients it has seen.
      state_dtype: dtype of the velocities; `None` keeps the dtype of each param.

    Returns:
      A transformation that ignores `params`.

    Raises:
      TypeError: `betas` or `weights` is no list or tuple, or holds what is no coefficient.
      ValueError: there are no betas, not as many weights, a coefficient is out of range, or (at init) its tree does not
        fit the params.

    Examples:
      Eight averages of mean age 1 to 1000 between them, of mean age 58 together, under Adam's denominator:

      >>> import jax.numpy as jnp, momentum_optax as mo
      >>> betas = mo.log_spaced_betas(8, 1, 1000)
      >>> tx = mo.divide(mo.bank(betas, mo.mean_age_weights(betas, 58)), by=mo.root_mean_square(0.999))
      >>> update, _ = tx.update(jnp.full(2, 3.0), tx.init(jnp.zeros(2)))
      >>> print(update.round(4))
      [1. 1.]

    References:
      Zheng and Cheng (2026), "K-Maxwell momentum", a mixture of 6 to 8 logarithmically spaced averages under Muon.
      https://github.com/KellerJordan/modded-nanogpt/pull/357
    """
    betas = coefficient.sequence("betas", betas)
    if isinstance(weights, list | tuple) and not weights:
        weights = (1 / len(betas),) * len(betas)
    weights = coefficient.sequence("weights", weights, coefficient.FINITE)
    if len(weights) != len(betas):
        raise ValueError(
            f"weights must be as many as betas, or none; got {len(weights)} weights and {len(betas)} betas."
        )
    averages = [ema(beta, debias=debias, state_dtype=state_dtype) for beta in betas]
    places = {f"betas[{i}]": beta for i, beta in enumerate(betas)}
    places |= {f"weights[{i}]": weight for i, weight in enumerate(weights)}
    return grouping.named(blend(*zip(weights, averages, strict=True)), **places)
