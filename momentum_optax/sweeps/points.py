"""Which hyperparameters to try."""

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np


class Points(Sequence[Mapping[str, float]]):
    """Settings of the same hyperparameters, one after the other.

    Attributes:
      names: the hyperparameters, in the order given.
    """

    def __init__(self, rows: Iterable[Mapping[str, float]]):
        """Collects points.

        Args:
          rows: one mapping from name to number for each point.

        Raises:
          ValueError: there is no point, two points have different names, or a value is no finite number.
        """
        self._rows = tuple(dict(row) for row in rows)
        if not self._rows:
            raise ValueError("A sweep needs at least one point, but the list of points is empty.")
        self.names = tuple(self._rows[0])
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


def grid(**values: Sequence[float]) -> Points:
    """Every combination of the given values, the last name varying fastest.

    Args:
      **values: the values to try, by hyperparameter.

    Returns:
      The points.

    Raises:
      ValueError: a list is empty, holds a value twice, or holds something that is no finite number.

    Examples:
      >>> [dict(p) for p in grid(learning_rate=[0.1, 1.0], beta=[0.9])]
      [{'learning_rate': 0.1, 'beta': 0.9}, {'learning_rate': 1.0, 'beta': 0.9}]
    """
    for name, options in values.items():
        if len(options) == 0:
            raise ValueError(f"{name}: give at least one value to try.")
        for index, option in enumerate(options):
            _check(name, option)
            if option in options[:index]:
                raise ValueError(f"{name}: {option} is given twice.")
    return Points(dict(zip(values, row, strict=True)) for row in itertools.product(*values.values()))


class Reader(dict[str, Any]):
    """Hyperparameters of one run, which say what there is when asked for what there is not."""

    def __missing__(self, name: str) -> Any:
        raise KeyError(f"The trial asks for hyperparameter {name!r}, but the points give only {sorted(self)}.")


def _check(name: str, value: float) -> None:
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not number or not math.isfinite(value):
        raise ValueError(f"{name}: every value must be a finite number, not {value!r}.")
