"""The sign of each number, hard or smooth (Bernstein et al., 2018)."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from .. import _coefficient as coefficient
from .. import _grouping as grouping
from .. import _leafwise as leafwise
from .._adaptive import adaptive
from .._transformation import increment, transformation, zero_count
from .._types import Coefficient


class SignState(NamedTuple):
    """State of `sign`.

    Attributes:
      count: `()` int32, updates so far.
    """

    count: jax.Array


@adaptive
def sign(smoothing: Coefficient = 0.0) -> optax.GradientTransformationExtraArgs:
    """Replaces each number by its sign, or by a smooth step from -1 to 1.

        update <- g / |g|, and 0 where g is 0          (smoothing = 0)
        update <- g / |g| * tanh(|g| / smoothing)      (smoothing > 0)

    A smooth sign is `g / smoothing` for numbers far below `smoothing` and the sign for those far above it: close to a
    minimum its steps become small, and those of the hard one do not. A complex number keeps its phase: its sign has
    magnitude 1. The sign of what is infinite is NaN, so that an overflow shows.

    Args:
      smoothing: the size of number at which the step turns into a sign, in units of the gradient; finite and at least
        0. (Softsign's temperature is `1 / smoothing`.)

    Returns:
      A transformation that ignores `params`.

    Raises:
      TypeError: `smoothing` is no number, schedule or tree of these.
      ValueError: it is out of range, or (at init) its tree does not fit the params.

    Examples:
      >>> import jax.numpy as jnp, momentum_optax as mo
      >>> tx = mo.sign()
      >>> g = jnp.array([-3.0, 0.0, 1e-30])
      >>> print(tx.update(g, tx.init(g))[0])
      [-1.  0.  1.]

    References:
      Bernstein, Wang, Azizzadenesheli and Anandkumar (2018), "signSGD: Compressed Optimisation for Non-Convex
      Problems". https://arxiv.org/abs/1802.04434
      Feoktistov, Belinsky, Veprikov, Zainullin and Beznosikov (2026), "Softsign: Smooth Sign in Your Optimizer For
      Better Parameter Heterogeneity Handling". https://arxiv.org/abs/2605.31371
    """
    smoothing = coefficient.check("smoothing", smoothing, coefficient.NON_NEGATIVE)

    def init(params: optax.Params) -> SignState:
        leafwise.check_params(params)
        grouping.fit("smoothing", smoothing, params)
        return SignState(zero_count())

    def update(updates, state: SignState, params=None, **extra) -> tuple[optax.Updates, SignState]:
        del params, extra
        updates = leafwise.emit(sign_of, updates, (), coefficient.at(smoothing, state.count))
        return updates, SignState(increment(state.count))

    return transformation(init, update)


def sign_of(x: jax.Array, smoothing: Any = 0.0) -> jax.Array:
    """The sign of each number of an array, as `sign` has it."""
    if jnp.iscomplexobj(x):
        size = jnp.abs(x)
        hard = x / jnp.where(size == 0, 1, size)
    else:
        size = x
        hard = jnp.where(jnp.isinf(x), jnp.nan, jnp.sign(x))
    if coefficient.is_zero(smoothing):
        return hard
    # Two selects: the derivative of a quotient by 0 would be NaN though it is not taken.
    step = jnp.tanh(size / jnp.where(smoothing == 0, 1, smoothing))
    soft = hard * step if jnp.iscomplexobj(x) else jnp.where(jnp.isinf(x), jnp.nan, step)
    return jnp.where(smoothing == 0, hard, soft)


def agreement(one: jax.Array, other: jax.Array) -> jax.Array:
    """A number for each pair that is above 0 where the two point the same way: `Re(a * conj(b))`, but for its size."""
    if jnp.iscomplexobj(one) or jnp.iscomplexobj(other):
        return jnp.real(one) * jnp.real(other) + jnp.imag(one) * jnp.imag(other)
    # Of signs, which do not underflow to 0 as a product of two small numbers does.
    return jnp.sign(one) * jnp.sign(other)
