"""Adam whose second moment moves by steps that do not grow with it (Zaheer et al., 2018)."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from .. import _coefficient as coefficient
from .. import _grouping as grouping
from .._adaptive import adaptive
from .._finish import finish
from .._types import Coefficient, Mask, Scalar
from ..directions.divide import divide
from ..directions.root_yogi import root_yogi
from ..filters.ema import EmaState, ema


@adaptive
def scale_by_yogi(
    b1: Coefficient = 0.9,
    b2: Coefficient = 0.999,
    eps: Coefficient = 1e-3,
    eps_root: Coefficient = 0.0,
    initial_accumulator_value: Scalar = 1e-6,
    *,
    state_dtype: jax.typing.DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """The direction of `yogi`.

    Args:
      b1: see `adam`.
      b2: see `yogi`.
      eps: see `adam`.
      eps_root: see `adam`.
      initial_accumulator_value: where both memories start; one number, finite and at least 0.
      state_dtype: see `adam`.
    """
    b1 = coefficient.check("b1", b1)
    start = coefficient.number("initial_accumulator_value", initial_accumulator_value, coefficient.NON_NEGATIVE)
    average = ema(b1, state_dtype=state_dtype)

    def init(params: optax.Params) -> EmaState:
        grouping.fit("b1", b1, params)
        state: Any = average.init(params)
        return state._replace(velocity=jax.tree.map(lambda z: z + jnp.asarray(start, z.dtype), state.velocity))

    above = optax.GradientTransformationExtraArgs(init, average.update)
    return divide(above, by=root_yogi(b2, eps, eps_root, initial=start, state_dtype=state_dtype))


@adaptive
def yogi(
    learning_rate: Coefficient,
    b1: Coefficient = 0.9,
    b2: Coefficient = 0.999,
    eps: Coefficient = 1e-3,
    *,
    weight_decay: Coefficient = None,
    mask: Mask | None = None,
    state_dtype: jax.typing.DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Adam whose steps do not suddenly grow where gradients become small.

    With gradient `g`, average and weights as in `adam`, but starting from `velocity = second_moment = 1e-6`:

        velocity      <- b1 * velocity + (1 - b1) * g
        second_moment <- second_moment - (1 - b2) * sign(second_moment - |g|^2) * |g|^2
        params <- params - learning_rate * (velocity / weight1) / (sqrt(second_moment / weight2) + eps)

    The paper has no weights and starts the velocity at 0; TensorFlow Addons has weights and starts the velocity at 0,
    too. This is the convention of Optax and of `torch_optimizer`. The arguments are Optax's, in its order.

    Args:
      learning_rate: see `adam`; the paper's is 10 times that of Adam.
      b1: see `adam`.
      b2: 1 minus the share of a squared gradient by which the second moment moves; in [0, 1).
      eps: see `adam`.
      weight_decay: see `heavy_ball`.
      mask: see `heavy_ball`.
      state_dtype: see `adam`.

    Returns:
      An optimizer, ready for `init` and `update`.

    Raises:
      TypeError: a coefficient is no number, schedule or tree of these.
      ValueError: a coefficient is out of range, or (at init) its tree does not fit the params.

    References:
      Zaheer, Reddi, Sachan, Kale and Kumar (2018), "Adaptive Methods for Nonconvex Optimization", Algorithm 2.
      https://papers.nips.cc/paper/2018/hash/90365351ccc7437a1309dc64e4db32a3-Abstract.html
    """
    return finish(scale_by_yogi(b1, b2, eps, state_dtype=state_dtype), learning_rate, weight_decay, mask)
