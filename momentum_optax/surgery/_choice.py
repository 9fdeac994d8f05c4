"""Which velocities an operation is for: by path, by pattern, by a tree of bools, by a function, by group."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import jax
import numpy as np

from .. import _memories as memories
from .. import _paths as paths

Where: TypeAlias = paths.Pattern | Sequence[paths.Pattern] | Callable[[str], bool] | Any
"""Leaves by a pattern or several, by a function of their path, or by a tree of bools that is a prefix of the params."""


def check_found(state: Any, *, second_moments: bool = False, name: str = "state") -> None:
    """Raises a ValueError unless there is a memory in the state."""
    kinds = ("velocity", "second_moment") if second_moments else ("velocity",)
    if any(True for kind in kinds for _ in memories.memories(state, kind)):
        return
    nodes = jax.tree.leaves(state, is_leaf=lambda x: hasattr(x, "_fields") and not _has_states(x))
    seen = sorted({type(node).__name__ for node in nodes if hasattr(node, "_fields")})
    raise ValueError(
        f"{name} holds no velocity{' and no second moment' if second_moments else ''}; among its parts are "
        f"{', '.join(seen) or 'no states of optimizers'}. Accepted: an optimizer with momentum, and its state, such "
        "as heavy_ball, optax.sgd(momentum=...) or optax.adam."
    )


def _has_states(node: Any) -> bool:
    inner = jax.tree.leaves(tuple(node), is_leaf=lambda x: hasattr(x, "_fields")) if isinstance(node, tuple) else []
    return any(hasattr(x, "_fields") for x in inner)


def places(state: Any, *, second_moments: bool = False) -> tuple[list[str], list[str]]:
    """The paths that have a memory in the state, and those of leaves and branches that have none; each once."""
    held: dict[str, None] = {}
    without: dict[str, None] = {}
    for kind in ("velocity", "second_moment") if second_moments else ("velocity",):
        for memory in memories.memories(state, kind):
            has, has_not = memories.places(memory.tree)
            held |= dict.fromkeys(has)
            without |= dict.fromkeys(has_not)
    # A branch that one memory lacks and another has is known.
    return list(held), [path for path in without if not any(memories.under(path, other) for other in held)]


def check_pattern(name: str, pattern: Any, held: Sequence[str], without: Sequence[str]) -> None:
    """Raises a TypeError unless it is a pattern, and a ValueError unless it names a leaf."""
    paths.check_pattern(name, pattern)
    if any(paths.matches(pattern, path) for path in (*held, *without)):
        return
    # What is masked out may stand for a whole branch, of whose leaves nothing is known.
    if any(path == "" or isinstance(pattern, re.Pattern) or pattern.startswith(path + "/") for path in without):
        return
    raise ValueError(
        f"{name} has the pattern {paths.spelled(pattern)}, which matches no leaf; the paths are {paths.listed(held)}."
    )


def chooser(where: Where | None, state: Any, *, second_moments: bool = False) -> Callable[[str], bool] | None:
    """A function that says of each path whether it is chosen; `None` for all.

    Raises:
      TypeError: `where` is none of what is accepted.
      ValueError: it names a leaf that does not exist, or none at all.
    """
    if where is None:
        return None
    held, without = places(state, second_moments=second_moments)
    if isinstance(where, str | re.Pattern) or _is_patterns(where):
        several: Any = [where] if isinstance(where, str | re.Pattern) else where
        patterns: list[paths.Pattern] = list(several)
        if not patterns:
            raise ValueError(f"where is empty and chooses no leaf; the paths are {paths.listed(held)}.")
        for pattern in patterns:
            check_pattern("where", pattern, held, without)
        return lambda path: any(paths.matches(pattern, path) for pattern in patterns)
    function: Any = where
    is_function = callable(where) and jax.tree_util.all_leaves([where])
    chosen = {path: bool(function(path)) for path in held} if is_function else _by_tree(where, held, without)
    if held and not any(chosen.values()):
        raise ValueError(f"where chooses no leaf; the paths are {paths.listed(held)}.")
    return lambda path: chosen[path]


def _is_patterns(where: Any) -> bool:
    return isinstance(where, list | tuple) and all(isinstance(x, str | re.Pattern) for x in where)


def _by_tree(where: Any, held: list[str], without: list[str]) -> dict[str, bool]:
    values = dict(zip(paths.paths(where), jax.tree.leaves(where), strict=True))
    for path, value in values.items():
        if not isinstance(value, bool | np.bool_):
            raise TypeError(
                f"where must be a pattern or a sequence of patterns, a function of the path, or a tree of bools; got "
                f"{value!r} of type {type(value).__name__}{f' at {path!r}' if path else ''}."
            )

    known = [*held, *without]
    unused = [
        path
        for path in values
        if not any(memories.under(path, other) or memories.under(other, path) for other in known)
    ]
    if unused:
        raise ValueError(
            f"where is a tree with {paths.listed(unused)}, where there is no leaf; the paths are {paths.listed(held)}."
        )
    chosen = {path: next((v for p, v in values.items() if memories.under(p, path)), None) for path in held}
    uncovered = [path for path, value in chosen.items() if value is None]
    if uncovered:
        raise ValueError(f"where is a tree that says nothing of {paths.listed(uncovered)}.")
    return {path: bool(value) for path, value in chosen.items()}


def in_group(function: Callable[[Any], Any], state: Any, group: str | None) -> Any:
    """The function of the state, or of the part that a partition of Optax keeps under a label.

    Raises:
      ValueError: no partition in the state has the label.
    """
    if group is None:
        return function(state)
    labels: dict[Any, None] = {}
    found = False

    def is_partition(node):
        return isinstance(getattr(node, "inner_states", None), Mapping)

    def visit(node):
        nonlocal found
        if not is_partition(node):
            return node
        inner = dict(node.inner_states)
        labels.update(dict.fromkeys(inner))
        if group in inner:
            found = True
            inner[group] = function(inner[group])
        else:
            inner = {label: walk(part) for label, part in inner.items()}
        return node._replace(inner_states=type(node.inner_states)(inner))

    def walk(tree):
        return jax.tree.map(visit, tree, is_leaf=is_partition)

    state = walk(state)
    if not found:
        there = f"the labels are {paths.listed(list(labels))}" if labels else "there is no optax.partition in it"
        raise ValueError(f"group {group!r} is not in the state; {there}.")
    return state
