"""Heavy ball whose step and momentum come from the loss (Goujaud, Taylor and Dieuleveut, 2022)."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from .. import _coefficient as coefficient
from .. import _leafwise as leafwise
from .. import _sums as sums
from .._transformation import increment, transformation, zero_count
from .._types import Scalar, Schedule


class PolyakHeavyBallState(NamedTuple):
    """State of `polyak_heavy_ball`.

    Attributes:
      count: `()` int32, updates so far.
      velocity: the last update; shaped like the params.
      gradient: the last gradient; shaped like the params.
      gap: `()`, how far the last loss was above `f_star`.
    """

    count: jax.Array
    velocity: Any
    gradient: Any
    gap: jax.Array


def _quotient(a: jax.Array, b: jax.Array) -> jax.Array:
    """`a / b`, and 0 where `b` is 0 or less; derivatives stay finite there."""
    empty = b <= 0  # false for NaN, which shows
    return jnp.where(empty, 0.0, a / jnp.where(empty, 1.0, b))


def polyak_heavy_ball(
    f_star: Scalar | Schedule = 0.0, *, state_dtype: jax.typing.DTypeLike | None = None
) -> optax.GradientTransformationExtraArgs:
    """Heavy ball without a learning rate or a beta: it needs the lowest possible loss instead, and the loss itself.

    With gradient `g` and loss `value` at the params, starting from `velocity = 0`, `g_before = 0`:

        gap      <- max(value - f_star, 0)
        h        <- 2 * gap / |g|^2
        r        <- (gap / gap_before) * <g, g_before> / |g|^2
        m        <- -r / (1 + r), or 0 if r <= -1
        velocity <- m * velocity - (1 + m) * h * g
        params   <- params + velocity

    On a quadratic with minimum `f_star` no method that goes along the gradients it has seen comes nearer to the
    minimiser in any number of steps: the params are its projections, `d` steps solve it in `d` dimensions, and in exact
    arithmetic `-1 < r < 0` until then. On other functions nothing is known, and `h` is twice Polyak's step. Noise in
    the loss and its gradient goes right into both coefficients: the method is for full batches.

    The inner products are over all leaves that have a gradient.

    Args:
      f_star: the minimum of the loss, finite; a number or a schedule. With one too high the method stops where the loss
        is below it, with one too low its steps are too long.
      state_dtype: dtype of `velocity` and `gradient`; `None` keeps the dtype of each param.

    Returns:
      An optimizer whose `update` needs `value=`, the loss at the params, and raises a ValueError without it.

    Raises:
      TypeError: `f_star` is no number or schedule.
      ValueError: `f_star` is not finite.

    Examples:
      Two steps for two dimensions:

      >>> import jax, jax.numpy as jnp, momentum_optax as mo
      >>> loss = lambda x: x[0] ** 2 / 2 + 2 * x[1] ** 2
      >>> tx = mo.polyak_heavy_ball()
      >>> params = jnp.array([3.0, 1.0])
      >>> state = tx.init(params)
      >>> for _ in range(2):
      ...     value, g = jax.value_and_grad(loss)(params)
      ...     update, state = tx.update(g, state, params, value=value)
      ...     params = mo.apply_updates(params, update)
      >>> bool(jnp.all(jnp.abs(params) < 1e-5))
      True

    References:
      Goujaud, Taylor and Dieuleveut (2022), "Quadratic minimization: from conjugate gradient to an adaptive Heavy-ball
      method with Polyak step-sizes". https://arxiv.org/abs/2210.06367
    """
    f_star = coefficient.single("f_star", f_star, coefficient.FINITE)

    def init(params: optax.Params) -> PolyakHeavyBallState:
        def memory():
            return leafwise.zeros(params, state_dtype)

        # With the first gradient the momentum is 0 whatever this gap is: the gradient before is 0.
        return PolyakHeavyBallState(zero_count(), memory(), memory(), jnp.ones(()))

    def update(
        updates, state: PolyakHeavyBallState, params=None, *, value: Any = None, **extra
    ) -> tuple[optax.Updates, PolyakHeavyBallState]:
        del params, extra
        if value is None:
            raise ValueError(
                "polyak_heavy_ball needs the loss at the params: call update(updates, state, params, value=value)."
            )
        gap = jnp.maximum(leafwise.widen(value) - coefficient.at(f_star, state.count), 0)
        wide = leafwise.widen_tree(updates)
        past = leafwise.emit(lambda g, m: m, wide, (state.gradient,))
        square = sums.inner_product(wide, wide)
        h = _quotient(2 * gap, square)
        # Quotients first: the paper's products of squares would overflow.
        r = _quotient(gap, state.gap) * _quotient(sums.inner_product(wide, past), square)
        m = _quotient(-r, 1 + r)
        step, velocity = leafwise.remember(lambda g, v, h, m: m * v - (1 + m) * h * g, updates, state.velocity, h, m)
        _, gradient = leafwise.remember(lambda g, m: g, updates, state.gradient)
        updates = leafwise.emit(lambda g, v: v, updates, (step,))
        new_gap = leafwise.narrow(gap, state.gap.dtype)
        return updates, PolyakHeavyBallState(increment(state.count), velocity, gradient, new_gap)

    return transformation(init, update)
