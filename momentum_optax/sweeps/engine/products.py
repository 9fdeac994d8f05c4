"""Products of matrices, in the form in which XLA is fast with them on a CPU."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, jaxpr_as_fun
from jax.extend.core.primitives import dot_general_p, jit_p, remat_p, scan_p

from ..trials.narrow import NARROW

SMALL = 1 << 20
"""The most multiplications of each run with which transposing pays for gradients that are not narrow.

JAX writes the gradient of a layer's weights, `[runs, outputs, inputs]`, as a product over the samples, which are the
first axis of both factors. XLA's library for small products on CPUs wants them as the last axis of the first factor;
without it, each run calls one for large products. With that factor transposed first, 8 to 128 samples, and 8 or 32
runs, a layer's gradient and heavy ball's step took this part of their time:

- As `[outputs, inputs]`: 8 to 10 outputs 0.15 to 0.8, 32 outputs 0.5 to 0.9, 64 outputs and 256 inputs 0.9 to 1.2.
- As `[inputs, outputs]`: 32 outputs 0.7 to 1.1. Half as many multiplications as this, with 64 or 128 inputs and
  outputs, 0.8 to 0.95; as many, with 256, 0.9 to 0.95; twice as many 1.2 to 1.6.
"""

_WITHIN = {jit_p, remat_p, scan_p}
"""The primitives in whose functions products are changed, too."""


def with_fast_products(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function up to rounding; on a CPU, its small products of float32 matrices are computed in the fast form.

    Args:
      function: of trees of arrays, that gives such a tree.

    Returns:
      The function; not to be differentiated, for it is the gradients that are changed.
    """
    if jax.default_backend() != "cpu":
        return function

    def changed(*arguments: Any) -> Any:
        traced, shapes = jax.make_jaxpr(function, return_shape=True)(*arguments)
        found = jaxpr_as_fun(_changed(traced))(*jax.tree.leaves(arguments))
        return jax.tree.unflatten(jax.tree.structure(shapes), found)

    return changed


def _changed(traced: Any) -> Any:
    if isinstance(traced, Jaxpr):  # a newer JAX has this kind only
        return traced.replace(eqns=[_equation(equation) for equation in traced.eqns])
    return ClosedJaxpr(_changed(traced.jaxpr), traced.consts)


def _equation(equation: JaxprEqn) -> JaxprEqn:
    """The same, or what takes its place."""
    if equation.primitive is dot_general_p:
        avals: list[Any] = [x.aval for x in equation.invars]
        product = _product(*avals, **equation.params)
        if product is None:
            return equation
        kinds = (jax.ShapeDtypeStruct(x.shape, x.dtype) for x in avals)
        made = jax.make_jaxpr(jax.jit(product))(*kinds)  # a single equation
        return made.eqns[0].replace(invars=equation.invars, outvars=equation.outvars)
    inner = equation.params.get("jaxpr")
    if equation.primitive in _WITHIN and isinstance(inner, ClosedJaxpr | Jaxpr):
        return equation.replace(params={**equation.params, "jaxpr": _changed(inner)})
    return equation


def _product(x: Any, y: Any, *, dimension_numbers: Any, precision: Any, **params: Any) -> Callable[..., Any] | None:
    """What computes `dot_general` of arrays like these; `None` for as it is."""
    ((over, over_y), (same, same_y)) = dimension_numbers
    rows, columns = _others(x, over, same), _others(y, over_y, same_y)
    if not (x.dtype == y.dtype == jnp.float32 and len(over) == len(columns) == 1 and rows and over[0] < rows[-1]):
        return None
    outputs, inputs = x.shape[rows[-1]], y.shape[columns[0]]
    narrow, several = outputs <= min(NARROW, inputs), len(rows) > 1
    # With several axes of rows, such as where all runs have the same samples, XLA transposes `x` by itself.
    if several if narrow else not several and x.shape[over[0]] * outputs * inputs > SMALL:
        return None

    def in_order(x: jax.Array, y: jax.Array) -> jax.Array:
        x, last, batch = _turned(x, over, same)
        numbers = (last, over_y), (batch, same_y)
        return jax.lax.optimization_barrier(jax.lax.dot_general(x, y, numbers, precision=precision, **params))

    def swapped(x: jax.Array, y: jax.Array) -> jax.Array:
        y, last, batch = _turned(y, over_y, same_y)
        numbers = (last, over), (batch, same)
        backwards = precision[::-1] if isinstance(precision, tuple) else precision
        found = jax.lax.dot_general(y, x, numbers, precision=backwards, **params)
        return jnp.moveaxis(found, len(same), -1)

    return in_order if narrow else swapped


def _others(x: Any, over: Sequence[int], same: Sequence[int]) -> list[int]:
    return [axis for axis in range(x.ndim) if axis not in (*over, *same)]


def _turned(x: jax.Array, over: Sequence[int], same: Sequence[int]) -> tuple[jax.Array, list[int], list[int]]:
    """With the axis that is summed over as the last one, where XLA cannot undo it; and where the axes are then."""
    last = jax.lax.optimization_barrier(jnp.moveaxis(x, over[0], -1))
    return last, [x.ndim - 1], [axis - (axis > over[0]) for axis in same]
