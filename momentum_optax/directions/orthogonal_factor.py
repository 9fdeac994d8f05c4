"""Each matrix replaced by its orthogonal factor (Jordan, 2024), leaf by leaf or in stacks of equal shapes."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.sharding import PartitionSpec

from .. import _coefficient as coefficient
from .. import _grouping as grouping
from .. import _leafwise as leafwise
from .._adaptive import adaptive
from .._arguments import choice
from .._paths import paths
from .._transformation import increment, transformation, zero_count
from .._types import Coefficient, Scalar
from . import _newton_schulz as newton_schulz
from ._matrices import Layout, axes_of, check_layout, check_shape_factor, shape_factor_of, view
from ._orthogonalize import check_dtype, factor

Strategy = Literal["auto", "leaf", "stacked"]


class OrthogonalFactorState(NamedTuple):
    """State of `orthogonal_factor`.

    Attributes:
      count: `()` int32, updates so far.
    """

    count: jax.Array


@adaptive
def orthogonal_factor(
    ns_coeffs: newton_schulz.Coefficients = "quintic",
    ns_steps: int = 5,
    eps: Coefficient = 1e-8,
    *,
    shape_factor: str | Scalar | None = None,
    layout: Layout = "io",
    ns_dtype: jax.typing.DTypeLike | None = None,
    gram: bool | None = None,
    strategy: Strategy = "auto",
    stack_axis: str | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Replaces each matrix by its orthogonal factor: `update <- shape_factor(g) * orthogonalize(g)`.

    Goes after any velocity, as in `optax.chain(trace(beta, nesterov=True), orthogonal_factor())`. Every leaf must be a
    matrix; `wrappers.for_matrices` gives the others another transformation.

    A leaf of more than two axes is seen as a matrix by a rule, the `layout`. With `"io"`, that of Flax, the last axis
    is the outputs and all others are the inputs: a kernel `(height, width, in, out)` of a convolution becomes `(height
    * width * in, out)`. The one exception are kernels of three axes that Flax's attention calls `query/kernel`,
    `key/kernel` and `value/kernel`: they are `(in, heads, head_dim)`, and become `(in, heads * head_dim)`. (Its
    `out/kernel`, `(heads, head_dim, out)`, becomes `(heads * head_dim, out)` by the rule.) With `"oi"`, that of torch
    and equinox, the first axis is the outputs. A mapping says it for single leaves, in a letter for each axis, and
    leaves the others to `"io"`: `{"*/qkv/kernel": "iooo"}` for `(in, 3, heads, head_dim)`, or `"bio"` for layers
    stacked along the first axis, each of which has its own factor. Such stacks are not guessed; they have to be named.

    The `shape_factor`, with `inputs` and `outputs` of the matrix, is one of

        "original"         sqrt(max(1, outputs / inputs)); torch's and Optax's default
        "match_rms_adamw"  0.2 * sqrt(max(inputs, outputs)); torch's other one, and what Keras does
        "spectral"         sqrt(outputs / inputs)
        a number c         c * sqrt(max(inputs, outputs)); what Optax calls consistent_rms
        None               1

    where `"torch"` and `"optax"` stand for the first and `"keras"` for the second.

    Args:
      ns_coeffs: `coefficients` of `orthogonalize`.
      ns_steps: `steps` of `orthogonalize`.
      eps: added to the norm of each matrix; a number, schedule or tree, finite and at least 0.
      shape_factor: how the size of a step depends on the shape.
      layout: what the axes of the leaves are.
      ns_dtype: in which products are computed, float32, float64 or bfloat16; `None` for that of the leaf, at least
        float32.
      gram: see `orthogonalize`.
      strategy: `"leaf"` does one matrix after the other, in the memory of one; `"stacked"` does all of one shape in one
        product, which needs memory for all; `"auto"` is the first on a CPU and the second elsewhere.
      stack_axis: name of an axis of the mesh (`jax.set_mesh`) over which the matrices of a stack are distributed, each
        whole on one device; `None` to leave them as they are sharded. Implies `"stacked"`.

    Returns:
      A transformation that ignores `params`.

    Raises:
      TypeError: an argument has the wrong type.
      ValueError: an argument is out of range; at `init`, a leaf has less than two axes or another number than `layout`
        says, or the tree of `eps` does not fit the params.

    References:
      Jordan et al. (2024), "Muon: An optimizer for hidden layers in neural networks".
      https://kellerjordan.github.io/posts/muon/
    """
    iteration = newton_schulz.iteration(ns_coeffs, ns_steps)
    eps = coefficient.check("eps", eps, coefficient.NON_NEGATIVE)
    check_shape_factor(shape_factor)
    check_layout(layout)
    check_dtype("ns_dtype", ns_dtype)
    choice("strategy", strategy, ("auto", "leaf", "stacked"))

    def orthogonal(x: jax.Array, e: Any) -> jax.Array:
        return factor(x, iteration, e, ns_dtype, gram)

    def views(tree: Any, leaves: Sequence[Any]) -> list[Any]:
        absent = [x is None or isinstance(x, optax.MaskedNode) for x in leaves]
        ndims = [None if out else jnp.ndim(x) for x, out in zip(leaves, absent, strict=True)]
        axes = axes_of(layout, paths(tree, grouping.is_absent), ndims)
        return [None if out else view(jnp.shape(x), a) for x, a, out in zip(leaves, axes, absent, strict=True)]

    def init(params: optax.Params) -> OrthogonalFactorState:
        leafwise.check_params(params)
        grouping.fit("eps", eps, params)
        views(params, jax.tree.leaves(params, is_leaf=grouping.is_absent))
        return OrthogonalFactorState(zero_count())

    def update(updates, state: OrthogonalFactorState, params=None, **extra):
        del params, extra
        flat, structure = jax.tree.flatten(updates, is_leaf=grouping.is_absent)
        seen = views(updates, flat)
        here = [i for i, of in enumerate(seen) if of is not None]
        now = grouping.spread(coefficient.at(eps, state.count), updates, grouping.is_absent)
        matrices = [_reshaped(leafwise.widen(flat[i]), seen[i].shape) for i in here]
        stacked = strategy == "stacked" or (strategy == "auto" and jax.default_backend() != "cpu")
        if stacked or stack_axis is not None:
            factors = _in_stacks(orthogonal, matrices, [now[i] for i in here], stack_axis)
        else:
            factors = _in_turns(orthogonal, matrices, [now[i] for i in here])
        out = list(flat)
        for i, x in zip(here, factors, strict=True):
            size = shape_factor_of(shape_factor, seen[i])
            out[i] = leafwise.narrow(size * _as(x, flat[i]), jnp.result_type(flat[i]))
        return structure.unflatten(out), OrthogonalFactorState(increment(state.count))

    return transformation(init, update)


def _in_turns(function: Any, matrices: Sequence[jax.Array], eps: Sequence[Any]) -> list[jax.Array]:
    """One after the other. On a CPU each waits for the last, or the compiler would hold the memory of all at once."""
    out: list[jax.Array] = []
    for x, e in zip(matrices, eps, strict=True):
        if out and x.size and out[-1].size and jax.default_backend() == "cpu" and jax.typeof(x).sharding.mesh.empty:
            x = x + _nothing(out[-1]).astype(x.dtype)
        out.append(function(x, e))
    return out


def _nothing(x: jax.Array) -> jax.Array:
    """A 0 that the compiler does not know before the array is there, whatever it holds: no square is below -1."""
    one = jax.lax.squeeze(jax.lax.slice(x, (0,) * x.ndim, (1,) * x.ndim), range(x.ndim))
    return jax.lax.square(jnp.real(one)) < -1


def _in_stacks(function: Any, matrices: Sequence[jax.Array], eps: Sequence[Any], axis: str | None) -> list[jax.Array]:
    """All of one shape, dtype and sharding at once."""
    groups: dict[Any, list[int]] = {}
    for i, x in enumerate(matrices):
        groups.setdefault(jax.typeof(x), []).append(i)
    out = list(matrices)
    for kind, members in groups.items():
        stack = jnp.stack([matrices[i] for i in members])
        several = jnp.stack([jnp.asarray(eps[i], jnp.finfo(stack.dtype).dtype) for i in members])
        several = several.reshape(-1, *[1] * (stack.ndim - 1))
        done = _distributed(function, stack, several, axis, kind.sharding)
        for place, i in enumerate(members):
            out[i] = done[place]
    return out


def _distributed(function: Any, stack: jax.Array, eps: jax.Array, axis: str | None, home: Any) -> jax.Array:
    """The factors of a stack, with its first axis over an axis of the mesh."""
    if axis is None:
        return function(stack, eps)
    mesh = jax.sharding.get_abstract_mesh()
    if axis not in mesh.axis_names:
        raise ValueError(f"stack_axis must be an axis of the mesh of jax.set_mesh, {mesh.axis_names}; got {axis!r}.")
    explicit = mesh.are_all_axes_explicit
    place = jax.sharding.reshard if explicit else jax.lax.with_sharding_constraint
    size = stack.shape[0]
    rest = -size % mesh.shape[axis]
    if rest:  # of zeros, which are their own factors
        stack, eps = (jnp.concatenate([x, jnp.zeros_like(x[:1]).repeat(rest, 0)]) for x in (stack, eps))
    done = function(place(stack, PartitionSpec(axis)), place(eps, PartitionSpec(axis)))
    return place(done, PartitionSpec(None, *home.spec) if explicit else PartitionSpec())[:size]


def _is_explicit(x: jax.Array) -> bool:
    mesh = jax.typeof(x).sharding.mesh
    return not mesh.empty and mesh.are_all_axes_explicit


def _reshaped(x: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    if x.shape == shape:
        return x
    if _is_explicit(x):  # axes that are sharded apart have no sharding as one
        x = jax.sharding.reshard(x, PartitionSpec())
    return x.reshape(shape)


def _as(x: jax.Array, leaf: jax.Array) -> jax.Array:
    """The matrix in the shape, and on an explicit mesh in the sharding, of its leaf."""
    x = x.reshape(leaf.shape)
    return jax.sharding.reshard(x, jax.typeof(leaf).sharding.spec) if _is_explicit(x) else x
