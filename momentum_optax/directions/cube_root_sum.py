"""The cube root of the weighted sum of squares, MADGRAD's denominator (Defazio and Jelassi, 2021)."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from .. import _coefficient as coefficient
from .. import _grouping as grouping
from .. import _leafwise as leafwise
from .._adaptive import adaptive
from .._transformation import increment, transformation, zero_count
from .._types import Coefficient


class CubeRootSumState(NamedTuple):
    """State of `cube_root_sum`.

    Attributes:
      count: `()` int32, updates so far.
      second_moment: weighted sum of squared magnitudes; real, shaped like the params.
    """

    count: jax.Array
    second_moment: Any


@adaptive
def cube_root_sum(
    scale: Coefficient = 1.0, eps: Coefficient = 1e-6, *, state_dtype: jax.typing.DTypeLike | None = None
) -> optax.GradientTransformationExtraArgs:
    """Replaces each gradient by the cube root of the sum of the squares of all gradients so far.

    For every leaf, with gradient `g`, starting from `second_moment = 0`:

        second_moment <- second_moment + scale * |g|^2
        update        <- cbrt(second_moment) + eps

    `madgrad` divides the sum of gradients by it, both with the scale `(learning_rate + eps) * sqrt(count + 1)`. The
    root has derivative 0 at 0, as that of `root_mean_square`.

    Args:
      scale: how much a squared gradient adds to the sum; finite and at least 0.
      eps: added outside the root; finite and at least 0.
      state_dtype: dtype of `second_moment`; `None` keeps the (real) dtype of each param. In bfloat16 a sum stops
        growing after some hundred terms.

    Returns:
      A transformation that ignores `params`; its updates have the gradient's dtype and no imaginary part.

    Raises:
      TypeError: a coefficient is no number, schedule or tree of these.
      ValueError: a coefficient is out of range, or (at init) its tree does not fit the params.

    References:
      Defazio and Jelassi (2021), "Adaptivity without Compromise: A Momentumized, Adaptive, Dual Averaged Gradient
      Method for Stochastic Optimization". https://arxiv.org/abs/2101.11075
    """
    scale = coefficient.check("scale", scale, coefficient.NON_NEGATIVE)
    eps = coefficient.check("eps", eps, coefficient.NON_NEGATIVE)

    def init(params: optax.Params) -> CubeRootSumState:
        grouping.fit("scale", scale, params)
        grouping.fit("eps", eps, params)
        return CubeRootSumState(zero_count(), leafwise.zeros(params, state_dtype, real=True))

    def update(updates, state: CubeRootSumState, params=None, **extra) -> tuple[optax.Updates, CubeRootSumState]:
        del params, extra
        value, second_moment = leafwise.remember(
            lambda g, s, a: s + a * (g * g.conj()).real,
            updates,
            state.second_moment,
            coefficient.at(scale, state.count),
        )
        updates = leafwise.emit(lambda g, s, e: cube_root(s) + e, updates, (value,), coefficient.at(eps, state.count))
        return updates, CubeRootSumState(increment(state.count), second_moment)

    return transformation(init, update)


@jax.custom_jvp
def cube_root(x: jax.Array) -> jax.Array:
    """Cube root of what is at least 0, with derivative 0 at 0 instead of infinite; what is subnormal counts as 0."""
    tiny, zero = jnp.finfo(x.dtype).tiny, jnp.zeros_like(x)
    if x.dtype != jnp.float32:
        return jnp.where(x < tiny, zero, jnp.cbrt(x))
    normal = (x >= tiny) & (x < jnp.inf)
    # Infinity and NaN are their own roots; a NaN is in no comparison. For all these the formula gets a 1.
    return jnp.where(normal, _cube_root(jnp.where(normal, x, jnp.ones_like(x))), jnp.where(x < tiny, zero, x))


@cube_root.defjvp
def _(primals: tuple[jax.Array], tangents: tuple[jax.Array]) -> tuple[jax.Array, jax.Array]:
    y = cube_root(*primals)
    zero = y == 0
    return y, jnp.where(zero, 0, tangents[0] / jnp.where(zero, 1, 3 * y * y))


def _cube_root(x: jax.Array) -> jax.Array:
    """The cube root of normal float32 numbers above 0, with an error below one unit in the last place.

    On a CPU `jnp.cbrt` is computed one number at a time; integers, products and a quotient take all lanes.
    """
    # The bits of a number are nearly its logarithm: a constant minus a third of them is `x^(-1/3)` to 3.5%.
    third = jax.lax.div(jax.lax.bitcast_convert_type(x, jnp.int32), np.int32(3))
    y = jax.lax.bitcast_convert_type(np.int32(0x54A21D2A) - third, jnp.float32)
    # Times the series of `(1 - rest)^(-1/3)` up to the cube: to 2e-5, without a division.
    rest = 1 - x * y * y * y
    y = y * (1 + rest * (1 / 3 + rest * (2 / 9 + rest * (14 / 81))))
    # One step of Newton's method on the root itself, whose quotient corrects the rounding of what came before.
    root = x * y * y
    return root - (root - x / (root * root)) / 3
