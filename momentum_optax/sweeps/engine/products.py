"""Products of matrices, in the form in which XLA is fast with them on a CPU."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Var, jaxpr_as_fun
from jax.extend.core.primitives import dot_general_p, jit_p, remat_p, scan_p, transpose_p

from ..trials.narrow import NARROW

SMALL = 1 << 20
"""The most multiplications of each run with which transposing pays for gradients that are not narrow.

JAX writes the gradient of a layer's weights, `[runs, outputs, inputs]`, as a product over the samples, which are the
first axis of both factors. XLA's library for small products on CPUs wants them as the last axis of the first factor;
without it, each run calls one for large products. With that factor transposed first, 8 to 128 samples, and 8 or 32
runs, the gradient of weights `[inputs, outputs]` and heavy ball's step took this part of their time:

- As `[outputs, inputs]`: 8 to 10 outputs 0.15 to 0.8, 32 outputs 0.5 to 0.9, 64 outputs and 256 inputs 0.9 to 1.2.
- As `[inputs, outputs]`: 32 outputs 0.7 to 1.1. Half as many multiplications as this, with 64 or 128 inputs and
  outputs, 0.8 to 0.95; as many, with 256, 0.9 to 0.95; twice as many 1.2 to 1.6.

Where weights are `[outputs, inputs]`, `[inputs, outputs]` would take 1.2 to 1.9 of the time of two layers.
"""

_WITHIN = {jit_p, remat_p, scan_p}
"""The primitives in whose functions products are changed, too."""


def with_fast_products(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function up to rounding; on a CPU, its small products of float32 matrices are computed in the fast form.

    Those within loops that may end early, branches, and functions with derivatives of their own stay as they are.

    Args:
      function: of trees of arrays, that gives such a tree.

    Returns:
      The function; to be differentiated before, for what is changed are above all gradients.
    """
    if jax.default_backend() != "cpu":
        return function

    def changed(*arguments: Any) -> Any:
        traced, shapes = jax.make_jaxpr(function, return_shape=True)(*arguments)
        found = jaxpr_as_fun(_Changes().of(traced))(*jax.tree.leaves(arguments))
        return jax.tree.unflatten(jax.tree.structure(shapes), found)

    return changed


class _Changes:
    """Traced functions with other products; each is changed once, for shared ones are compiled once."""

    def __init__(self):
        self._known: dict[int, tuple[Any, Any]] = {}
        self._products: dict[Any, dict[str, Any] | None] = {}

    def of(self, traced: Any) -> Any:
        """The function after the changes."""
        if id(traced) not in self._known:
            self._known[id(traced)] = traced, self._changed(traced)  # `traced` is kept, or its id could be another's
        return self._known[id(traced)][1]

    def _changed(self, traced: Any) -> Any:
        if not isinstance(traced, Jaxpr):  # in a newer JAX it always is
            return ClosedJaxpr(self.of(traced.jaxpr), traced.consts)
        turned = _turned_later(traced)
        return traced.replace(eqns=[self._equation(equation, turned) for equation in traced.eqns])

    def _equation(self, equation: JaxprEqn, turned: set[Var]) -> JaxprEqn:
        """The same, or what takes its place."""
        if equation.primitive is dot_general_p:
            params = self._product(equation, equation.outvars[0] in turned)
            return equation if params is None else equation.replace(primitive=jit_p, params=params)
        if equation.primitive in _WITHIN:
            return equation.replace(params={**equation.params, "jaxpr": self.of(equation.params["jaxpr"])})
        return equation

    def _product(self, equation: JaxprEqn, turned: bool) -> dict[str, Any] | None:
        """How the product of an equation is jitted; `None` for as it is."""
        avals: list[Any] = [x.aval for x in equation.invars]
        x, y = (jax.ShapeDtypeStruct(aval.shape, aval.dtype) for aval in avals)
        known = turned, x, y, *equation.params.values()
        if known not in self._products:
            product = _product(x, y, turned, **equation.params)
            # What is traced is a single equation.
            self._products[known] = product and jax.make_jaxpr(jax.jit(product))(x, y).eqns[0].params
        return self._products[known]


def _turned_later(traced: Jaxpr) -> set[Var]:
    """What is used once only, to exchange its last two axes, as JAX does with gradients of weights; and not back."""
    uses = Counter(x for equation in traced.eqns for x in equation.invars if isinstance(x, Var))
    uses.update(x for x in traced.outvars if isinstance(x, Var))
    found: set[Var] = set()
    for equation in reversed(traced.eqns):
        if equation.primitive is transpose_p and isinstance(x := equation.invars[0], Var) and uses[x] == 1:
            *before, second, last = equation.params["permutation"]
            if second == last + 1 == len(before) + 1 and equation.outvars[0] not in found:
                found.add(x)
    return found


def _product(
    x: Any, y: Any, turned: bool, *, dimension_numbers: Any, precision: Any, **params: Any
) -> Callable[..., Any] | None:
    """What computes `dot_general` of arrays like these; `None` for as it is.

    Args:
      x: shape and dtype of the first factor.
      y: those of the second.
      turned: whether the last two axes of the product are exchanged then.
      dimension_numbers: see `jax.lax.dot_general`.
      precision: of it, too.
      params: all others.
    """
    ((over, over_y), (same, same_y)) = dimension_numbers
    rows, columns = _others(x, over, same), _others(y, over_y, same_y)
    if not (x.dtype == y.dtype == jnp.float32 and len(over) == len(columns) == 1 and rows and over[0] < rows[-1]):
        return None
    if not (precision is None or type(precision) is tuple):
        return None  # an algorithm, which may be one for each factor
    outputs, inputs = x.shape[rows[-1]], y.shape[columns[0]]
    narrow, several = outputs <= min(NARROW, inputs), len(rows) > 1
    swaps = turned and not narrow
    # With several axes of rows, such as where all runs have the same samples, XLA transposes `x` by itself.
    if several and not swaps:
        return None
    if not several and not narrow and x.shape[over[0]] * outputs * inputs > SMALL:
        return None

    def dot(x: jax.Array, y: jax.Array, numbers: Any, precision: Any) -> jax.Array:
        # Not `jax.lax.dot_general`, which would read settings that may have been others there.
        return dot_general_p.bind(x, y, dimension_numbers=numbers, precision=precision, **params)

    def in_order(x: jax.Array, y: jax.Array) -> jax.Array:
        x, last, batch = _with_last(x, over, same)
        return jax.lax.optimization_barrier(dot(x, y, ((last, over_y), (batch, same_y)), precision))

    def swapped(x: jax.Array, y: jax.Array) -> jax.Array:
        y, last, batch = _with_last(y, over_y, same_y)
        backwards = None if precision is None else precision[::-1]
        return jnp.moveaxis(dot(y, x, ((last, over), (batch, same)), backwards), len(same), -1)

    return swapped if swaps else in_order


def _others(x: Any, over: Sequence[int], same: Sequence[int]) -> list[int]:
    return [axis for axis in range(len(x.shape)) if axis not in (*over, *same)]


def _with_last(x: jax.Array, over: Sequence[int], same: Sequence[int]) -> tuple[jax.Array, Any, Any]:
    """With the axis that is summed over as the last one in memory, too; and where the axes are then."""
    last = jax.lax.optimization_barrier(jnp.moveaxis(x, over[0], -1))
    return last, (x.ndim - 1,), tuple(axis - (axis > over[0]) for axis in same)
