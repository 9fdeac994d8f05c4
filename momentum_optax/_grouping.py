"""Which leaves a coefficient is for.

A tree of coefficients is matched with the params by the *names* along the path, not by the containers: a plain dict
fits a FrozenDict, an `nnx.State` or a dataclass, and may be shallower than they are.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from ._coefficient import is_leaf as coefficient_leaf
from ._coefficient import is_single
from ._paths import key


def is_none(x: Any) -> bool:
    """Whether a leaf of the updates has no gradient."""
    return x is None


def is_absent(x: Any) -> bool:
    """Whether a leaf has no gradient or is masked out."""
    return x is None or isinstance(x, optax.MaskedNode)


class Group(NamedTuple):
    """One leaf of a coefficient's tree: its value, its path, and the numbers of the leaves it covers."""

    value: Any
    path: str
    leaves: list[int]


def groups(coefficient: Any, tree: Any, is_leaf: Callable[[Any], bool] = is_none) -> list[Group]:
    """Which leaves of the tree each leaf of the coefficient covers.

    A leaf that is absent may stand for a whole branch; then it belongs to every part that is for something inside.
    """
    flat, _ = jax.tree_util.tree_flatten_with_path(coefficient, is_leaf=coefficient_leaf)
    parts = [Group(value, jax.tree_util.keystr(path), []) for path, value in flat]
    by_path = {tuple(map(key, path)): part for (path, _), part in zip(flat, parts, strict=True)}
    for i, (path, leaf) in enumerate(jax.tree_util.tree_flatten_with_path(tree, is_leaf=is_leaf)[0]):
        keys = tuple(map(key, path))
        prefixes = (keys[:depth] for depth in range(len(keys) + 1))
        around = [by_path[prefix] for prefix in prefixes if prefix in by_path]
        inside = [part for at, part in by_path.items() if at[: len(keys)] == keys] if is_absent(leaf) else []
        for part in around or inside:
            part.leaves.append(i)
    return parts


def fit(name: str, coefficient: Any, params: optax.Params) -> None:
    """Raises a ValueError unless every leaf of the params has exactly one value.

    Leaves that are masked out may have one: a tree made for the whole model fits each of its parts.
    """
    leaves = jax.tree_util.tree_flatten_with_path(params, is_leaf=is_absent)[0]
    if is_single(coefficient) or not leaves:
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
    if is_single(values):
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
    if is_single(values):
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
