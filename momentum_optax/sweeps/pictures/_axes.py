"""What axes of all kinds share."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axis import XAxis, YAxis
from matplotlib.ticker import LogLocator, NullLocator

ACCURACIES = np.array([0.1, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999])
"""To label an axis with."""


def set_ticks(axis: XAxis | YAxis, places: Sequence[tuple[float, str]]) -> None:
    """Puts these ticks, and no others, on an axis."""
    axis.set_ticks([place for place, _ in places], labels=[text for _, text in places])
    axis.set_minor_locator(NullLocator())


def edges(centers: Sequence[float]) -> np.ndarray:
    """Borders between cells, halfway between their centers."""
    at = np.asarray(centers, float)
    if len(at) == 1:
        return at[0] + np.array([-0.5, 0.5])
    middles = (at[1:] + at[:-1]) / 2
    return np.concatenate([[2 * at[0] - middles[0]], middles, [2 * at[-1] - middles[-1]]])


def words(name: str) -> str:
    """A name as it is written in a text."""
    return name.replace("_", " ")


def short(value: Any) -> str:
    """A value in a few characters; 0.9999 is not 1."""
    if value is None or isinstance(value, str | bool):
        return "none" if value is None else str(value)
    if not 0.99 < value < 1:
        return f"{value:.3g}"
    digits = 1 - math.floor(math.log10(1 - value))
    return f"{value:.{digits}f}".rstrip("0")


def log_ticks(low: float, high: float) -> np.ndarray:
    """Round numbers between two, and some beyond."""
    decades = math.log10(high / low)
    subs = (1.0, 2.0, 5.0) if decades < 1.5 else (1.0, 3.0) if decades < 4 else (1.0,)
    return np.asarray(LogLocator(subs=subs).tick_values(low, high))
