"""What stands for each leaf at each place of a method's arguments, where a coefficient has to see first.

The static half of `_adaptive`: from the arguments of a maker and the paths of a tree to a plan, and from a plan to the
transformation.
"""

import abc
import inspect
import typing
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from . import _coefficient as coefficient
from . import _grouping as grouping
from ._paths import key, listed, paths, pure
from ._rule import Output, Rule
from ._types import Deferred

Entry = tuple[Hashable, Any]
"""The value for one leaf, behind a label that the leaves share which have it in common."""


class ByPath(Deferred, abc.ABC):
    """A coefficient that depends on the path of the leaf."""

    @abc.abstractmethod
    def examples(self) -> dict[str, Any]:
        """Values that it has, by a name each."""

    @abc.abstractmethod
    def assign(self, name: str, paths: Sequence[str], absent: Sequence[bool]) -> list[Entry]:
        """The value for each leaf; `None` for one that is absent and has none.

        Raises:
          ValueError: a leaf that is not absent has no value or several, or a value has no leaf.
        """


def deferred_in(tree: Any) -> list[Deferred]:
    leaves = jax.tree.leaves(tree, is_leaf=lambda x: isinstance(x, Deferred))
    return [leaf for leaf in leaves if isinstance(leaf, Deferred)]


class Place(NamedTuple):
    """Where a coefficient stands among the arguments: which argument, and which of several in it."""

    argument: str
    index: int | None = None

    def __str__(self) -> str:
        return self.argument if self.index is None else f"{self.argument}[{self.index}]"


class Slot(NamedTuple):
    """Where the value that a rule decides on is kept, and which output of the rule it is."""

    name: str
    output: str


class Watch(NamedTuple):
    """A rule at work on some leaves, given by their numbers, and the slots that it fills."""

    rule: Rule
    argument: str
    name: str
    leaves: tuple[int, ...]
    slots: list[Slot]


class Plan(NamedTuple):
    """What stands for each leaf of a tree at each place, a slot where a rule decides; and the rules at work."""

    columns: dict[Place, list[Entry]]
    watches: list[Watch]

    def values(self, values: dict[str, Any]) -> dict[Place, list[Entry]]:
        """The columns with the slots filled."""
        return {
            place: [(label, values[v.name] if isinstance(v, Slot) else v) for label, v in column]
            for place, column in self.columns.items()
        }


class Method:
    """A maker, its arguments, and the coefficients among them that have to see first."""

    def __init__(self, make: Callable[..., Any], arguments: inspect.BoundArguments):
        self.make, self.arguments = make, arguments
        self.downhill = "learning_rate" in arguments.arguments
        self.places: dict[Place, Any] = {}
        for name, argument in arguments.arguments.items():
            if deferred_in(argument) and isinstance(arguments.signature.parameters[name].default, bool):
                raise TypeError(f"{name} must be True or False; got {argument!r}.")
            several = typing.get_origin(arguments.signature.parameters[name].annotation) is Sequence
            parts = enumerate(argument) if several and isinstance(argument, list | tuple) else [(None, argument)]
            self.places |= {Place(name, i): part for i, part in parts if deferred_in(part)}
        for place, c in self.places.items():
            if not isinstance(c, Deferred) and any(isinstance(part, ByPath) for part in deferred_in(c)):
                raise TypeError(
                    f"{place}: layerwise and by_depth stand for a whole coefficient; got them inside {c!r}."
                )
            for rule in rules_in(c):
                if rule.needs_learning_rate and not self.downhill:
                    raise TypeError(
                        f"{place}: {rule!r} needs the learning rate; use it in an optimizer that takes one, not in "
                        f"{make.__name__}."
                    )
        self.has_rules = any(True for c in self.places.values() for _ in rules_in(c))
        self.with_values({place: _sample(c) for place, c in self.places.items()})  # refuses bad arguments

    def with_values(self, values: dict[Place, Any]) -> optax.GradientTransformationExtraArgs:
        """The transformation with these coefficients at the places."""
        arguments = dict(self.arguments.arguments)
        for (name, index), value in values.items():
            if index is None:
                arguments[name] = value
            else:
                arguments[name] = (*arguments[name][:index], value, *arguments[name][index + 1 :])
        bound = inspect.BoundArguments(self.arguments.signature, arguments)  # type: ignore[arg-type]
        return optax.with_extra_args_support(self.make(*bound.args, **bound.kwargs))

    def with_columns(self, tree: Any, columns: dict[Place, list[Entry]]) -> optax.GradientTransformationExtraArgs:
        """The transformation with a coefficient for each leaf of the tree at the places."""
        return self.with_values({place: _as_tree(names(tree), entries) for place, entries in columns.items()})

    def without_leaves(self) -> optax.GradientTransformationExtraArgs:
        """The transformation for params that have no leaves, to which one value does as well as many."""
        samples = {place: jax.tree.leaves(_sample(c), is_leaf=coefficient.is_leaf) for place, c in self.places.items()}
        # What a rule decides on is never known to be 0, whatever it starts from.
        nothing = {p: jnp.zeros(()) if any(True for _ in rules_in(c)) else 0.0 for p, c in self.places.items()}
        return self.with_values(
            {p: next((v for v in values if not coefficient.is_zero(v)), nothing[p]) for p, values in samples.items()}
        )

    def plan(self, tree: Any) -> Plan:
        """What stands for each leaf of the tree at each place, and which rules are at work."""
        columns = {place: column(str(place), c, tree) for place, c in self.places.items()}
        spots, watches = paths(tree, grouping.is_absent), {}
        for place, entries in columns.items():
            covered: dict[tuple[str, Any], list[int]] = {}
            for i, (label, value) in enumerate(entries):
                if isinstance(value, Rule | Output):
                    spot = spots[i] if _rule_of(value).each_leaf else str(label)
                    covered.setdefault((spot, value), []).append(i)
            for (spot, value), leaves in covered.items():
                rule = _rule_of(value)
                name = f"{place}{spot}" if spot.startswith("[") else f"{place}[{spot}]" if spot else str(place)
                slot = Slot(name, value.name if isinstance(value, Output) else rule.output)
                # A rule that stands in two places for the same leaves is one rule, such as a learning rate and a beta.
                watch = Watch(rule, place.argument, name, tuple(leaves), [])
                watches.setdefault((id(rule), watch.leaves), watch).slots.append(slot)
                for i in leaves:
                    entries[i] = (spot, slot)
        return Plan(columns, list(watches.values()))

    def learning_rates(self, tree: Any, plan: Plan, values: dict[str, Any], count: jax.Array) -> list[Any] | None:
        """The learning rate of each leaf at this update; `None` if the method has none."""
        if not self.downhill:
            return None
        place = Place("learning_rate")
        rates = plan.values(values).get(place) or column(str(place), self.arguments.arguments["learning_rate"], tree)
        return [coefficient.at(rate, count) for _, rate in rates]


def column(name: str, c: Any, tree: Any) -> list[Entry]:
    """What stands for each leaf of the tree."""
    leaves = jax.tree.leaves(tree, is_leaf=grouping.is_absent)
    if isinstance(c, ByPath):
        return c.assign(name, paths(tree, grouping.is_absent), list(map(grouping.is_absent, leaves)))
    if isinstance(c, Deferred) or coefficient.is_single(c):
        return [("", c)] * len(leaves)
    grouping.fit(name, c, tree)
    entries: list[Entry] = [("", None)] * len(leaves)
    for part in grouping.groups(c, tree, grouping.is_absent):
        for i in part.leaves:
            entries[i] = (part.path, part.value)
    return entries


def _rule_of(value: Any) -> Rule:
    return value.rule if isinstance(value, Output) else value


def rules_in(c: Any) -> Iterator[Rule]:
    for part in deferred_in(c):
        if isinstance(part, ByPath):
            yield from rules_in(part.examples())
        else:
            yield _rule_of(part)


def _sample(c: Any) -> Any:
    """The coefficient as it may be before anything was seen."""

    def leaf(part):
        if isinstance(part, ByPath):
            return _sample(part.examples())
        if isinstance(part, Output):
            return part.rule.start[part.name]
        return part.start[part.output] if isinstance(part, Rule) else part

    return jax.tree.map(leaf, c, is_leaf=lambda x: isinstance(x, Deferred) or coefficient.is_leaf(x))


def names(tree: Any) -> list[tuple[Hashable, ...]]:
    flat, _ = jax.tree_util.tree_flatten_with_path(pure(tree), is_leaf=grouping.is_absent)
    return [tuple(map(key, path)) for path, _ in flat]


def aligned(tree: Any, updates: Any) -> list[Any]:
    """The updates at each leaf of the tree; what has no gradient may stand for a whole branch."""
    leaves = dict(zip(names(updates), jax.tree.leaves(updates, is_leaf=grouping.is_absent), strict=True))
    around = [[name[:i] for i in range(len(name), -1, -1) if name[:i] in leaves] for name in names(tree)]
    bare = [path for path, found in zip(paths(tree, grouping.is_absent), around, strict=True) if not found]
    if bare:
        raise ValueError(f"the updates do not have the structure of the params: there is none for {listed(bare)}.")
    return [leaves[found[0]] for found in around]


def _as_tree(keys: Sequence[tuple[Hashable, ...]], entries: Sequence[Entry]) -> Any:
    """The smallest tree by names in which every leaf has its value; one value if all have the same."""
    if len({label for label, _ in entries}) == 1:
        return entries[0][1]
    branches: dict[Hashable, list[int]] = {}
    for i, name in enumerate(keys):
        branches.setdefault(name[0], []).append(i)
    return {
        branch: _as_tree([keys[i][1:] for i in leaves], [entries[i] for i in leaves])
        for branch, leaves in branches.items()
    }
