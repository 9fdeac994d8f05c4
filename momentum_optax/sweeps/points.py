"""Which hyperparameters to try."""

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

RESERVED = {"diverged", "method", "point", "rank", "seed", "step"}
"""Columns of the tables of results, which no hyperparameter may be called."""


class Points(Sequence[Mapping[str, float]]):
    """Settings of the same hyperparameters, one after the other.

    Attributes:
      names: the hyperparameters, in the order given.
    """

    def __init__(self, rows: Mapping[str, float] | Iterable[Mapping[str, float]]):
        """Collects points.

        Args:
          rows: one mapping from name to number for each point, or the only one.

        Raises:
          ValueError: there is no point, two points have different names, a name is that of a column of the results,
            or a value is no finite float32 number.
        """
        given: list[Any] = [rows] if isinstance(rows, Mapping) else list(rows)
        if not given:
            raise ValueError("A sweep needs at least one point, but the list of points is empty.")
        for index, row in enumerate(given):
            if not isinstance(row, Mapping):
                raise ValueError(f"A point maps names to numbers, but point {index} is {row!r}.")
        self._rows = tuple(dict(row) for row in given)
        self.names = tuple(self._rows[0])
        if not self.names:
            raise ValueError("A point needs at least one hyperparameter.")
        if taken := sorted(RESERVED.intersection(self.names)):
            raise ValueError(f"{taken[0]}: a hyperparameter cannot be called so, for the tables have such a column.")
        for index, row in enumerate(self._rows):
            if set(row) != set(self.names):
                raise ValueError(
                    f"Every point must name the same hyperparameters: point 0 has {sorted(self.names)}, "
                    f"point {index} has {sorted(row)}."
                )
            for name, value in row.items():
                _check(name, value)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Any) -> Any:
        return self._rows[index] if isinstance(index, int) else Points(self._rows[index])

    def __iter__(self) -> Iterator[Mapping[str, float]]:
        return iter(self._rows)

    def __repr__(self) -> str:
        return f"Points({list(self._rows)!r})"

    def arrays(self) -> dict[str, np.ndarray]:
        """The values by name, each float32 of shape `[points]`."""
        return {name: np.asarray([row[name] for row in self._rows], np.float32) for name in self.names}


def grid(**values: Iterable[float]) -> Points:
    """Every combination of the given values, the last name varying fastest.

    Args:
      **values: the values to try, by hyperparameter.

    Returns:
      The points.

    Raises:
      ValueError: there is no list, or a list is empty, holds a value twice (in float32), or holds something that is
        no finite float32 number.

    Examples:
      >>> [dict(p) for p in grid(learning_rate=[0.1, 1.0], beta=[0.9])]
      [{'learning_rate': 0.1, 'beta': 0.9}, {'learning_rate': 1.0, 'beta': 0.9}]
    """
    lists = {name: _listed(name, options) for name, options in values.items()}
    return Points(dict(zip(lists, row, strict=True)) for row in itertools.product(*lists.values()))


class Reader(dict[str, Any]):
    """Hyperparameters of one run, which say what there is when asked for what there is not."""

    def __missing__(self, name: str) -> Any:
        raise KeyError(f"The trial asks for hyperparameter {name!r}, but the points give only {sorted(self)}.")


def _listed(name: str, options: Any) -> list[float]:
    if hasattr(options, "tolist"):  # an array
        options = options.tolist()
    if not isinstance(options, Iterable) or isinstance(options, str | Mapping):
        raise ValueError(f"{name}: give a list of values to try, not {options!r}.")
    options = list(options)
    if not options:
        raise ValueError(f"{name}: give at least one value to try.")
    seen = set()
    for option in options:
        rounded = _check(name, option)
        if rounded in seen:
            raise ValueError(f"{name}: {option} is given twice.")
        seen.add(rounded)
    return options


def _check(name: str, value: float) -> float:
    """The value as float32, in which a trial gets it."""
    number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    rounded = to_float32(value) if number else math.nan
    if not math.isfinite(rounded):
        raise ValueError(f"{name}: every value must be a finite number in float32, not {value!r}.")
    return rounded


def to_float32(value: float) -> float:
    """The nearest float32 number; infinite where there is none."""
    try:
        with np.errstate(over="ignore"):
            return float(np.float32(value))
    except OverflowError:  # a whole number of hundreds of digits
        return math.inf
