"""All hyperparameters at once."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..results.best import Mode, check_metric, check_mode, order, scores
from ..results.results import SweepResult
from ._hyper_axis import HyperAxis
from ._metric_axis import MetricAxis
from ._points import changes, describe, over


def parallel_coordinates(result: SweepResult, metric: str | None = None, *, mode: Mode | None = None) -> Figure:
    """A line for each point through an axis for each hyperparameter, and one for the metric at the right.

    Darker is better, and the best point's line is bold. A point of which a run diverged is dashed; one of which all did
    ends before the metric. Hyperparameters that all points share have no axis; those that a population changes are
    shown as they were at the start.

    Args:
      result: the sweep.
      metric: what to show, the median over seeds (and folds); `None` for `best.default_metric`.
      mode: whether larger or smaller is better; `None` for what its name tells.

    Returns:
      The figure.

    Raises:
      KeyError: there is no such metric.
    """
    metric = check_metric(result, metric)
    mode = check_mode(metric, mode)
    found = scores(result, metric)
    ranked = [int(index) for index in order(found, mode, found.cost)]
    varied = [n for n in result.names if len({p.get(n) for p in result.points}) > 1] or list(result.names[:1])
    columns = [HyperAxis(name, [p.get(name) for p in result.points], changes(result, name)) for name in varied]
    shade = MetricAxis(metric, mode, found.value)
    figure = Figure(figsize=(1.9 * (len(columns) + 1) + 1.2, 4.6), layout="constrained")
    axes = figure.subplots()
    # Every axis runs from 0 to 1 on the page.
    heights = np.stack([_scaled([c.at(p.get(n)) for p in result.points]) for n, c in zip(varied, columns, strict=True)])
    goodness, ticks = shade.heights(found.value)
    cmap, norm = shade.cmap(best="dark"), shade.norm
    # The best is drawn last, on top.
    for place, index in enumerate(reversed(ranked)):
        value, lost = found.value[index], found.diverged[index]
        alive = bool(np.isfinite(value))
        y = [*heights[:, index], goodness[index]] if alive else heights[:, index]
        style = {"color": cmap(norm(shade.shown(value))) if alive else "0.7", "linewidth": 1.1}
        # Of very many lines the worse ones fade.
        style["alpha"] = 0.85 if len(ranked) <= 100 or not alive else 0.15 + 0.7 * float(goodness[index])
        if lost:
            style |= {"linestyle": (0, (4, 3)), "alpha": 0.7}
        if index == ranked[0] and alive:
            axes.plot(range(len(y)), y, color="white", linewidth=6, zorder=2 + len(ranked))
            style |= {"color": "black", "linewidth": 3.2, "alpha": 1.0}
        axes.plot(range(len(y)), y, zorder=2 + place + (index == ranked[0]), solid_capstyle="round", **style)
    for place, column in enumerate(columns):
        _axis(axes, place, _ticks(column))
    _axis(axes, len(columns), ticks)
    labels = [c.label.replace(" at the start", "\nat the start").replace(" (", "\n(") for c in columns]
    axes.set_xticks(range(len(columns) + 1), [*labels, shade.label + shade.note])
    axes.tick_params("x", length=0, pad=8)
    axes.set(xlim=(-0.35, len(columns) + 0.25), ylim=(-0.04, 1.04), yticks=[])
    axes.spines[:].set_visible(False)
    lost = "; dashed: runs diverged" if found.diverged.any() else ""
    bold = f"bold: {describe(result, ranked[0])}" if np.isfinite(found.value[ranked[0]]) else "all runs diverged"
    figure.suptitle(f"median over {over(result)}, darker is better{lost}\n{bold}", fontsize="medium")
    return figure


def _scaled(places: list[float]) -> np.ndarray:
    """Places as heights from 0 to 1."""
    low, high = min(places), max(places)
    return (np.asarray(places) - low) / (high - low) if high > low else np.full(len(places), 0.5)


def _ticks(column: HyperAxis) -> list[tuple[float, str]]:
    places = [column.at(value) for value in column.values]
    ticks = column.ticks(most=14)
    # Together with all values, so that both have the same ends.
    heights = _scaled(places + [at for at, _ in ticks])[len(places) :]
    return [(float(height), text) for height, (_, text) in zip(heights, ticks, strict=True)]


def _axis(axes: Axes, place: int, ticks: list[tuple[float, str]]) -> None:
    axes.axvline(place, 0.037, 0.963, color="black", linewidth=1, zorder=1)
    for height, text in ticks:
        box = {"facecolor": "white", "edgecolor": "none", "pad": 0.6, "alpha": 0.9}
        axes.plot([place - 0.015, place + 0.015], [height, height], color="black", linewidth=1, zorder=10_000)
        axes.text(place - 0.03, height, text, ha="right", va="center", fontsize=8, zorder=10_000, bbox=box)
