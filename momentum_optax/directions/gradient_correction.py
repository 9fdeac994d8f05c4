"""Gradients corrected by how much the last step has changed them (Yuan et al., 2024)."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from .. import _coefficient as coefficient
from .. import _grouping as grouping
from .. import _leafwise as leafwise
from .. import _sums as sums
from .._adaptive import adaptive
from .._transformation import transformation
from .._types import Coefficient
from ..filters.blend import blend
from ..filters.difference import since_last
from ..filters.identity import identity
from ..filters.two_point_difference import since_last_params


def _limited(tx: optax.GradientTransformationExtraArgs, max_norm: Any) -> optax.GradientTransformationExtraArgs:
    """`update <- u * min(1, max_norm / |u|)` at each leaf, with `u` the update of `tx`, which is cheap."""

    def update(updates, state, params=None, *, previous_gradient: Any = None, **extra):
        def corrected(gradients):
            wide = leafwise.widen_tree(gradients)
            return tx.update(wide, state, params, previous_gradient=previous_gradient, **extra)

        corrections, new_state = again, _ = corrected(updates)
        if jax.tree.leaves(updates):
            # Once more for the norms: behind a barrier the compiler does not see that they are the same; it keeps none.
            again, _ = corrected(jax.lax.optimization_barrier(updates))
        squares = leafwise.emit(lambda g, u: sums.inner_products((u, u))[0], leafwise.widen_tree(updates), (again,))

        def leaf(g, u, square, limit):
            return u * (1 / jnp.maximum(1.0, leafwise.root(square) / limit))

        return leafwise.emit(leaf, updates, (corrections, squares), max_norm), new_state

    return transformation(tx.init, update)


@adaptive
def gradient_correction(
    beta: Coefficient = 0.95,
    gamma: Coefficient = 0.025,
    *,
    max_norm: Coefficient = 1.0,
    approximate: bool = False,
    state_dtype: jax.typing.DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Corrects each gradient for what comes after it, an average by `beta`: the first half of `mars`.

    For every leaf, with gradient `g`, and `previous_gradient` at the params of the last update on the same batch:

        correction <- gamma * beta / (1 - beta) * (g - previous_gradient)
        update     <- g + correction, scaled down to a norm of max_norm

    An average lags behind the gradient. At `gamma = 1` the correction carries it along, and the average is that of
    `storm` with `a = 1 - beta`. What follows in the chain makes a method of it: `divide(ema(b1), by=
    root_mean_square(b2))` makes `mars`, `ema(b1, debias=False)` and `sign()` MARS-Lion, `trace(b1)` and an orthogonal
    factor MARS-Shampoo.

    With `approximate` the last gradient, of another batch, stands for `previous_gradient`: there is no second gradient
    to compute, one more memory to keep, and little variance that is reduced. It is what the authors' code does by
    default. (At the first update there is no correction, as in the paper; in the code the last gradient is 0 then. The
    first update is the state's, not a leaf's: a leaf whose first gradient comes later is corrected against 0.)

    Args:
      beta: that of the average to come, in [0, 1).
      gamma: how much of the correction is added, finite; 0 in plain averages. Where it or `beta` is a plain 0, nothing
        is kept and no second gradient needed.
      max_norm: the largest norm that a leaf keeps, finite and above 0, in units of the gradient; `None` for no limit.
        (The authors' code limits each leaf, as here. For their equations, which have one norm of all leaves, chain
        `optax.clip_by_global_norm(1.0)` behind `max_norm=None`.)
      approximate: whether to use the last gradient instead of asking for `previous_gradient=`.
      state_dtype: dtype of the last gradient; `None` keeps the dtype of each param.

    Returns:
      A transformation whose `update` needs `params` and `previous_gradient=`, see `two_point_difference`, unless it is
      approximate.

    Raises:
      TypeError: a coefficient is no number, schedule or tree of these.
      ValueError: a coefficient is out of range, or (at init) its tree does not fit the params.

    References:
      Yuan, Liu, Wu, Zhou and Gu (2024), "MARS: Unleashing the Power of Variance Reduction for Training Large Models",
      equation 2.5 and algorithm 1. https://arxiv.org/abs/2411.10438
    """
    return correction("gradient_correction", beta, gamma, max_norm, approximate, state_dtype)


def correction(
    method: str, beta: Any, gamma: Any, max_norm: Any, approximate: bool, state_dtype: Any
) -> optax.GradientTransformationExtraArgs:
    """`gradient_correction`, for a method that has another name where something is missing."""
    beta = coefficient.check("beta", beta)
    gamma = coefficient.check("gamma", gamma, coefficient.FINITE)
    change = since_last(state_dtype=state_dtype) if approximate else since_last_params(method)
    share = coefficient.combine(lambda b, weight: weight * b / (1 - b), beta, gamma)
    if approximate and not coefficient.is_zero(share):
        # No correction at first. The weight says so: a choice for each number would take the norm half as long again.
        share = coefficient.combine(lambda s, later: s * later, share, lambda count: jnp.where(count > 0, 1.0, 0.0))
    corrected = blend((1.0, identity()), (share, change))
    if max_norm is None:
        return grouping.named(corrected, beta=beta, gamma=gamma)
    limit = coefficient.check("max_norm", max_norm, coefficient.POSITIVE)
    if coefficient.varies(limit):
        raise TypeError(f"max_norm must be a number, or a tree of numbers; got {max_norm!r}.")
    return grouping.named(_limited(corrected, limit), beta=beta, gamma=gamma, max_norm=limit)
