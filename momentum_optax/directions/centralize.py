"""Gradients without their mean (Yong, Huang, Hua and Zhang, 2020)."""

import operator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from .. import _grouping as grouping
from .. import _leafwise as leafwise
from .. import _sums as sums
from .._finish import decaying
from .._transformation import transformation
from .._types import Mask


class CentralizeState(NamedTuple):
    """State of `centralize`: nothing."""


def centralize(output_axis: int = -1, *, mask: Mask | None = None) -> optax.GradientTransformationExtraArgs:
    """Takes the mean over all inputs away from the gradient of each output: `update <- g - mean(g)`.

    The mean is over all axes but that of the outputs, so that the weights of each output keep the sum they have. In
    Flax the outputs are the last axis, of kernels (in, out) and of convolutions (height, width, in, out); in torch they
    are the first, and so they are in `optax.centralize`, which on Flax's kernels takes away the mean over the outputs.
    Vectors and scalars pass as they are.

    Put it before a velocity. Where the params of a layer are a lookup (embeddings) there is no sum over inputs to keep:
    leave them out by the mask.

    Args:
      output_axis: the axis that is kept; -1 is Flax's layout, 0 torch's.
      mask: which of the leaves with two or more axes lose their mean; a tree or tree prefix of bools, or a function of
        the params giving one. `None` for all.

    Returns:
      A transformation that needs `params` only where `mask` is a function of their numbers.

    Raises:
      TypeError: `output_axis` is no integer, or the mask holds something else than bools.
      ValueError: (at init) a leaf has no such axis, or the mask does not fit the params.

    Examples:
      >>> import jax.numpy as jnp, momentum_optax as mo
      >>> tx = mo.centralize()
      >>> g = jnp.array([[1.0, 2.0], [3.0, 6.0]])
      >>> print(tx.update(g, tx.init(g))[0])
      [[-1. -2.]
       [ 1.  2.]]

    References:
      Yong, Huang, Hua and Zhang (2020), "Gradient Centralization: A New Optimization Technique for Deep Neural
      Networks". https://arxiv.org/abs/2004.01461
    """
    axis = check_axis(output_axis)

    def leaf(g, chosen, narrow):
        if g.ndim < 2 or not chosen:
            return g
        others = tuple(i for i in range(g.ndim) if i != axis % g.ndim)
        if not g.size:
            return g
        # In float32 it is an array already, of which the plain mean is faster.
        return g - (_mean(g, others) if narrow else jnp.mean(g, others, keepdims=True))

    def init(params: optax.Params) -> CentralizeState:
        leafwise.check_params(params)
        tree = decaying(mask, params)
        grouping.fit("mask", tree, params)
        axis_fits(axis, params)
        return CentralizeState()

    def update(updates, state: CentralizeState, params=None, **extra) -> tuple[optax.Updates, CentralizeState]:
        del extra
        tree = decaying(mask, updates if params is None else params)
        narrow = jax.tree.map(lambda g: jnp.finfo(jnp.result_type(g)).bits < 32, updates)
        return leafwise.emit(leaf, updates, (), tree, narrow), state

    return transformation(init, update)


def _mean(g: jax.Array, axes: tuple[int, ...]) -> jax.Array:
    (total,) = sums.along(axes, g)
    return total * (total.size / g.size)


def check_axis(output_axis: Any) -> int:
    """The axis as an integer; a TypeError if it is none."""
    try:
        return operator.index(output_axis)
    except TypeError:
        raise TypeError(f"output_axis must be an integer, such as -1 or 0; got {output_axis!r}.") from None


def axis_fits(output_axis: int, params: optax.Params) -> None:
    """Raises a ValueError if a leaf with two or more axes has no such axis."""
    for path, p in jax.tree_util.tree_flatten_with_path(params)[0]:
        ndim = len(jnp.shape(p))
        if ndim > 1 and not -ndim <= output_axis < ndim:
            raise ValueError(
                f"output_axis must be an axis of every leaf that has two or more; got {output_axis}, and "
                f"params{jax.tree_util.keystr(path)} has shape {jnp.shape(p)}."
            )
