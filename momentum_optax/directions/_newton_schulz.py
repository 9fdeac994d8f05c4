"""Polynomials of a matrix that take its singular values towards 1, and in which order to multiply."""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer
from jax.sharding import NamedSharding, PartitionSpec

from .. import _leafwise as leafwise
from .._arguments import choice, integer

Triple = tuple[float, float, float]
Coefficients: TypeAlias = str | Sequence[Any] | np.ndarray | jax.Array
"""Names polynomials, or is a triple or several of them; see `orthogonalize`."""

QUINTIC: Triple = (3.4445, -4.7750, 2.0315)
# Of Amsel et al., algorithm 1, for singular values from 1e-3 to 1. It divides the norm and the argument of each
# polynomial but the last by 1.01, so that rounding does not carry a value beyond where they are good.
POLAR_EXPRESS: tuple[Triple, ...] = (
    (8.28721201814563, -23.595886519098837, 17.300387312530933),
    (4.107059111542203, -2.9478499167379106, 0.5448431082926601),
    (3.9486908534822946, -2.908902115962949, 0.5518191394370137),
    (3.3184196573706015, -2.488488024314874, 0.51004894012372),
    (2.300652019954817, -1.6689039845747493, 0.4188073119525673),
    (1.891301407787398, -1.2679958271945868, 0.37680408948524835),
    (1.8750014808534479, -1.2500016453999487, 0.3750001645474248),
    (1.875, -1.25, 0.375),
)
SAFETY = 1.01

# How far a rounding error in a Gram matrix may grow, relative to the largest singular value, before it is made anew.
_GROWTH = 0.05


class Iteration(NamedTuple):
    """Which polynomials a x + b x^3 + c x^5 to apply, one after the other, to a matrix of norm 1 / margin."""

    steps: tuple[Triple, ...]
    margin: float


def iteration(coefficients: Any, steps: int) -> Iteration:
    """The polynomials that the two arguments name.

    Raises:
      TypeError: `steps` is no integer, or `coefficients` hold something else than numbers, or are traced.
      ValueError: `steps` is below 1, or `coefficients` are neither a name nor a triple nor triples.
    """
    steps = integer("steps", steps, 1)
    margin = 1.0
    coefficients = _plain(coefficients)
    if isinstance(coefficients, str):
        choice("coefficients", coefficients, ("quintic", "polar_express"))
        rows: tuple[Any, ...] = (QUINTIC,)
        if coefficients == "polar_express":
            safe = [(a / SAFETY, b / SAFETY**3, c / SAFETY**5) for a, b, c in POLAR_EXPRESS[:-1]]
            rows, margin = (*safe, POLAR_EXPRESS[-1]), SAFETY
    elif not isinstance(coefficients, Sequence) or not coefficients:
        raise ValueError(f"coefficients must be a name, (a, b, c), or a sequence of these; got {coefficients!r}.")
    else:
        rows = tuple(coefficients) if isinstance(coefficients[0], Sequence) else (tuple(coefficients),)
    for row in rows:
        if not isinstance(row, Sequence) or len(row) != 3:
            raise ValueError(f"coefficients must be (a, b, c), or a sequence of these; got {row!r} among them.")
        if not all(isinstance(number, float | int) and not isinstance(number, bool) for number in row):
            raise TypeError(f"coefficients must be plain numbers; got {row!r}.")
    last = (rows[-1],) * (steps - len(rows))
    return Iteration(tuple((float(a), float(b), float(c)) for a, b, c in (*rows[:steps], *last)), margin)


def _plain(numbers: Any) -> Any:
    """Arrays, also those in sequences, as numbers and sequences of Python; anything else as it is."""
    if isinstance(numbers, Tracer):
        raise TypeError(f"coefficients must be known before anything runs, not traced; got {numbers!r}.")
    if isinstance(numbers, np.ndarray | np.generic | jax.Array):
        return np.asarray(numbers, np.float64).tolist()
    return tuple(map(_plain, numbers)) if isinstance(numbers, list | tuple) else numbers


def parts(steps: Sequence[Triple], rounding: float) -> list[tuple[Triple, ...]]:
    """The steps that may run on one Gram matrix, before it is made anew.

    What is lost in it are the squares of small singular values, down to the rounding error. Where a square comes out
    below 0, the polynomials carry it away from 1, by a^2 at each step, and after enough steps to infinity.
    """
    out: list[list[Triple]] = []
    growth = 1.0
    for step in steps:
        if not out or growth * rounding > _GROWTH:
            out.append([])
            growth = 1.0
        out[-1].append(step)
        growth *= step[0] ** 2
    return list(map(tuple, out))


def gram_pays(short: int, long: int, steps: Sequence[Triple], rounding: float) -> bool:
    """Whether working on the Gram matrix takes fewer multiplications, for sides of these lengths."""
    plain = len(steps) * (2 * long + short)
    return sum(2 * long + (4 * len(part) - 3) * short for part in parts(steps, rounding)) < plain


@functools.partial(jax.jit, static_argnums=(2, 3))
def run(x: jax.Array, eps: Any, todo: Iteration, gram: bool) -> jax.Array:
    """Applies the polynomials to the singular values of `[..., m, n] / (norm + eps)`, in the dtype of the array.

    A function of its own to JAX, so that leaves of one shape are traced once.
    """
    square = _gram(x)
    one = _identity(square)
    # The squared norm is the trace, for all shapes with this short side by one kernel.
    trace = jnp.sum(one * square, (-2, -1), leafwise.wide_dtype(x.dtype), keepdims=True)
    bottom = todo.margin * leafwise.root(trace.real) + eps
    size = (1 / (bottom + (bottom == 0))).astype(x.dtype)
    square = size * size * square

    # In the plain form every step has a Gram matrix of its own.
    turns = parts(todo.steps, float(jnp.finfo(x.dtype).eps)) if gram else [(step,) for step in todo.steps]
    for turn, steps in enumerate(turns):
        square = _gram(x) if turn else square
        factor: Any = None
        for i, (a, b, c) in enumerate(steps):
            change = a * one + (b * square + c * _product(square, square))
            factor = _product(factor, change) if i else change
            if i < len(steps) - 1:
                square = _product(_product(change, square), change)
        x = _times(factor, x)
        x = x if turn else size * x  # the last kernel, which does more, may do that too
    return x


def _identity(square: jax.Array) -> jax.Array:
    """The identity matrix, `[1, ..., m, m]`."""
    shape = (*[1] * (square.ndim - 2), *square.shape[-2:])
    row, column = (lax.broadcasted_iota(jnp.int32, shape, square.ndim - axis) for axis in (2, 1))
    return (row == column).astype(square.dtype)


def _is_wide(x: jax.Array) -> bool:
    return x.shape[-2] <= x.shape[-1]


def _gram(x: jax.Array) -> jax.Array:
    """`X X^H` or `X^H X`, whichever is smaller."""
    sharding = None
    home = jax.typeof(x).sharding
    if home.mesh.are_all_axes_explicit if not home.mesh.empty else False:
        sharding = NamedSharding(home.mesh, PartitionSpec(*home.spec[: x.ndim - 2], None, None))
    other = x.conj() if jnp.iscomplexobj(x) else x
    return _dot(x, other, -1, -1, sharding) if _is_wide(x) else _dot(other, x, -2, -2, sharding)


def _times(small: jax.Array, x: jax.Array) -> jax.Array:
    """The product on the short side."""
    return _product(small, x) if _is_wide(x) else _product(x, small)


def _product(x: jax.Array, y: jax.Array) -> jax.Array:
    return _dot(x, y, -1, -2)


def _dot(x: jax.Array, y: jax.Array, x_axis: int, y_axis: int, sharding: Any = None) -> jax.Array:
    """The product of stacks of matrices over an axis of each; nothing is transposed for it."""
    stack = tuple(range(x.ndim - 2))
    axes = (((x.ndim + x_axis,), (y.ndim + y_axis,)), (stack, stack))
    # Where float32 is asked for, an accelerator shall not multiply in less.
    precision = None if jnp.finfo(x.dtype).bits < 32 else lax.Precision.HIGHEST
    return lax.dot_general(x, y, axes, precision, preferred_element_type=x.dtype, out_sharding=sharding)


def unsharded_short_side(x: jax.Array, home: Any) -> PartitionSpec:
    """How to shard matrices so that products on the short side need nothing from other devices but the Gram matrix."""
    spec = [*home.spec, *[None] * (x.ndim - len(home.spec))]
    spec[-2 if _is_wide(x) else -1] = None
    return PartitionSpec(*spec)
