"""Scion: steps of fixed size in the norm of each layer (Pethick et al., 2025)."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from .. import _coefficient as coefficient
from .. import _grouping as grouping
from .. import _leafwise as leafwise
from .._adaptive import adaptive
from .._finish import finish
from .._paths import Pattern, matches, paths
from .._transformation import increment, transformation, zero_count
from .._types import Coefficient, Mask
from ..directions._matrices import Layout, axes_of, view
from ..directions._newton_schulz import Coefficients
from ..directions.orthogonal_factor import Strategy, orthogonal_factor
from ..filters.blend import blend
from ..filters.ema import ema
from ..wrappers.for_matrices import EMBEDDINGS, VECTORS, Matrices, for_matrices

_EPS = 1e-8  # of the authors' code


class BallState(NamedTuple):
    """State of what `scale_by_scion` does to the leaves that are no matrices.

    Attributes:
      count: `()` int32, updates so far.
    """

    count: jax.Array


def _farthest(radius: Any, rest_radius: Any, layout: Layout) -> optax.GradientTransformationExtraArgs:
    """The farthest point of a ball: of root mean squares for vectors, of largest entries for the other leaves."""

    def is_vector(leaf: Any, path: str) -> bool:
        return jnp.ndim(leaf) < 2 or _is(VECTORS, path)

    def numbers_of_inputs(tree: Any) -> Any:
        leaves, structure = jax.tree.flatten(tree, is_leaf=grouping.is_absent)
        where = paths(tree, grouping.is_absent)
        ndims = [
            None if grouping.is_absent(x) or is_vector(x, path) else jnp.ndim(x)
            for x, path in zip(leaves, where, strict=True)
        ]
        axes = axes_of(layout, where, ndims)
        numbers = list(leaves)
        for i, (x, path) in enumerate(zip(leaves, where, strict=True)):
            if ndims[i] is not None:
                # An embedding is in the paper the transpose of the head, whose inputs are the features.
                numbers[i] = x.shape[-1] if _is(EMBEDDINGS, path) else view(x.shape, axes[i]).inputs
            elif not grouping.is_absent(x):
                numbers[i] = 0  # that of a vector, which needs none
        return structure.unflatten(numbers)

    def farthest(g: jax.Array, inputs: int, small: Any, large: Any) -> jax.Array:
        square = (g * g.conj()).real
        if not inputs:
            return small * g / (leafwise.root(jnp.mean(square)) + _EPS) if g.size else g
        unit = g / jnp.where(g == 0, 1, jnp.abs(g)) if jnp.iscomplexobj(g) else jnp.sign(g)
        return large / inputs * unit

    def update(updates, state: BallState, params=None, **extra) -> tuple[optax.Updates, BallState]:
        del params, extra
        now = [coefficient.at(c, state.count) for c in (radius, rest_radius)]
        updates = leafwise.emit(farthest, updates, (), numbers_of_inputs(updates), *now)
        return updates, BallState(increment(state.count))

    return transformation(lambda params: BallState(zero_count()), update)


def _is(names: Sequence[Pattern], path: str) -> bool:
    return any(matches(pattern, path) for pattern in names)


@adaptive
def scale_by_scion(
    beta: Coefficient = 0.9,
    radius: Coefficient = 50.0,
    rest_radius: Coefficient = 3000.0,
    ns_coeffs: Coefficients = "quintic",
    ns_steps: int = 5,
    eps: Coefficient = 1e-8,
    *,
    matrices: Matrices = None,
    exclude: Sequence[Pattern] | None = None,
    layout: Layout = "io",
    ns_dtype: jax.typing.DTypeLike | None = None,
    strategy: Strategy = "auto",
    stack_axis: str | None = None,
    state_dtype: jax.typing.DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """The direction of `scion`, for all leaves.

    Args:
      beta: see `scion`.
      radius: see `scion`.
      rest_radius: see `scion`.
      ns_coeffs: see `scion`.
      ns_steps: see `scion`.
      eps: see `scion`.
      matrices: see `scion`.
      exclude: see `scion`.
      layout: see `scion`.
      ns_dtype: see `scion`.
      strategy: see `scion`.
      stack_axis: see `scion`.
      state_dtype: see `scion`.
    """
    radius = coefficient.check("radius", radius, coefficient.POSITIVE)
    rest_radius = coefficient.check("rest_radius", rest_radius, coefficient.POSITIVE)
    factor = orthogonal_factor(
        ns_coeffs,
        ns_steps,
        eps,
        shape_factor="spectral",
        layout=layout,
        ns_dtype=ns_dtype,
        strategy=strategy,
        stack_axis=stack_axis,
    )
    balls = for_matrices(blend((radius, factor)), _farthest(radius, rest_radius, layout), matrices, exclude=exclude)
    whole = optax.chain(ema(beta, debias=False, state_dtype=state_dtype), balls)
    return grouping.named(whole, radius=radius, rest_radius=rest_radius)


@adaptive
def scion(
    learning_rate: Coefficient,
    beta: Coefficient = 0.9,
    radius: Coefficient = 50.0,
    rest_radius: Coefficient = 3000.0,
    ns_coeffs: Coefficients = "quintic",
    ns_steps: int = 5,
    eps: Coefficient = 1e-8,
    *,
    matrices: Matrices = None,
    exclude: Sequence[Pattern] | None = None,
    layout: Layout = "io",
    ns_dtype: jax.typing.DTypeLike | None = None,
    strategy: Strategy = "auto",
    stack_axis: str | None = None,
    weight_decay: Coefficient = 1.0,
    mask: Mask | None = None,
    state_dtype: jax.typing.DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Conditional gradient: each layer goes towards the farthest point, along its velocity, of a ball in its own norm.

    With gradient `g`, starting from `velocity = 0`:

        velocity <- beta * velocity + (1 - beta) * g
        far      <- radius * sqrt(outputs / inputs) * orthogonalize(velocity)     (matrices)
        far      <- radius * velocity / root mean square of velocity              (biases, scales, all vectors)
        far      <- rest_radius / inputs * sign(velocity)                         (embeddings, heads)
        params   <- params - learning_rate * (far + weight_decay * params)

    The point is that of the velocity, not of the gradient, so that the noise of one batch does not set the direction.
    With a `weight_decay` of 1 the params stay in the balls, if they start there and the learning rate is at most 1;
    with `None`, the paper's unconstrained Scion, the radius is only a factor of the learning rate. A kernel of a
    convolution counts as a matrix of `height * width * in` inputs; the paper divides once more by the root of
    `height * width`.

    Args:
      learning_rate: step size, a number or schedule at least 0, or a tree of these.
      beta: how much of the velocity survives a step, in [0, 1); `1 - alpha` of the paper.
      radius: of the balls of matrices and vectors, above 0.
      rest_radius: of the balls of embeddings and heads, above 0. The defaults are the paper's for NanoGPT.
      ns_coeffs: `coefficients` of `orthogonalize`.
      ns_steps: how many polynomials are applied, at least 1.
      eps: added to the norm of a matrix; finite and at least 0.
      matrices: which leaves are matrices: globs, a tree of bools, or a function giving one; `None` for the rule by
        shape and name of `wrappers.for_matrices`.
      exclude: which paths that rule leaves to the rest; `None` for embeddings and heads, `()` for none.
      layout: what the axes of the leaves are, as in `orthogonal_factor`. Of an embedding the last axis is the inputs,
        as if it were the head.
      ns_dtype: in which products are computed, float32, float64 or bfloat16; `None` for that of the leaf, at least
        float32.
      strategy: `"leaf"`, `"stacked"` or `"auto"`, as in `orthogonal_factor`.
      stack_axis: name of an axis of the mesh to distribute stacks over, as in `orthogonal_factor`.
      weight_decay: decoupled decay, multiplied by the learning rate; 1 keeps to the balls.
      mask: which leaves decay; a tree of bools, or a function of the params giving one.
      state_dtype: dtype of `velocity`; `None` keeps the dtype of each param.

    Returns:
      An optimizer, ready for `init` and `update`; with `weight_decay`, `update` needs the params.

    Raises:
      TypeError: an argument has the wrong type.
      ValueError: an argument is out of range; at `init`, no leaf is a matrix, one that is named has less than two axes,
        or a tree does not fit the params.

    References:
      Pethick, Xie, Antonakopoulos, Zhu, Silveti-Falls and Cevher (2025), "Training Deep Learning Models with
      Norm-Constrained LMOs", Algorithms 1 and 2. https://arxiv.org/abs/2502.07529
    """
    direction = scale_by_scion(
        beta,
        radius,
        rest_radius,
        ns_coeffs,
        ns_steps,
        eps,
        matrices=matrices,
        exclude=exclude,
        layout=layout,
        ns_dtype=ns_dtype,
        strategy=strategy,
        stack_axis=stack_axis,
        state_dtype=state_dtype,
    )
    return finish(direction, learning_rate, weight_decay, mask)
