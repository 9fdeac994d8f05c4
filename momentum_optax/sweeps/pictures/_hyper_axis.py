"""Where hyperparameters lie on an axis."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axis import XAxis, YAxis
from matplotlib.ticker import MaxNLocator

from ._axes import ACCURACIES, log_ticks, set_ticks, short, words

_TRANSFORMS = {"linear": float, "log": math.log10, "one-minus-log": lambda value: -math.log10(1 - value)}


class HyperAxis:
    """An axis for a hyperparameter, spaced as its values are.

    Attributes:
      name: of the hyperparameter.
      kind: `"one-minus-log"` for numbers in [0, 1) of which some are at least 0.9, such as a beta; `"log"` for positive
        ones that differ fivefold; `"linear"` for others; `"choice"` for strings and truth values. Where several would
        do, the one on which the values lie most evenly.
      values: the different values, in the order of the axis; `None` comes first, for where there is no such
        hyperparameter.
      changes: whether runs change the hyperparameter, so that the values are those at the start.
    """

    def __init__(self, name: str, values: Sequence[Any], changes: bool = False):
        self.name, self.changes = name, changes
        known = list(dict.fromkeys(value for value in values if value is not None))
        self.kind = _kind(known)
        known = known if self.kind == "choice" else sorted(known)
        self.values = [None, *known] if None in values else known
        # A missing value lies apart, before the others.
        low, high = self.at(known[0]), self.at(known[-1])
        self._missing = 0.0 if self.kind == "choice" else low - (0.2 * (high - low) or 1.0)

    @property
    def label(self) -> str:
        """What to write beside the axis."""
        name = words(self.name)
        scale = {"one-minus-log": f" (log of 1 - {name})", "log": " (log)"}.get(self.kind, "")
        return name + (" at the start" if self.changes else "") + scale

    def at(self, value: Any) -> float:
        """Where a value lies."""
        if value is None:
            return self._missing
        if self.kind == "choice":
            return float(self.values.index(value))
        return float(_TRANSFORMS[self.kind](value))

    def ticks(self, most: int = 13) -> list[tuple[float, str]]:
        """Places and texts: all values if there are not too many, else round numbers."""
        if self.kind == "choice" or len(self.values) <= most:
            return [(self.at(value), short(value)) for value in self.values]
        known = [value for value in self.values if value is not None]
        low, high = known[0], known[-1]
        if self.kind == "linear":
            numbers = MaxNLocator(6).tick_values(low, high)
        elif self.kind == "log":
            numbers = log_ticks(low, high)
        else:
            numbers = np.array([0.0, *ACCURACIES[1:], 0.9999, 0.99999])
        missing = [None] if len(known) < len(self.values) else []
        return [(self.at(n), short(n)) for n in [*missing, *(float(n) for n in numbers if low <= n <= high)]]

    def dress(self, axis: XAxis | YAxis, most: int = 13) -> None:
        """Puts ticks and a label on an axis."""
        set_ticks(axis, self.ticks(most))
        axis.set_label_text(self.label)


def _kind(values: Sequence[Any]) -> str:
    if any(isinstance(value, str | bool) for value in values):
        return "choice"
    kinds = []
    if min(values) >= 0 and 0.9 <= max(values) < 1:
        kinds.append("one-minus-log")
    if min(values) > 0 and max(values) >= 5 * min(values):
        kinds.append("log")
    # Few numbers are a list made by hand, of which this cannot be told.
    if len(values) >= 8 or not kinds:
        kinds.append("linear")
    return min(kinds, key=lambda kind: _unevenness(values, kind)) if len(kinds) > 1 else kinds[0]


def _unevenness(values: Sequence[float], kind: str) -> float:
    """How far values are from being evenly spaced."""
    at = np.sort([_TRANSFORMS[kind](value) for value in values])
    return float(np.abs((at - at[0]) / (at[-1] - at[0]) - np.linspace(0, 1, len(at))).max())
