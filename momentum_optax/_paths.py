"""Leaves by name: the path of a leaf as a string, the same for every container, and patterns over such paths.

`encoder/layers/0/kernel` is the path of a leaf in a dict of dicts, in a FrozenDict, in an `nnx.State` and in an equinox
module alike. The path of a bare array is the empty string.
"""

import fnmatch
import re
import sys
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, TypeAlias

import jax

Pattern: TypeAlias = str | re.Pattern[str]
"""Names leaves: a glob for the path of a leaf or of a branch, or a compiled regular expression to be found in it."""


def pure(tree: Any) -> Any:
    """The tree without the variables of `flax.nnx`, which differ between a model and an `nnx.Optimizer`."""
    as_pure = getattr(sys.modules.get("flax.nnx"), "as_pure", None)
    return tree if as_pure is None else as_pure(tree)


def key(entry: Any) -> Hashable:
    """The name of one step along a path, the same for every container."""
    for attribute in ("key", "name", "idx"):
        if hasattr(entry, attribute):
            return getattr(entry, attribute)
    return entry


def joined(path: Iterable[Any]) -> str:
    """A path of JAX as a string."""
    return "/".join(str(key(entry)) for entry in path)


def paths(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> list[str]:
    """The path of every leaf, in the order of `jax.tree.leaves`."""
    return [joined(path) for path, _ in jax.tree_util.tree_flatten_with_path(pure(tree), is_leaf=is_leaf)[0]]


def check_pattern(name: str, pattern: Any) -> None:
    """Raises a TypeError unless it is a glob or a compiled regular expression."""
    if not isinstance(pattern, str | re.Pattern):
        raise TypeError(
            f"{name} must name leaves by a glob such as 'encoder/*/bias', or by a compiled regular expression; got "
            f"{pattern!r} of type {type(pattern).__name__}."
        )


_WILD = frozenset("*?[")


def matches(pattern: Pattern, path: str) -> bool:
    """Whether the pattern names the leaf, or a branch that it is on.

    In a glob, `*` stands for any characters, also `/`. A regular expression is searched for: `^` and `$` anchor it.
    """
    if isinstance(pattern, re.Pattern):
        return pattern.search(path) is not None
    if _WILD.isdisjoint(pattern):  # the usual case where there are as many patterns as leaves
        return path == pattern or path.startswith(pattern + "/")
    names = path.split("/")
    return any(fnmatch.fnmatchcase("/".join(names[:depth]), pattern) for depth in range(1, len(names) + 1))


def spelled(pattern: Pattern) -> str:
    """The pattern as it is shown in messages and tables."""
    return repr(pattern) if isinstance(pattern, str) else f"re.compile({pattern.pattern!r})"


def listed(names: Sequence[str], limit: int = 12) -> str:
    """Paths for a message; the first few of many."""
    shown = ", ".join(repr(name) for name in names[:limit])
    return shown + (f" and {len(names) - limit} more" if len(names) > limit else "")


def assign(
    name: str,
    patterns: Sequence[Pattern],
    paths: Sequence[str],
    absent: Sequence[bool],
    *,
    default: bool,
    advice: str = "give a default",
) -> list[int]:
    """The number of the pattern that names each leaf; -1 for one that is left to the default.

    Args:
      name: of what the patterns are in, for the message.
      patterns: each for some of the leaves.
      paths: of the leaves.
      absent: which leaves are masked out or have no gradient; they need no pattern, and with one of them a pattern may
        be for something inside it.
      default: whether leaves may be without a pattern.
      advice: for a message that one is.

    Raises:
      ValueError: a leaf has no pattern and there is no default, a leaf has two, or a pattern has no leaf.
    """
    found = [[i for i, pattern in enumerate(patterns) if matches(pattern, path)] for path in paths]
    used = {i for numbers in found for i in numbers}
    several = [
        f"{path!r} by {' and '.join(spelled(patterns[i]) for i in numbers)}"
        for path, numbers in zip(paths, found, strict=True)
        if len(numbers) > 1
    ]
    bare = [path for path, numbers, out in zip(paths, found, absent, strict=True) if not (numbers or out or default)]
    unused = [] if any(absent) or not paths else [spelled(p) for i, p in enumerate(patterns) if i not in used]
    problems = [f"no leaf is named by {', '.join(unused)}"] if unused else []
    problems += [f"named twice: {'; '.join(several)}"] if several else []
    problems += [f"nothing is said about {listed(bare)} ({advice})"] if bare else []
    if problems:
        raise ValueError(f"{name}: {'; '.join(problems)}. The leaves are {listed(paths)}.")
    return [numbers[0] if numbers else -1 for numbers in found]
