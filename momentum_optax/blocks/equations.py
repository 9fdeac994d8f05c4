"""A traced function as one list of equations, and which of these go number by number."""

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import jax
from jax.extend import core
from jax.extend.core import JaxprEqn, Var
from jax.extend.core import primitives as p

# Of these, twice in one block is as fast as once from memory.
_CHEAP = {
    p.abs_p, p.add_jaxvals_p, p.add_p, p.and_p, p.bitcast_convert_type_p, p.ceil_p, p.clamp_p, p.convert_element_type_p,
    p.copy_p, p.eq_p,
    p.floor_p, p.ge_p, p.gt_p, p.is_finite_p, p.le_p, p.lt_p, p.max_p, p.min_p, p.mul_p, p.ne_p, p.neg_p, p.not_p,
    p.or_p, p.reduce_precision_p, p.round_p, p.select_n_p, p.shift_left_p, p.shift_right_arithmetic_p,
    p.shift_right_logical_p, p.sign_p, p.square_p, p.stop_gradient_p, p.sub_p, p.xor_p,
}  # fmt: skip
_DEAR = {
    p.cbrt_p, p.cos_p, p.div_p, p.erf_p, p.exp2_p, p.exp_p, p.expm1_p, p.integer_pow_p, p.log1p_p, p.log_p,
    p.logistic_p, p.nextafter_p, p.pow_p, p.rem_p, p.rsqrt_p, p.sin_p, p.sqrt_p, p.tanh_p,
}  # fmt: skip
# Their results are written to memory whoever reads them; what is merely moved is, too, if they are what it moves.
_WRITTEN = {
    p.cond_p, p.conv_general_dilated_p, p.dot_general_p, p.scan_p, p.scatter_add_p, p.scatter_p, p.while_p,
}  # fmt: skip

FEW = 8
"""So many times more numbers make others few: reading these does not count."""


class Equations(NamedTuple):
    """A function of arrays as a list of what it computes, one after the other.

    Attributes:
      steps: the equations, in order.
      inputs: the function's arguments.
      outputs: its results: variables, or literals.
      maker: the place in the list of the equation that makes a variable; arguments and constants have none.
    """

    steps: list[JaxprEqn]
    inputs: list[Var]
    outputs: list[Any]
    maker: dict[Var, int]

    def behind(self, variables: Iterable[Any], *, effects: bool = False) -> set[int]:
        """The places of the equations that must be computed for these; and for what is printed or called, if asked."""
        found = {place for place, equation in enumerate(self.steps) if effects and equation.effects}
        wanted = [*variables, *(v for place in found for v in self.steps[place].invars)]
        while wanted:
            place = self.maker.get(v) if isinstance(v := wanted.pop(), Var) else None
            if place is not None and place not in found:
                found.add(place)
                wanted += self.steps[place].invars
        return found


def shape_of(variable: Any) -> tuple[int, ...]:
    """The shape of a variable or a literal."""
    return variable.aval.shape


def equations(traced: Any) -> Equations:
    """The equations of a traced function; functions within it that go number by number are not functions any more."""
    body = traced.jaxpr
    known: dict[Var, Any] = {}
    found: dict[Any, JaxprEqn] = {}
    _append(body, known, found)
    flat = list(found.values())
    maker = {v: place for place, equation in enumerate(flat) for v in equation.outvars}
    return Equations(flat, list(body.invars), [_read(known, v) for v in body.outvars], maker)


def _read(known: dict[Var, Any], variable: Any) -> Any:
    return known.get(variable, variable) if isinstance(variable, Var) else variable


def _append(body: Any, known: dict[Var, Any], found: dict[Any, JaxprEqn]) -> None:
    """Appends what a function computes, and to `known` as what its variables are known there."""
    for equation in body.eqns:
        inputs = [_read(known, v) for v in equation.invars]
        inner = _called(equation)
        if _is_barrier(equation):
            outputs = [core.Var(v.aval) for v in equation.outvars]
            for x, new in zip(inputs, outputs, strict=True):  # one for each, that leaves have no part in each other
                found[id(new)] = equation.replace(invars=[x], outvars=[new])
        elif inner is None:
            key = _key(equation, inputs)
            if key not in found:
                # New variables: a function that is called twice has the same ones in both calls.
                new = [core.Var(v.aval) for v in equation.outvars]
                found[key] = equation.replace(invars=inputs, outvars=new)
            outputs = found[key].outvars
        else:
            within = dict(zip(inner.invars, inputs, strict=True))
            _append(inner, within, found)
            outputs = [_read(within, v) for v in inner.outvars]
        known.update(zip(equation.outvars, outputs, strict=True))


def _key(equation: JaxprEqn, inputs: list[Any]) -> Any:
    """The same for what goes number by number and gives the same; else one of its own."""
    if not is_elementwise(equation):
        return id(equation), *(id(v) for v in inputs)
    names = (v if isinstance(v, Var) else (str(v.val), v.aval.dtype) for v in inputs)
    return equation.primitive, str(equation.params), *names


def _called(equation: JaxprEqn) -> Any:
    """The function that an equation calls, if all that it does goes number by number."""
    name = {p.jit_p: "jaxpr", p.custom_jvp_call_p: "call_jaxpr"}.get(equation.primitive)
    if name is None:
        return None
    function = equation.params[name]
    simple = not function.consts and all(is_elementwise(e) or _called(e) for e in function.jaxpr.eqns)
    return function.jaxpr if simple else None


def is_elementwise(equation: JaxprEqn) -> bool:
    """Whether each number of the result depends on those in the same place, on scalars, or on one of a few repeated."""
    if len(equation.outvars) != 1:
        return False
    (output,) = equation.outvars
    if equation.primitive is p.broadcast_in_dim_p:
        return len(equation.invars) == 1 and _is_few(equation.invars[0], output)
    if any(not isinstance(v, Var) and shape_of(v) != () for v in equation.invars):
        return False  # a constant array, of which a block would have to be cut
    known = equation.primitive in _CHEAP or equation.primitive in _DEAR or _is_barrier(equation)
    return known and all(shape_of(v) == shape_of(output) or _is_few(v, output) for v in equation.invars)


def _is_few(few: Any, many: Any) -> bool:
    return shape_of(few) == () or FEW * math.prod(shape_of(few)) <= math.prod(shape_of(many))


def _is_barrier(equation: JaxprEqn) -> bool:
    return equation.primitive.name == "optimization_barrier"


def is_dear(equation: JaxprEqn) -> bool:
    """Whether computing it twice takes longer than reading the result once more."""
    return equation.primitive in _DEAR


def is_reshape(equation: JaxprEqn) -> bool:
    """Whether it only sees the same numbers as another shape."""
    return equation.primitive is p.reshape_p


def is_sum(equation: JaxprEqn) -> bool:
    """Whether it only makes few numbers of many, as sums and maxima do, without writing anything else to memory."""
    many = [v for v in equation.invars if shape_of(v) != ()]
    if equation.effects or equation.primitive is p.dot_general_p or not (many and equation.outvars):
        return False
    return all(_is_few(x, v) for x in equation.outvars for v in many)


def is_plain_sum(equation: JaxprEqn) -> bool:
    """Whether XLA hands it to a library, which on a CPU wants all that it is computed of as arrays in memory."""
    return equation.primitive is p.reduce_sum_p


def is_written(variable: Any, of: Equations) -> bool:
    """Whether a variable that is not computed number by number is in memory anyway."""
    place = of.maker.get(variable)
    if place is None or of.steps[place].primitive in _WRITTEN:
        return True
    return of.steps[place].primitive is p.transpose_p and is_written(of.steps[place].invars[0], of)


def of_blocks(equation: JaxprEqn, values: list[Any], start: jax.Array, shape: tuple[int, ...]) -> Any:
    """The result for a block instead of whole arrays.

    Args:
      equation: goes number by number.
      values: blocks of what it reads, or what is repeated as a whole.
      start: the block's first place along the first axis.
      shape: of the block.
    """
    if _is_barrier(equation):
        return values[0]
    repeats = equation.primitive is p.broadcast_in_dim_p
    axes = equation.params["broadcast_dimensions"] if repeats else range(len(shape))
    for i, few in enumerate(map(shape_of, equation.invars)):
        if few not in ((), shape_of(equation.outvars[0])) and axes[0] == 0 and few[0] > 1:
            values[i] = jax.lax.dynamic_slice_in_dim(values[i], start, shape[0])
    if repeats:
        return jax.lax.broadcast_in_dim(values[0], shape, axes)
    return equation.primitive.bind(*values, **equation.params)
