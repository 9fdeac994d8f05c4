"""Adam whose denominator never shrinks (Reddi, Kale and Kumar, 2018)."""

import jax
import optax

from .. import _coefficient as coefficient
from .. import _grouping as grouping
from .. import _leafwise as leafwise
from .._adaptive import adaptive
from .._finish import finish
from .._types import Coefficient, Mask
from ..directions.divide import divide
from ..directions.root_maximum import root_maximum
from ..filters.ema import ema


@adaptive
def scale_by_amsgrad(
    b1: Coefficient = 0.9,
    b2: Coefficient = 0.999,
    eps: Coefficient = 1e-8,
    eps_root: Coefficient = 0.0,
    mu_dtype: jax.typing.DTypeLike | None = None,
    bias_correction_mu: bool = True,
    bias_correction_nu: bool = True,
    *,
    state_dtype: jax.typing.DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """The direction of `amsgrad`.

    Args:
      b1: see `adam`.
      b2: see `adam`.
      eps: see `adam`.
      eps_root: see `adam`.
      mu_dtype: see `adam`.
      bias_correction_mu: see `amsgrad`.
      bias_correction_nu: see `amsgrad`.
      state_dtype: see `amsgrad`.
    """
    b1 = coefficient.check("b1", b1)
    average = ema(b1, debias=bias_correction_mu, state_dtype=leafwise.first_dtype(mu_dtype, state_dtype))
    size = root_maximum(b2, eps, eps_root, debias=bias_correction_nu, state_dtype=state_dtype)
    return grouping.named(divide(average, by=size), b1=b1)


@adaptive
def amsgrad(
    learning_rate: Coefficient,
    b1: Coefficient = 0.9,
    b2: Coefficient = 0.999,
    eps: Coefficient = 1e-8,
    eps_root: Coefficient = 0.0,
    mu_dtype: jax.typing.DTypeLike | None = None,
    bias_correction_mu: bool = True,
    bias_correction_nu: bool = True,
    *,
    weight_decay: Coefficient = None,
    mask: Mask | None = None,
    state_dtype: jax.typing.DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Adam that divides by the largest second moment so far, so that a rare large gradient is not forgotten.

    With gradient `g`, averages and weights as in `adam`, starting from `maximum = 0`:

        maximum <- max(maximum, second_moment / weight2)
        params  <- params - learning_rate * (velocity / weight1) / (sqrt(maximum + eps_root) + eps)

    Without a bias correction its weight is 1; the paper has none. The arguments are Optax's, in its order. torch's
    `Adam(amsgrad=True)` debiases after the maximum: `divide(ema(b1), by=root_maximum(b2, raw_maximum=True))`.

    Args:
      learning_rate: see `adam`.
      b1: see `adam`.
      b2: see `adam`.
      eps: see `adam`.
      eps_root: see `adam`.
      mu_dtype: see `adam`.
      bias_correction_mu: whether to divide the average of gradients by its weight.
      bias_correction_nu: whether to divide the average of squares by its weight, before the maximum is taken.
      weight_decay: see `heavy_ball`.
      mask: see `heavy_ball`.
      state_dtype: dtype of both averages and the maximum; `None` keeps the dtype of each param.

    Returns:
      An optimizer, ready for `init` and `update`.

    Raises:
      TypeError: a coefficient is no number, schedule or tree of these, or a dtype is not floating.
      ValueError: a coefficient is out of range, or (at init) its tree does not fit the params.

    References:
      Reddi, Kale and Kumar (2018), "On the Convergence of Adam and Beyond", Algorithm 2.
      https://arxiv.org/abs/1904.09237
    """
    direction = scale_by_amsgrad(
        b1, b2, eps, eps_root, mu_dtype, bias_correction_mu, bias_correction_nu, state_dtype=state_dtype
    )
    return finish(direction, learning_rate, weight_decay, mask)
