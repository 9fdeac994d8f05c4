"""What a hyperparameter may be, and what its value is.

A coefficient is a number, an array of shape `()` (traced in a sweep), a schedule `count -> number`, or a tree of
these that is a prefix of the params. Four steps lead from there to arithmetic:

    check   at construction: refuses what cannot be right, names the argument and says what would be accepted
    fit     at init: refuses a tree that does not cover the params (see `_grouping`)
    at      at each update: calls the schedules with the count; the structure of the tree stays
    spread  at each update: one value for each leaf of the updates (see `_grouping`)

The value of a traced array is never looked at.
"""

import itertools
import weakref
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from ._types import Coefficient, Deferred, Scalar


class Range(NamedTuple):
    """The numbers that an argument accepts."""

    text: str
    contains: Callable[[Any], Any]  # elementwise, False for NaN


DECAY = Range("in [0, 1)", lambda x: (x >= 0) & (x < 1))
FRACTION = Range("in [0, 1]", lambda x: (x >= 0) & (x <= 1))
NON_NEGATIVE = Range("finite and at least 0", lambda x: (x >= 0) & (x < np.inf))
POSITIVE = Range("finite and above 0", lambda x: (x > 0) & (x < np.inf))
FINITE = Range("finite", np.isfinite)
AT_LEAST_ONE = Range("finite and at least 1", lambda x: (x >= 1) & (x < np.inf))

# Where schedules are tried at construction: every scale from one update to a million.
_PROBES = np.unique(np.geomspace(1, 1e6, 60).astype(np.int32)) - 1


def is_schedule(x: Any) -> bool:
    """Whether it is a function of the count. Containers that can be called, such as modules, are not."""
    return callable(x) and (jax.tree_util.all_leaves([x]) or isinstance(x, jax.tree_util.Partial))


def is_leaf(x: Any) -> bool:
    """Whether it is one part of a coefficient's tree."""
    return x is None or is_schedule(x)


def check(name: str, coefficient: Coefficient, accepted: Range = DECAY) -> Any:
    """Returns the coefficient, in which a decay of `None` is 0 and integers of arrays are floats.

    Args:
      name: of the argument, for the message.
      coefficient: what the user gave.
      accepted: the numbers allowed. Schedules are tried at counts from 0 to a million.

    Raises:
      TypeError: a leaf is no number, array or function.
      ValueError: a number or a value of a schedule is outside `accepted`, or an array is not of shape `()`.
    """

    def leaf(path: Any, value: Any) -> Any:
        where = name + jax.tree_util.keystr(path)
        if value is None and accepted is DECAY:
            return 0.0
        return (_check_schedule if is_schedule(value) else _check_number)(where, value, accepted)

    return jax.tree_util.tree_map_with_path(leaf, coefficient, is_leaf=is_leaf)


def number(name: str, value: Any, accepted: Range = DECAY) -> Any:
    """Checks what must be one number, traced or not: see `check`; a schedule or a tree is a TypeError."""
    if is_schedule(value) or not is_single(value) or value is None:
        raise TypeError(f"{name} must be one number {accepted.text}; got {value!r} of type {type(value).__name__}.")
    return check(name, value, accepted)


def single(name: str, value: Any, accepted: Range = DECAY) -> Any:
    """Checks what must be one number or schedule, for all leaves at once: see `check`; a tree is a TypeError."""
    value = check(name, value, accepted)
    if not is_single(value):
        raise TypeError(f"{name} must be one number {accepted.text}, or a schedule of it; got the tree {value!r}.")
    return value


def ordered(**numbers: Any) -> None:
    """Raises a ValueError if of the numbers that are known, by their names, one is larger than the next."""
    known = {n: value for n, value in numbers.items() if isinstance(value, Scalar) and not isinstance(value, Tracer)}
    for one, other in itertools.pairwise(known):
        if np.asarray(known[one]) > np.asarray(known[other]):
            raise ValueError(f"{one} must be at most {other}; got {one}={known[one]!r} and {other}={known[other]!r}.")


def _is_real(dtype: Any) -> bool:
    return jnp.issubdtype(dtype, jnp.floating) or jnp.issubdtype(dtype, jnp.integer)


def _check_number(where: str, value: Any, accepted: Range) -> Any:
    if isinstance(value, Deferred):
        raise TypeError(f"{where}: {value!r} has to see the params or the training first, which it cannot do here.")
    if not (isinstance(value, Scalar) and _is_real(getattr(value, "dtype", type(value)))):
        raise TypeError(
            f"{where} must be a number {accepted.text}, a schedule (a function of the count), or a tree of these; "
            f"got {value!r} of type {type(value).__name__}."
        )
    if np.shape(value) != ():
        raise ValueError(
            f"{where} must be a number {accepted.text} or an array of shape (); got shape {np.shape(value)}. "
            "For a value per leaf, give a tree; to try many values at once, use jax.vmap."
        )
    if not isinstance(value, Tracer) and not accepted.contains(np.asarray(value, np.float64)):
        raise ValueError(f"{where} must be {accepted.text}; got {value!r}.")
    if not isinstance(value, int | float) and jnp.issubdtype(value.dtype, jnp.integer):
        # The negative of an unsigned number is a large one, the square of a narrow one a small one.
        return value.astype(jnp.result_type(float))
    return value


# What schedules gave at the probes; parts of one method, and many methods, see the same schedule.
_probed: weakref.WeakKeyDictionary[Any, np.ndarray] = weakref.WeakKeyDictionary()


def _probe(where: str, schedule: Callable[..., Any]) -> np.ndarray | None:
    """The schedule's values at the probes; `None` if it closes over hyperparameters of a sweep."""
    if schedule in _probed:
        return _probed[schedule]
    try:
        value = jax.eval_shape(schedule, _PROBES[0])
    except Exception as error:
        raise TypeError(
            f"{where} is a function that JAX cannot trace with a count; a schedule takes one argument, the count, and "
            f"uses jnp.where instead of if. {error}"
        ) from error
    if not (isinstance(value, jax.ShapeDtypeStruct) and _is_real(value.dtype) and value.shape == ()):
        found = repr(value)
        if isinstance(value, jax.ShapeDtypeStruct):
            found = f"shape {value.shape}" if value.shape else f"dtype {value.dtype}"
        raise ValueError(f"{where} is a function that returns {found}; a schedule maps a count to a number.")
    with jax.ensure_compile_time_eval():
        values = jax.jit(jax.vmap(schedule))(_PROBES)
    if isinstance(values, Tracer):
        return None
    return _probed.setdefault(schedule, np.asarray(values, np.float64))


def outlives_a_trace(where: str, schedule: Any) -> bool:
    """Whether the schedule closes over no hyperparameter of a sweep."""
    return _probe(where, schedule) is not None


def _check_schedule(where: str, schedule: Any, accepted: Range) -> Any:
    values = _probe(where, schedule)
    if values is None:
        return schedule
    # A descent to 0 may end a rounding error below it, and a range test raises the learning rate without end.
    tame = np.where(np.abs(values) < 1e-6, 0.0, values)
    if accepted is NON_NEGATIVE:
        tame = np.where(np.isposinf(tame) & (_PROBES > 0), 0.0, tame)
    outside = np.flatnonzero(~accepted.contains(tame))
    if outside.size:
        count, value = _PROBES[outside[0]], values[outside[0]]
        raise ValueError(f"{where} is a schedule that gives {value:g} at count {count}; it must stay {accepted.text}.")
    return schedule


def is_single(coefficient: Any) -> bool:
    """Whether it is one number or schedule and no tree."""
    return is_schedule(coefficient) or jax.tree_util.all_leaves([coefficient])


def is_zero(value: Any) -> bool:
    """Whether a value is known to be 0 before anything runs, so that what it multiplies need not exist."""
    return isinstance(value, float | int | np.generic | np.ndarray) and bool(value == 0)


def at(coefficient: Any, count: chex.Numeric) -> Any:
    """The coefficient's tree with every schedule called at `count`.

    The schedules see the default integer type: under x64 that is int64, whose quotients JAX computes in float64, while
    those of the int32 kept in the state would be float32.
    """
    count = jnp.asarray(count).astype(jnp.result_type(int))
    values: dict[int, Any] = {}

    def leaf(value):
        if not is_schedule(value):
            return value
        if id(value) not in values:
            values[id(value)] = value(count)
        return values[id(value)]

    return _unknown(jax.tree.map(leaf, coefficient, is_leaf=is_schedule), count)


def _unknown(values: Any, count: jax.Array) -> Any:
    """The values of a tree, its constants as numbers that the compiler does not know.

    A constant becomes part of the kernel that multiplies by it: fifty leaves of one shape with fifty betas would be
    compiled fifty times instead of once. An element of an array is an operand while its index is not known; and minus
    the count, of which only we know that it is never above 0, is taken for 0.
    """
    leaves, structure = jax.tree.flatten(values)
    constants = {id(value): value for value in leaves if not (isinstance(value, Tracer) or is_zero(value))}
    if len(constants) < 2 or not isinstance(count, Tracer):
        return values
    index = -count
    operands = {}
    for i, value in constants.items():
        dtype = jnp.result_type(float, value)
        pair = np.stack([np.asarray(value, dtype), np.zeros((), dtype)])  # of equal numbers, any would be known
        one = jax.lax.dynamic_slice(pair, (index,), (1,), allow_negative_indices=False)
        operands[i] = jax.lax.squeeze(one, (0,))
    return structure.unflatten([operands.get(id(value), value) for value in leaves])


def combine(function: Callable[..., Any], *coefficients: Any) -> Any:
    """The coefficient whose value is the function of the values, as in `combine(lambda nu: 1 - nu, nu)`.

    Single numbers and schedules go with every part of a tree; trees must have one structure.
    """

    def leaf(*values):
        if any(is_schedule(value) for value in values):
            return lambda count: function(*(at(value, count) for value in values))
        return function(*values)

    tree = next((c for c in coefficients if not is_single(c)), coefficients[0])
    whole = [jax.tree.map(lambda _, c=c: c, tree, is_leaf=is_schedule) if is_single(c) else c for c in coefficients]
    return jax.tree.map(leaf, *whole, is_leaf=is_schedule)


def stored(values: Any) -> Any:
    """The values as arrays of the default float dtype, to be kept in a state.

    They are copies: a state may be donated, and the user's arrays with it.
    """
    return jax.tree.map(lambda value: jnp.array(value, jnp.result_type(float)), values)


def zeros(coefficient: Any) -> Any:
    """Zeros, one for each number or schedule of the coefficient: a memory for `advance`."""
    return stored(jax.tree.map(lambda _: 0, coefficient, is_leaf=is_schedule))


def sequence(name: str, coefficients: Sequence[Any], accepted: Range = DECAY) -> tuple[Any, ...]:
    """Checks a sequence of coefficients, one for each of several memories.

    Raises:
      TypeError: it is no list or tuple.
      ValueError: it is empty, or one of them is refused by `check`.
    """
    if not isinstance(coefficients, list | tuple):
        raise TypeError(f"{name} must be a sequence of coefficients; got {coefficients!r}.")
    if not coefficients:
        raise ValueError(f"{name} must hold at least one coefficient; got {coefficients!r}.")
    return tuple(check(f"{name}[{i}]", c, accepted) for i, c in enumerate(coefficients))


def varies(coefficient: Any) -> bool:
    """Whether any part of the coefficient is a schedule."""
    return any(is_schedule(leaf) for leaf in jax.tree.leaves(coefficient, is_leaf=is_schedule))
