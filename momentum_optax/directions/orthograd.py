"""Gradients without the part along the params (Prieto et al., 2025)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from .. import _leafwise as leafwise
from .. import _sums as sums
from .._rule import ratio
from .._transformation import transformation


class OrthogradState(NamedTuple):
    """State of `orthograd`: nothing."""


def orthograd() -> optax.GradientTransformationExtraArgs:
    """Takes from each gradient its part along the params, and gives the rest the length of the whole.

    For every leaf, with gradient `g`:

        across <- g - <g, params> / <params, params> * params
        update <- across * |g| / |across|

    What only makes the params longer, and so a classifier surer, is not learnt. Put it before a velocity. Params that
    are 0 lose nothing; of a gradient that is parallel to the params, up to half the digits, nothing is left; a leaf of
    a single number, which has no other direction, passes. (The authors' code leaves these two to rounding.) For the
    projection of *updates*, where the loss does not depend on the length of the params, see `orthogonal_to_params`.

    Returns:
      A transformation whose `update` needs `params` and raises a ValueError without them.

    Examples:
      >>> import jax.numpy as jnp, momentum_optax as mo
      >>> tx = mo.orthograd()
      >>> params = jnp.array([2.0, 0.0])
      >>> print(tx.update(jnp.array([3.0, 4.0]), tx.init(params), params)[0])
      [0. 5.]

    References:
      Prieto, Barsbey, Mediano and Birdal (2025), "Grokking at the Edge of Numerical Stability".
      https://arxiv.org/abs/2501.04697
    """

    def init(params: optax.Params) -> OrthogradState:
        leafwise.check_params(params)
        return OrthogradState()

    def update(updates, state: OrthogradState, params=None, **extra) -> tuple[optax.Updates, OrthogradState]:
        del extra
        if params is None:
            raise ValueError("orthograd needs the params: call update(updates, state, params).")
        return leafwise.emit(_across, updates, (params,)), state

    return transformation(init, update)


def _across(g: jax.Array, p: jax.Array) -> jax.Array:
    if g.size < 2:
        return g
    whole, length, along = sums.inner_products((g, g), (p, p), (p, g))
    cosine = ratio(along, leafwise.root(whole) * leafwise.root(length))
    rest = 1 - cosine**2  # of the squared length, found without another pass
    left = rest > jnp.finfo(whole.dtype).eps ** 0.5
    return (g - ratio(along, length) * p) * jnp.where(left, 1 / leafwise.root(jnp.where(left, rest, 1)), 0)
