"""Which hyperparameters to try."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..values import Value, as_float, clean, clean_list, identity, listing
from ..values import to_float32 as to_float32
from .reader import Reader as Reader

RESERVED = {"diverged", "fold", "point", "pruned", "rank", "rung", "seed", "step", "trained"}
"""Columns of the tables of results, which no hyperparameter may be called."""


class Points(Sequence[Mapping[str, Any]]):
    """Settings of hyperparameters, one after the other.

    The type of a value says what it is. Floats vary inside one compiled program. Integers, strings and booleans are
    *structural*: each combination of them is a program of its own, see `programs`. A hyperparameter that is a float
    in one point is a number in all: its integers are turned into floats.

    `a + b` are the points of both, and `a * b` all combinations of a point of `a` with one of `b`, which must have
    other hyperparameters.

    Attributes:
      names: the hyperparameters, in the order of their appearance.

    Examples:
      >>> from momentum_optax.sweeps import grid
      >>> plain = grid(method=["sgd"], learning_rate=[0.1, 1.0])
      >>> heavy = grid(method=["heavy_ball"], learning_rate=[0.1]) * grid(beta=[0.5, 0.9])
      >>> for point in plain + heavy:
      ...     print(dict(point))
      {'method': 'sgd', 'learning_rate': 0.1}
      {'method': 'sgd', 'learning_rate': 1.0}
      {'method': 'heavy_ball', 'learning_rate': 0.1, 'beta': 0.5}
      {'method': 'heavy_ball', 'learning_rate': 0.1, 'beta': 0.9}
    """

    def __init__(self, rows: Mapping[str, Value] | Iterable[Mapping[str, Value]]):
        """Collects points.

        Args:
          rows: one mapping from name to value for each point, or the only one.

        Raises:
          ValueError: there is no point, two points have different names, a name is that of a column of the results,
            or a value is no finite float32 number, string or boolean.
        """
        given: list[Any] = [rows] if isinstance(rows, Mapping) else list(rows)
        if not given:
            raise ValueError("A sweep needs at least one point, but the list of points is empty.")
        for index, row in enumerate(given):
            if not isinstance(row, Mapping):
                raise ValueError(f"A point maps names to values, but point {index} is {row!r}.")
        names = tuple(given[0])
        if not names:
            raise ValueError("A point needs at least one hyperparameter.")
        if taken := sorted(RESERVED.intersection(names)):
            raise ValueError(f"{taken[0]}: a hyperparameter cannot be called so, for the tables have such a column.")
        for index, row in enumerate(given):
            if set(row) != set(names):
                raise ValueError(
                    f"Every point must name the same hyperparameters: point 0 has {sorted(names)}, "
                    f"point {index} has {sorted(row)}."
                )
        self._fill([{name: clean(name, value) for name, value in row.items()} for row in given])

    @classmethod
    def _of(cls, rows: Sequence[Mapping[str, Any]]) -> "Points":
        """Points whose values are clean, and whose names may differ."""
        points = cls.__new__(cls)
        points._fill(rows)
        return points

    def _fill(self, rows: Sequence[Mapping[str, Any]]) -> None:
        floats = {name for row in rows for name, value in row.items() if isinstance(value, float)}
        self._rows: tuple[dict[str, Any], ...] = tuple(
            {k: as_float(v) if k in floats else v for k, v in row.items()} for row in rows
        )
        self.names = tuple(dict.fromkeys(name for row in self._rows for name in row))

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Any) -> Any:
        if not isinstance(index, slice):
            return self._rows[index]
        if not self._rows[index]:
            raise ValueError(f"A sweep needs at least one point, but {index} leaves none of {len(self)}.")
        return Points._of(self._rows[index])

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        return iter(self._rows)

    def __repr__(self) -> str:
        return f"Points({list(self._rows)!r})"

    def __add__(self, other: "Points") -> "Points":
        if not isinstance(other, Points):
            return NotImplemented
        points = Points._of([*self, *other])
        check_distinct(points)
        return points

    def __mul__(self, other: "Points") -> "Points":
        if not isinstance(other, Points):
            return NotImplemented
        if both := [name for name in self.names if name in other.names]:
            raise ValueError(f"{both[0]}: both factors of a product have this hyperparameter; only one may.")
        return Points._of([{**a, **b} for a in self for b in other])

    def where(self, predicate: Callable[[Mapping[str, Any]], bool]) -> "Points":
        """The points for which a predicate holds.

        Args:
          predicate: a function of one point; where a hyperparameter exists in some points only, ask by `point.get`.

        Raises:
          ValueError: it holds for none.

        Examples:
          >>> from momentum_optax.sweeps import grid
          >>> points = grid(learning_rate=[0.1, 1.0], beta=[0.0, 0.9])
          >>> len(points.where(lambda p: p["learning_rate"] / (1 - p["beta"]) < 5))
          3
        """
        kept = [row for row in self if predicate(row)]
        if not kept:
            raise ValueError(f"where: the predicate holds for none of the {len(self)} points; it must keep some.")
        return Points._of(kept)

    def only_when(self, name: str, /, **when: Value | Sequence[Value]) -> "Points":
        """Points in which a hyperparameter exists only where others have certain values.

        Points that do not differ without it become one. Where conditions depend on each other, give that of the
        outer hyperparameter first.

        Args:
          name: the hyperparameter.
          **when: by hyperparameter, the value that it must have, or a list of them.

        Raises:
          ValueError: there is no such hyperparameter, or no point fulfils the condition.

        Examples:
          >>> from momentum_optax.sweeps import grid
          >>> points = grid(method=["sgd", "heavy_ball"], beta=[0.5, 0.9]).only_when("beta", method="heavy_ball")
          >>> [dict(point) for point in points]  # doctest: +NORMALIZE_WHITESPACE
          [{'method': 'sgd'}, {'method': 'heavy_ball', 'beta': 0.5}, {'method': 'heavy_ball', 'beta': 0.9}]
        """
        if not when:
            raise ValueError(f"only_when: say when {name} exists, such as only_when({name!r}, method='sgd').")
        for other in (name, *when):
            if other not in self.names:
                raise ValueError(f"only_when: there is no hyperparameter {other!r}; there are {listing(self.names)}.")
        if name in when:
            raise ValueError(f"only_when: {name} cannot depend on itself; name another hyperparameter.")
        wanted = {other: {identity(v) for v in condition_values(other, given)} for other, given in when.items()}
        holds = [
            all(other in row and identity(row[other]) in values for other, values in wanted.items()) for row in self
        ]
        if not any(holds):
            there = "; ".join(
                f"{other} is {listing(list(dict.fromkeys(repr(row[other]) for row in self if other in row)))}"
                for other in when
            )
            raise ValueError(f"only_when: {name} would exist in no point, for none has {when}; {there}.")
        rows = [
            row if held else {k: v for k, v in row.items() if k != name} for row, held in zip(self, holds, strict=True)
        ]
        unique: dict[Any, Mapping[str, Any]] = {}
        for row in rows:
            unique.setdefault(row_identity(row), row)
        return Points._of(list(unique.values()))

    def programs(self) -> "list[Program]":
        """The points in groups that one compiled program each can run, in the order of their first points.

        Examples:
          >>> from momentum_optax.sweeps import grid
          >>> for structure, indices, points in grid(nesterov=[True, False], beta=[0.5, 0.9]).programs():
          ...     print(structure, indices, points.arrays()["beta"])
          {'nesterov': True} (0, 1) [0.5 0.9]
          {'nesterov': False} (2, 3) [0.5 0.9]
        """
        groups: dict[Any, list[int]] = {}
        for index, row in enumerate(self):
            structure = row_identity({name: value for name, value in row.items() if not isinstance(value, float)})
            groups.setdefault((structure, frozenset(row)), []).append(index)
        return [self._program(indices) for indices in groups.values()]

    def _program(self, indices: Sequence[int]) -> "Program":
        first = self._rows[indices[0]]
        structure = {name: first[name] for name in self.names if not isinstance(first.get(name, 0.0), float)}
        numbers = [name for name in self.names if isinstance(first.get(name), float)]
        rows = [{name: self._rows[index][name] for name in numbers} for index in indices]
        return Program(structure, tuple(indices), Points._of(rows))

    def arrays(self) -> dict[str, np.ndarray]:
        """The values by name, each float32 of shape `[points]`.

        Raises:
          ValueError: a value is no number, or a hyperparameter does not exist in all points; `programs` separates
            such points.
        """
        for name, row in itertools.product(self.names, self):
            if isinstance(row.get(name), str | bool | None):
                problem = f"has the value {row[name]!r}" if name in row else "does not exist in every point"
                raise ValueError(f"{name} {problem}; only numbers have arrays. Use those of each of programs().")
        return {name: np.asarray([row[name] for row in self], np.float32) for name in self.names}


class Program(NamedTuple):
    """Points that one compiled program can run.

    Attributes:
      structure: what is the same for all of them and part of the program: integers, strings and booleans by name.
      indices: which of all points they are, ascending.
      points: the numbers of each, which vary inside the program; without any name if all is structure.
    """

    structure: Mapping[str, int | str | bool]
    indices: tuple[int, ...]
    points: Points


def condition_values(name: str, given: Any) -> list[Value]:
    """The values of a condition, which are given alone or as a list."""
    return clean_list(name, given) if isinstance(given, list | tuple) else [clean(name, given)]


def check_distinct(points: Points) -> None:
    """Raises a ValueError if a point comes twice."""
    seen: dict[Any, int] = {}
    for index, row in enumerate(points):
        if (first := seen.setdefault(row_identity(row), index)) != index:
            raise ValueError(f"Points {first} and {index} are the same, {dict(row)}; leave one of them out.")


def row_identity(row: Mapping[str, Value]) -> frozenset[Any]:
    """What is equal for points that a trial cannot tell apart."""
    return frozenset((name, identity(value)) for name, value in row.items())
