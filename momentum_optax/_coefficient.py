"""What a hyperparameter may be, and how it becomes a number per leaf.

A coefficient is a number, an array of shape `()` (traced in a sweep), a schedule `count -> number`, or a tree of
these that is a prefix of the params. Four steps lead from there to arithmetic, each a function here:

    check   at construction: refuses what cannot be right, names the argument and says what would be accepted
    fit     at init: refuses a tree that does not cover the params
    at      at each update: calls the schedules with the count; the structure of the tree stays
    spread  at each update: one value for each leaf of the updates

Trees are matched by the *names* along the path, so that a plain dict fits a FrozenDict or an `nnx.State`. The value of
a traced array is never looked at.
"""

from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.core import Tracer

from ._types import Coefficient, Scalar


class Range(NamedTuple):
    """The numbers that an argument accepts."""

    text: str
    contains: Callable[[Any], Any]  # elementwise, False for NaN


DECAY = Range("in [0, 1)", lambda x: (x >= 0) & (x < 1))
FRACTION = Range("in [0, 1]", lambda x: (x >= 0) & (x <= 1))
NON_NEGATIVE = Range("finite and at least 0", lambda x: (x >= 0) & (x < np.inf))
POSITIVE = Range("finite and above 0", lambda x: (x > 0) & (x < np.inf))
FINITE = Range("finite", np.isfinite)

# Where schedules are tried at construction: every scale from one update to a million.
_PROBES = np.unique(np.geomspace(1, 1e6, 60).astype(np.int32)) - 1


def is_schedule(x: Any) -> bool:
    """Whether it is a function of the count. Containers that can be called, such as modules, are not."""
    return callable(x) and (jax.tree_util.all_leaves([x]) or isinstance(x, jax.tree_util.Partial))


def _is_leaf(x: Any) -> bool:
    return x is None or is_schedule(x)


def check(name: str, coefficient: Coefficient, accepted: Range = DECAY) -> Any:
    """Returns the coefficient with `None` replaced by 0.

    Args:
      name: of the argument, for the message.
      coefficient: what the user gave.
      accepted: the numbers allowed. Schedules are tried at counts from 0 to a million.

    Raises:
      TypeError: a leaf is no number, array or function.
      ValueError: a number or a value of a schedule is outside `accepted`, or an array is not of shape `()`.
    """

    def leaf(path, value):
        where = name + jax.tree_util.keystr(path)
        if value is None:
            return 0.0
        if is_schedule(value):
            _check_schedule(where, value, accepted)
        else:
            _check_number(where, value, accepted)
        return value

    return jax.tree_util.tree_map_with_path(leaf, coefficient, is_leaf=_is_leaf)


def _is_real(dtype: Any) -> bool:
    return jnp.issubdtype(dtype, jnp.floating) or jnp.issubdtype(dtype, jnp.integer)


def _check_number(where: str, value: Any, accepted: Range) -> None:
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


def _check_schedule(where: str, schedule: Callable[..., Any], accepted: Range) -> None:
    value = jax.eval_shape(schedule, _PROBES[0])
    if not (isinstance(value, jax.ShapeDtypeStruct) and _is_real(value.dtype) and value.shape == ()):
        found = repr(value)
        if isinstance(value, jax.ShapeDtypeStruct):
            found = f"shape {value.shape}" if value.shape else f"dtype {value.dtype}"
        raise ValueError(f"{where} is a function that returns {found}; a schedule maps a count to a number.")
    with jax.ensure_compile_time_eval():
        values = jax.jit(jax.vmap(schedule))(_PROBES)
    if isinstance(values, Tracer):  # it closes over hyperparameters of a sweep
        return
    values = np.asarray(values, np.float64)
    # A descent to 0 may end a rounding error below it.
    inside = accepted.contains(np.where(np.abs(values) < 1e-6, 0.0, values))
    outside = np.flatnonzero(~inside)
    if outside.size:
        count, value = _PROBES[outside[0]], values[outside[0]]
        raise ValueError(f"{where} is a schedule that gives {value:g} at count {count}; it must stay {accepted.text}.")


def is_zero(value: Any) -> bool:
    """Whether a value is known to be 0 before anything runs, so that what it multiplies need not exist."""
    return isinstance(value, float | int | np.generic | np.ndarray) and not isinstance(value, jax.Array) and value == 0


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

    return jax.tree.map(leaf, coefficient, is_leaf=is_schedule)


def combine(function: Callable[..., Any], *coefficients: Any) -> Any:
    """The coefficient whose value is the function of the values, as in `combine(lambda nu: 1 - nu, nu)`.

    Single numbers and schedules go with every part of a tree; trees must have one structure.
    """

    def leaf(*values):
        if any(is_schedule(value) for value in values):
            return lambda count: function(*(at(value, count) for value in values))
        return function(*values)

    tree = next((c for c in coefficients if not _is_single(c)), coefficients[0])
    whole = [jax.tree.map(lambda _, c=c: c, tree, is_leaf=is_schedule) if _is_single(c) else c for c in coefficients]
    return jax.tree.map(leaf, *whole, is_leaf=is_schedule)


def stored(values: Any) -> Any:
    """The values as arrays of the default float dtype, to be kept in a state.

    They are copies: a state may be donated, and the user's arrays with it.
    """
    return jax.tree.map(lambda value: jnp.array(value, jnp.result_type(float)), values)


def zeros(coefficient: Any) -> Any:
    """Zeros, one for each number or schedule of the coefficient: a memory for `advance`."""
    return stored(jax.tree.map(lambda _: 0, coefficient, is_leaf=is_schedule))


def _key(entry: Any) -> Hashable:
    """The name of one step along a path, the same for every container."""
    for attribute in ("key", "name", "idx"):
        if hasattr(entry, attribute):
            return getattr(entry, attribute)
    return entry


def is_none(x: Any) -> bool:
    """Whether a leaf of the updates has no gradient."""
    return x is None


def is_absent(x: Any) -> bool:
    """Whether a leaf has no gradient or is masked out."""
    return x is None or isinstance(x, optax.MaskedNode)


def _is_single(coefficient: Any) -> bool:
    return is_schedule(coefficient) or jax.tree_util.all_leaves([coefficient])


class Group(NamedTuple):
    """One leaf of a coefficient's tree: its value, its path, and the numbers of the leaves it covers."""

    value: Any
    path: str
    leaves: list[int]


def groups(coefficient: Any, tree: Any, is_leaf: Callable[[Any], bool] = is_none) -> list[Group]:
    """Which leaves of the tree each leaf of the coefficient covers."""
    flat, _ = jax.tree_util.tree_flatten_with_path(coefficient, is_leaf=_is_leaf)
    parts = [Group(value, jax.tree_util.keystr(path), []) for path, value in flat]
    by_path = {tuple(map(_key, path)): part for (path, _), part in zip(flat, parts, strict=True)}
    for i, (path, _) in enumerate(jax.tree_util.tree_flatten_with_path(tree, is_leaf=is_leaf)[0]):
        keys = tuple(map(_key, path))
        for depth in range(len(keys) + 1):
            if keys[:depth] in by_path:
                by_path[keys[:depth]].leaves.append(i)
                break
    return parts


def fit(name: str, coefficient: Any, params: optax.Params) -> None:
    """Raises a ValueError unless every leaf of the params has exactly one value.

    Leaves that are masked out may have one: a tree made for the whole model fits each of its parts.
    """
    leaves = jax.tree_util.tree_flatten_with_path(params, is_leaf=is_absent)[0]
    if _is_single(coefficient) or not leaves:
        return
    parts = groups(coefficient, params, is_absent)
    covered = {i for part in parts for i in part.leaves}
    uncovered = [
        "params" + jax.tree_util.keystr(path)
        for i, (path, leaf) in enumerate(leaves)
        if i not in covered and not is_absent(leaf)
    ]
    unused = [name + part.path for part in parts if not part.leaves]
    problems = [f"no value for {', '.join(uncovered)}"] if uncovered else []
    problems += [f"no such leaf for {', '.join(unused)}"] if unused else []
    if problems:
        raise ValueError(
            f"{name} is a tree that does not fit the params: {'; '.join(problems)}. Accepted: one value for all, or a "
            "tree that has the params' structure or is a prefix of it."
        )


def named(tx: optax.GradientTransformation, **coefficients: Any) -> optax.GradientTransformationExtraArgs:
    """The transformation, whose `init` refuses trees that do not fit by the names of the arguments they came in as.

    For methods that are expressions: their parts know a coefficient only by the name that it has there.
    """
    extended = optax.with_extra_args_support(tx)

    def init(params: optax.Params) -> Any:
        for name, coefficient in coefficients.items():
            fit(name, coefficient, params)
        return extended.init(params)

    return optax.GradientTransformationExtraArgs(init, extended.update)


def spread(values: Any, tree: Any, is_leaf: Callable[[Any], bool] = is_none) -> list[Any]:
    """One value for each leaf of the tree; `None` for a leaf without gradient that no single value covers."""
    column: list[Any] = [None] * len(jax.tree.leaves(tree, is_leaf=is_leaf))
    if _is_single(values):
        return [values] * len(column)
    for part in groups(values, tree, is_leaf):
        for i in part.leaves:
            column[i] = part.value
    return column


def advance(function: Callable[..., Any], updates: optax.Updates, memory: Any, values: Any) -> Any:
    """Moves a memory made by `zeros` or `stored`: `function(memory, value) -> memory` for each coefficient.

    One whose leaves have no gradient keeps its memory, as the leaves do.
    """
    leaves = jax.tree.leaves(updates, is_leaf=is_none)
    if _is_single(values):
        column, moved = [values], [any(g is not None for g in leaves)]
    else:
        parts = groups(values, updates)
        column, moved = [part.value for part in parts], [any(leaves[i] is not None for i in p.leaves) for p in parts]
    flat, structure = jax.tree.flatten(memory)
    flat = [
        jnp.asarray(function(m, v)).astype(m.dtype) if move else m
        for m, v, move in zip(flat, column, moved, strict=True)
    ]
    return jax.tree.unflatten(structure, flat)


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
