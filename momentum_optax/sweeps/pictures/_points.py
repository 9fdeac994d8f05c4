"""Which points a picture shows, and how it calls them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..engine.preparation import CURRENT
from ..results.best import Mode, Statistic, check_metric, check_mode, order, scores
from ..results.results import SweepResult
from ._axes import short, words


def methods(result: SweepResult) -> list[str]:
    """The methods, in order; a single empty name if the sweep had no label."""
    return list(dict.fromkeys(method_of(point) for point in result.points))


def method_of(point: Mapping[str, Any]) -> str:
    """The method of a point, or nothing."""
    return str(point.get("method", ""))


def chosen(
    result: SweepResult,
    metric: str | None,
    mode: Mode | None,
    points: Sequence[int] | None,
    most: int,
    statistic: Statistic = "median",
) -> tuple[str, Mode, list[int]]:
    """The metric, its mode, and the points to show, the best first.

    Args:
      result: the sweep.
      metric: the metric, or `None` for the default one.
      mode: the mode, or `None` for the one of the metric's name.
      points: the points asked for, or `None` for the best of each method, or of the only method the best `most`.
      most: how many of a single method.
      statistic: what the best are chosen by.

    Raises:
      KeyError: there is no such metric.
      ValueError: there is no such point.
    """
    metric = check_metric(result, metric)
    mode = check_mode(metric, mode)
    found = scores(result, metric, statistic)
    ranked = [int(index) for index in order(found, mode, found.cost)]
    if points is not None:
        if not points or any(index not in ranked for index in points):
            raise ValueError(f"points must be indices from 0 to {len(ranked) - 1}, at least one, not {list(points)}.")
        return metric, mode, list(points)
    if len(methods(result)) == 1:
        return metric, mode, ranked[:most]
    first = {method_of(result.points[index]): index for index in reversed(ranked)}
    return metric, mode, [index for index in ranked if first[method_of(result.points[index])] == index]


def changes(result: SweepResult, name: str) -> bool:
    """Whether a population changed a hyperparameter; a point has what it was at the start."""
    return CURRENT + name in result.metrics


def describe(result: SweepResult, index: int, *, method: bool = True) -> str:
    """A point in a few words, such as `nesterov: learning rate 0.1, beta 0.9`; what all points share is left out."""
    point = result.points[index]
    varied = [name for name in result.names if len({p.get(name) for p in result.points}) > 1]
    names = [name for name in point if name != "method" and (name in varied or not varied)]
    name = method_of(point) if method else ""
    text = ", ".join(f"{words(name)} {short(point[name])}" for name in names if point[name] is not None)
    if text and any(changes(result, name) for name in names):
        text += " at the start"
    return f"{name}: {text}" if name and text else name or text


def runs(values: np.ndarray, index: int) -> np.ndarray:
    """All runs of a point, seeds and folds alike, `[runs, ...]`: of `[points, seeds(, folds), evaluations]`."""
    return values[index].reshape(-1, values.shape[-1])


def over(result: SweepResult) -> str:
    """What the runs of a point differ in."""
    return "seeds and folds" if result.folds else "seeds"


def panels(figure: Figure, count: int, **options: Any) -> list[Axes]:
    """Axes side by side in at most two columns."""
    columns = min(count, 2)
    grid = figure.subplots(-(-count // columns), columns, squeeze=False, **options).ravel()
    for axes in grid[count:]:
        axes.remove()
    return list(grid[:count])
