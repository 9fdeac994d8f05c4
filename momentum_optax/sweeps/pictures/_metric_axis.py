"""Where metrics lie on an axis, and in which colour."""

from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axis import XAxis, YAxis
from matplotlib.colors import Colormap, LogNorm, Normalize
from matplotlib.ticker import MaxNLocator

from ..results.best import Mode
from ._axes import ACCURACIES, log_ticks, set_ticks, short, words


class MetricAxis:
    """An axis and colours for a metric.

    Attributes:
      metric: its name.
      mode: whether larger or smaller is better.
      kind: `"accuracy"` for one whose name says so: logarithmic in the error, so that 97 % and 98 % can be told apart
        as well as 50 % and 70 %; `"log"` for positive numbers that differ fivefold, or a hundredfold beside zeros,
        which lie where the least of the others does; else `"linear"`.
      clipped: whether the worst losses share a colour.
      zeros: whether there are zeros on a logarithmic axis.
    """

    def __init__(self, metric: str, mode: Mode, values: np.ndarray, least_error: float = 0.001):
        self.metric, self.mode = metric, mode
        found = values[np.isfinite(values)]
        within = bool(((found >= 0) & (found <= 1)).all())
        self._low = 0.0
        if "accuracy" in metric and mode == "max" and within:
            self.kind = "accuracy"
            self._low = max(float(1 - found.max()), least_error) if found.size else 0.01
        elif _spans_decades(found):
            self.kind = "log"
            self._low = float(found[found > 0].min())
        else:
            self.kind = "linear"
        shown = self.shown(found) if found.size else np.array([0.01, 1.0])
        self._ends = float(shown.min()), float(shown.max())
        # The worst fifth of the losses may be astronomical; it shares a colour.
        most = float(np.quantile(shown, 0.8, method="lower")) if mode == "min" else self._ends[1]
        self._bulk = (self._ends[0], most if most > self._ends[0] else self._ends[1])
        self.clipped = self._bulk[1] < self._ends[1]
        self.zeros = self.kind == "log" and bool((found == 0).any())

    @property
    def label(self) -> str:
        """What to write beside the axis."""
        return words(self.metric) + ("" if self.mode == "max" else " (lower is better)")

    @property
    def note(self) -> str:
        """What to write below the label: where the zeros are."""
        return f"\n0 drawn at {self._low:.2g}" if self.zeros else ""

    @property
    def falls(self) -> bool:
        """Whether smaller is better of what is drawn."""
        return self.kind == "accuracy" or self.mode == "min"

    @property
    def norm(self) -> Normalize:
        """From what is drawn to colours."""
        low, high = self._bulk
        if self.kind == "accuracy":
            return LogNorm(low, min(1.0, max(high, 5 * low)), clip=True)  # small differences have similar colours
        if low == high:
            low, high = low - 1e-9 - 0.1 * abs(low), high + 1e-9
        return LogNorm(low, high, clip=True) if self.kind == "log" else Normalize(low, high, clip=True)

    def shown(self, values: Any) -> Any:
        """What is drawn for a value: for an accuracy its error; no zeros where they have no logarithm."""
        if self.kind == "linear":
            return values
        return np.maximum(1 - values if self.kind == "accuracy" else values, self._low)

    def cmap(self, best: str = "bright") -> Colormap:
        """Colours whose brightness tells the order without the hue."""
        return colormaps["cividis_r" if self.falls == (best == "bright") else "cividis"]

    def ticks(self, low: float, high: float) -> list[tuple[float, str]]:
        """Places of what is drawn, from `low` to `high`, and texts."""
        if self.kind == "accuracy":
            at = [a for a in ACCURACIES if low <= 1 - a <= high]
            if len(at) < 3:
                at = [a for a in MaxNLocator(5).tick_values(1 - high, 1 - low) if low <= 1 - a <= high]
            return [(float(1 - a), f"{100 * a:.4g} %") for a in at]
        numbers = log_ticks(low, high) if self.kind == "log" else MaxNLocator(6).tick_values(low, high)
        return [(float(n), short(float(n))) for n in numbers if low <= n <= high]

    def heights(self, values: np.ndarray) -> tuple[np.ndarray, list[tuple[float, str]]]:
        """Values, and ticks with their texts, as heights from 0 (worst) to 1 (best)."""
        low, high = self._bulk
        straight = np.asarray if self.kind == "linear" else np.log
        worst, best = (straight(end) for end in ((high, low) if self.falls else (low, high)))

        def scaled(drawn: Any) -> Any:
            return (straight(np.clip(drawn, low, high)) - worst) / (best - worst) if low < high else 0.5 + 0 * drawn

        return scaled(self.shown(values)), [(float(scaled(at)), text) for at, text in self.ticks(low, high)]

    def dress(self, axis: XAxis | YAxis, *, whole: bool = True) -> None:
        """Puts scale, ends, ticks and a label on an axis; accuracies rise along it.

        Args:
          axis: of a picture.
          whole: whether the worst losses are on it too.
        """
        low, high = self._ends if whole else self._bulk
        if self.kind == "linear":
            room = 0.08 * (high - low) or 0.05 * abs(high) or 1.0
            low, high = low - room, high + room
        else:
            room = (high / low) ** 0.08 if high > low else 1.2
            low, high = low / room, high * room
            axis.axes.set(**{f"{axis.axis_name}scale": "log"})
        axis.axes.set(**{f"{axis.axis_name}lim": (high, low) if self.kind == "accuracy" else (low, high)})
        set_ticks(axis, self.ticks(low, high))
        axis.set_label_text(self.label + self.note)


def _spans_decades(found: np.ndarray) -> bool:
    """Whether a logarithm tells numbers apart that are alike without; it costs the zeros their place."""
    positive = found[found > 0]
    if not positive.size or found.min() < 0:
        return False
    return bool(positive.max() >= (5 if positive.size == found.size else 100) * positive.min())
