"""Steps across scale-invariant params (Heo et al., 2020)."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import optax

from .. import _coefficient as coefficient
from .. import _leafwise as leafwise
from .. import _sums as sums
from .._rule import ratio
from .._transformation import extended, transformation
from .._types import Scalar
from ..directions.centralize import axis_fits, check_axis


class OrthogonalToParamsState(NamedTuple):
    """State of `orthogonal_to_params`.

    Attributes:
      inner_state: state of the transformation whose updates are projected.
    """

    inner_state: Any


def orthogonal_to_params(
    tx: optax.GradientTransformation, delta: Scalar = 0.1, *, output_axis: int = -1
) -> optax.GradientTransformationExtraArgs:
    """Takes from an update its part along the params, where the loss does not depend on their length.

    Before a normalization the length of the weights does nothing, and their gradient is orthogonal to them. Momentum
    still makes them longer, step by step, and the longer they are, the less a step turns them. With gradient `g` and
    the update `u` of `tx`, for each output of a leaf, `n` numbers of it each, or else for the leaf as a whole:

        invariant <- |cos(g, params)| <= delta / sqrt(n)
        update    <- u - <u, params> / <params, params> * params    where invariant, else u

    All outputs of a leaf have to be invariant, and then each is projected; if they are not, the leaf as a whole is
    asked and projected. Leaves with less than two axes pass. It is the projection of SGDP and AdamP:
    `orthogonal_to_params(adam(1e-3))`. Put weight decay, which is along the params, outside; AdamP takes a tenth of it
    where it projects. For OrthoGrad, which projects gradients and asks nothing, see `orthograd`.

    Args:
      tx: an optimizer, or any part of one; Optax's, too.
      delta: how far from orthogonal a gradient may be, above 0, in units of the cosine of a random direction. At
        `sqrt(n)` and above every leaf counts as invariant.
      output_axis: the axis of the outputs; -1 is that of Flax's kernels, 0 that of torch's.

    Returns:
      A transformation whose `update` needs `params` and raises a ValueError without them; passes extra arguments on.

    Raises:
      TypeError: `tx` is no transformation, `delta` not one number, or `output_axis` no integer.
      ValueError: `delta` is not above 0, or (at init) a leaf has no such axis.

    References:
      Heo, Chun, Oh, Han, Yun, Kim, Uh and Ha (2020), "AdamP: Slowing Down the Slowdown for Momentum Optimizers on
      Scale-invariant Weights". https://arxiv.org/abs/2006.08217
    """
    limit: Any = coefficient.number("delta", delta, coefficient.POSITIVE)
    inside, axis = extended(tx), check_axis(output_axis)

    def leaf(g, u, p):
        if g.ndim < 2 or not g.size:
            return u
        others = tuple(i for i in range(g.ndim) if i != axis % g.ndim)

        def invariant(pg, gg, pp, n):
            return jnp.all(jnp.abs(pg) <= limit / n**0.5 * jnp.sqrt(gg) * jnp.sqrt(pp))

        pg, gg, pp, pu = sums.along(others, *map(sums.product, (p, g, p, p), (g, g, p, u)))
        outputs = invariant(pg, gg, pp, g.size // g.shape[axis])
        whole = invariant(jnp.sum(pg), jnp.sum(gg), jnp.sum(pp), g.size)
        along = jnp.where(outputs, ratio(pu, pp), ratio(jnp.sum(pu), jnp.sum(pp)))
        return u - jnp.where(outputs | whole, along, 0) * p

    def init(params: optax.Params) -> OrthogonalToParamsState:
        axis_fits(axis, params)
        return OrthogonalToParamsState(inside.init(params))

    def update(
        updates, state: OrthogonalToParamsState, params=None, **extra
    ) -> tuple[optax.Updates, OrthogonalToParamsState]:
        if params is None:
            raise ValueError("orthogonal_to_params needs the params: call update(updates, state, params).")
        stepped, inner = inside.update(leafwise.widen_tree(updates), state.inner_state, params, **extra)
        updates = leafwise.emit(leaf, updates, (stepped, params))
        return updates, OrthogonalToParamsState(leafwise.like(inner, state.inner_state))

    return transformation(init, update)
