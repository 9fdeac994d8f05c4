"""NorMuon: Muon whose rows of one neuron are brought to one size (Li et al., 2025)."""

import math
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
from .._paths import Pattern, paths
from .._transformation import increment, transformation, zero_count
from .._types import Coefficient, Mask, Scalar
from ..directions._matrices import Layout, axes_of, check_layout, check_shape_factor, shape_factor_of, view
from ..directions._newton_schulz import Coefficients
from ..directions.divide import divide
from ..directions.orthogonal_factor import Strategy, orthogonal_factor
from ..directions.root_mean_square import root_mean_square
from ..filters.ema import average, ema
from ..wrappers.for_matrices import Matrices, for_matrices

_EPS = 1e-10  # of the authors' code; factors are of the order of 1
_RMS = 0.2


class NeuronState(NamedTuple):
    """State of the normalization of `scale_by_normuon`.

    Attributes:
      count: `()` int32, updates so far.
      second_moment: moving average of the mean square over the inputs of each neuron, real; shaped like the params,
        with 1 in the place of each axis of inputs.
    """

    count: jax.Array
    second_moment: Any


def _over_inputs(x: jax.Array, axes: str) -> jax.Array:
    """Mean of squares over the inputs, the other axes as they are."""
    total = jnp.sum((x * x.conj()).real, tuple(i for i, a in enumerate(axes) if a == "i"), keepdims=True)
    return total / max(view(x.shape, axes).inputs, 1)


def _even_neurons(
    b2: Coefficient, shape_factor: Any, layout: Layout, state_dtype: Any
) -> optax.GradientTransformationExtraArgs:
    """Divides what belongs to a neuron by its root mean square so far, and restores the size of the whole matrix."""
    b2 = coefficient.check("b2", b2)
    check_layout(layout)
    if shape_factor != "rms":
        check_shape_factor(shape_factor)

    def axes_in(tree: Any) -> Any:
        leaves, structure = jax.tree.flatten(tree, is_leaf=grouping.is_absent)
        ndims = [None if grouping.is_absent(x) else jnp.ndim(x) for x in leaves]
        axes = axes_of(layout, paths(tree, grouping.is_absent), ndims)
        return structure.unflatten([x if grouping.is_absent(x) else a for x, a in zip(leaves, axes, strict=True)])

    def init(params: optax.Params) -> NeuronState:
        grouping.fit("b2", b2, params)
        empty = leafwise.zeros(params, state_dtype, decay=b2, real=True)
        if isinstance(empty, leafwise.NoMemory) or not jax.tree.leaves(params):
            return NeuronState(zero_count(), empty)

        def leaf(_, memory, axes):
            return memory if isinstance(memory, leafwise.NoMemory) else _over_inputs(memory, axes)

        return NeuronState(zero_count(), jax.tree.map(leaf, params, empty, axes_in(params)))

    def evened(x: jax.Array, second_moment: jax.Array, axes: str) -> jax.Array:
        of = view(x.shape, axes)
        if not x.size:
            return x
        present = _over_inputs(x, axes)
        step = 1 / (leafwise.root(second_moment) + _EPS)
        # The norms before and after, from the means that are there.
        outputs = tuple(i for i, a in enumerate(axes) if a == "o")
        before, after = (
            leafwise.root(of.inputs * jnp.sum(squares, outputs, keepdims=True))
            for squares in (present, present * jnp.square(step))
        )
        if shape_factor == "rms":
            before, size = jnp.full_like(before, math.sqrt(of.inputs * of.outputs)), _RMS
        else:
            size = shape_factor_of(shape_factor, of)
        return x * (step * (size * before / (after + _EPS)))

    def update(updates, state: NeuronState, params=None, **extra) -> tuple[optax.Updates, NeuronState]:
        del params, extra
        axes = axes_in(updates)
        wide, second_moment = leafwise.remember(
            lambda g, s, b, a: average(s, b, _over_inputs(g, a)),
            updates,
            state.second_moment,
            coefficient.at(b2, state.count),
            axes,
        )
        updates = leafwise.emit(evened, updates, (wide,), axes)
        return updates, NeuronState(increment(state.count), second_moment)

    return transformation(init, update)


@adaptive
def scale_by_normuon(
    ns_coeffs: Coefficients = "quintic",
    ns_steps: int = 5,
    beta: Coefficient = 0.95,
    b2: Coefficient = 0.95,
    eps: Coefficient = 1e-8,
    mu_dtype: jax.typing.DTypeLike | None = None,
    *,
    nesterov: bool = True,
    shape_factor: str | Scalar | None = "original",
    layout: Layout = "io",
    ns_dtype: jax.typing.DTypeLike | None = None,
    strategy: Strategy = "auto",
    stack_axis: str | None = None,
    state_dtype: jax.typing.DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """The direction of `normuon` for the matrices; every leaf must be one.

    Args:
      ns_coeffs: see `muon`.
      ns_steps: see `muon`.
      beta: see `muon`.
      b2: see `normuon`.
      eps: see `muon`.
      mu_dtype: see `muon`.
      nesterov: see `muon`.
      shape_factor: see `normuon`.
      layout: see `muon`.
      ns_dtype: see `muon`.
      strategy: see `muon`.
      stack_axis: see `muon`.
      state_dtype: see `muon`.
    """
    factor = orthogonal_factor(
        ns_coeffs, ns_steps, eps, layout=layout, ns_dtype=ns_dtype, strategy=strategy, stack_axis=stack_axis
    )
    velocity = ema(beta, debias=False, nesterov=nesterov, state_dtype=state_dtype if mu_dtype is None else mu_dtype)
    return optax.chain(velocity, factor, _even_neurons(b2, shape_factor, layout, state_dtype))


@adaptive
def normuon(
    learning_rate: Coefficient,
    ns_coeffs: Coefficients = "quintic",
    ns_steps: int = 5,
    beta: Coefficient = 0.95,
    b2: Coefficient = 0.95,
    eps: Coefficient = 1e-8,
    weight_decay: Coefficient = 0.0,
    weight_decay_mask: Mask | None = None,
    mu_dtype: jax.typing.DTypeLike | None = None,
    *,
    nesterov: bool = True,
    adam_b1: Coefficient = 0.9,
    adam_b2: Coefficient = 0.999,
    adam_eps_root: Coefficient = 0.0,
    adam_weight_decay: Coefficient = 0.0,
    adam_learning_rate: Coefficient = None,
    rest: optax.GradientTransformation | None = None,
    matrices: Matrices = None,
    exclude: Sequence[Pattern] | None = None,
    shape_factor: str | Scalar | None = "original",
    layout: Layout = "io",
    ns_dtype: jax.typing.DTypeLike | None = None,
    strategy: Strategy = "auto",
    stack_axis: str | None = None,
    state_dtype: jax.typing.DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Muon with a size for each neuron as Adam has one for each weight; AdamW for the rest.

    An orthogonal factor has even singular values, and neurons of very different sizes. For every matrix, with `o` the
    orthogonal factor of the velocity of `muon`, starting from `second_moment = 0`, one number for each output:

        second_moment <- b2 * second_moment + (1 - b2) * mean over the inputs of |o|^2
        even          <- o / sqrt(second_moment)
        params        <- params - learning_rate * (shape_factor * |o|_F / |even|_F * even + weight_decay * params)

    as in the authors' code; with `shape_factor="rms"` the step is `0.2 * even / root mean square of even` instead, as
    in the paper, which has no Nesterov average either. As the size of the whole is restored, nothing is debiased.

    Args:
      learning_rate: see `muon`.
      ns_coeffs: see `muon`.
      ns_steps: see `muon`.
      beta: see `muon`.
      b2: how much of the second moment of a neuron survives a step, in [0, 1); a number, schedule or tree.
      eps: see `muon`.
      weight_decay: see `muon`.
      weight_decay_mask: see `muon`.
      mu_dtype: see `muon`.
      nesterov: see `muon`.
      adam_b1: see `muon`.
      adam_b2: see `muon`.
      adam_eps_root: see `muon`.
      adam_weight_decay: see `muon`.
      adam_learning_rate: see `muon`.
      rest: see `muon`.
      matrices: see `muon`.
      exclude: see `muon`.
      shape_factor: `"rms"` for steps of root mean square 0.2, or what `orthogonal_factor` takes.
      layout: see `muon`.
      ns_dtype: see `muon`.
      strategy: see `muon`.
      stack_axis: see `muon`.
      state_dtype: see `muon`.

    Returns:
      An optimizer, ready for `init` and `update`; with weight decay, `update` needs the params.

    Raises:
      TypeError: an argument has the wrong type.
      ValueError: an argument is out of range; at `init`, no leaf is a matrix, one that is named has less than two axes,
        or a tree does not fit the params.

    References:
      Li, Liu, Liang, Chen and Zhao (2025), "NorMuon: Making Muon more efficient and scalable", Algorithm 1.
      https://arxiv.org/abs/2510.05491
    """
    direction = scale_by_normuon(
        ns_coeffs,
        ns_steps,
        beta,
        b2,
        eps,
        mu_dtype,
        nesterov=nesterov,
        shape_factor=shape_factor,
        layout=layout,
        ns_dtype=ns_dtype,
        strategy=strategy,
        stack_axis=stack_axis,
        state_dtype=state_dtype,
    )
    if rest is None:
        first = state_dtype if mu_dtype is None else mu_dtype
        by = root_mean_square(adam_b2, eps, adam_eps_root, state_dtype=state_dtype)
        rate = learning_rate if adam_learning_rate is None else adam_learning_rate
        rest = finish(divide(ema(adam_b1, state_dtype=first), by=by), rate, adam_weight_decay, weight_decay_mask)
    chosen = finish(direction, learning_rate, weight_decay, weight_decay_mask)
    return for_matrices(chosen, rest, matrices, exclude=exclude)
