"""Pictures of results, readable in greyscale."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from .progress import describe
from .results import SweepResult

LEVELS = np.array([0.1, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999])
"""Accuracies to label an axis with."""


def heat_maps(result: SweepResult, x: str = "learning_rate", y: str = "beta", metric: str = "test_accuracy") -> Figure:
    """The median over seeds of an accuracy, one panel for each method.

    The colour is logarithmic in the error, so that 97 % and 98 % can be told apart as well as 50 % and 70 %.
    A cell is hatched where a run diverged, and empty where all did. The best cell that kept all its runs has
    a frame. Of points that differ in further hyperparameters only, a cell shows the best.

    Args:
      result: the sweep.
      x: the hyperparameter along the horizontal axis, logarithmic.
      y: the hyperparameter along the vertical axis, logarithmic in one minus it; a method without it has one
        row.
      metric: an accuracy in [0, 1].

    Returns:
      The figure.
    """
    table = result.table(metric)
    methods = _methods(result)
    columns = min(len(methods), 2)
    rows = -(-len(methods) // columns)
    figure = Figure(figsize=(5.6 * columns + 1.0, 4.2 * rows + 0.6), layout="constrained")
    errors = 1 - table[metric].to_numpy()
    floor = max(float(np.nanmin(errors)) if np.isfinite(errors).any() else 0.01, 0.002)
    norm = LogNorm(floor, 1.0, clip=True)
    image = None
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, method in zip(grid, methods, strict=False):
        part = table[table["method"] == method] if "method" in table else table
        image = _heat_map(axes, part, x, y, metric, norm)
        axes.set_title(method)
    for axes in grid[len(methods) :]:
        axes.remove()
    assert image is not None
    bar = figure.colorbar(image, ax=list(grid[: len(methods)]), label=f"{_words(metric)} (median over seeds)")
    bar.ax.invert_yaxis()
    _accuracy_axis(bar.ax, floor)
    figure.suptitle("hatched: some runs diverged; crossed out: all did; framed: best", fontsize="medium")
    return figure


def learning_curves(result: SweepResult, metric: str = "test_accuracy") -> Figure:
    """An accuracy against steps for each method's best point: the median over seeds, and the range as a band.

    Args:
      result: the sweep.
      metric: an accuracy in [0, 1]; its axis is logarithmic in the error.

    Returns:
      The figure.
    """
    table = result.table(metric)
    methods = _methods(result)
    best = [table[table["method"] == m].iloc[0] if "method" in table else table.iloc[0] for m in methods]
    columns = min(len(methods), 2)
    rows = -(-len(methods) // columns)
    figure = Figure(figsize=(5.0 * columns + 0.6, 3.2 * rows + 0.4), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
    curves = [1 - result.metrics[metric][row.name] for row in best]
    alive = [c[~np.isnan(c)] for c in curves]
    floor = max(min((float(c.min()) for c in alive if c.size), default=0.01), 0.001)
    top = min(1.0, 1.2 * max((float(c.max()) for c in alive if c.size), default=1.0))
    for axes, method, row, curve in zip(grid, methods, best, curves, strict=False):
        for other in curves:
            axes.plot(result.steps, _middle(other, 50).clip(floor), color="0.75", linewidth=1)
        low, high = _middle(curve, 0).clip(floor), _middle(curve, 100).clip(floor)
        axes.fill_between(result.steps, low, high, color="tab:blue", alpha=0.3, linewidth=0)
        axes.plot(result.steps, _middle(curve, 50).clip(floor), color="tab:blue", linewidth=2)
        axes.set_yscale("log")
        axes.set_ylim(top, floor * 0.8)
        _accuracy_axis(axes, floor * 0.8)
        axes.grid(axis="y", color="0.9")
        axes.set_title(f"{method}: {describe(result.points[row.name])}", fontsize="medium")
        axes.set(xlabel="steps", ylabel=_words(metric))
        axes.label_outer()
    for axes in grid[len(methods) :]:
        axes.remove()
    figure.suptitle(
        "best point of each method: median and range over seeds; grey: the other methods", fontsize="medium"
    )
    return figure


def _heat_map(axes: Axes, part: Any, x: str, y: str, metric: str, norm: LogNorm) -> Any:
    has_y = y in part and part[y].notna().all()
    # Best first, so that it is the best of each cell that is kept.
    part = part.assign(row=1 - part[y] if has_y else 1.0).drop_duplicates([x, "row"])
    across, down = np.unique(part[x]), np.unique(part["row"])
    shape = (len(down), len(across))
    error, diverged = np.full(shape, np.nan), np.zeros(shape, int)
    at = np.searchsorted(down, part["row"]), np.searchsorted(across, part[x])
    error[at], diverged[at] = 1 - part[metric], part["diverged"]
    right, top = _edges(across), _edges(down)
    image = axes.pcolormesh(right, top, error, norm=norm, cmap="cividis_r", edgecolor="white", linewidth=0.5)

    def box(i: int, j: int, **style: Any) -> None:
        width, height = right[j + 1] - right[j], top[i + 1] - top[i]
        axes.add_patch(Rectangle((right[j], top[i]), width, height, fill=False, **style))

    for i, j in np.ndindex(shape):
        shade = error[i, j]
        if diverged[i, j]:
            box(i, j, hatch="xxx" if np.isnan(shade) else "//", edgecolor="0.55", linewidth=0)
        if np.isfinite(shade) and max(shape) <= 13:
            x_middle, y_middle = math.sqrt(right[j] * right[j + 1]), math.sqrt(top[i] * top[i + 1])
            style = {"color": "black" if norm(shade) < 0.5 else "white", "fontsize": 7}
            # A plain ground, so that a hatch does not run through the number.
            style["bbox"] = {"facecolor": image.cmap(norm(shade)), "edgecolor": "none", "pad": 1}
            axes.text(x_middle, y_middle, f"{100 - 100 * shade:.1f}", ha="center", va="center", **style)
    best = part.iloc[0]
    if not best["diverged"]:
        i, j = int(np.searchsorted(down, best["row"])), int(np.searchsorted(across, best[x]))
        box(i, j, edgecolor="white", linewidth=4.5, zorder=3)
        box(i, j, edgecolor="black", linewidth=2.0, zorder=3)
    axes.set(xscale="log", yscale="log", xlabel=_words(x))
    _ticks(axes.xaxis, across)
    if len(across) > 9:
        axes.tick_params("x", rotation=45)
    if has_y:
        axes.set_ylabel(f"1 - {_words(y)}")
        _ticks(axes.yaxis, down)
        axes.invert_yaxis()
    else:
        axes.yaxis.set_major_locator(NullLocator())
        axes.yaxis.set_minor_locator(NullLocator())
        axes.set_ylabel(f"(no {_words(y)})")
    return image


def _edges(centers: np.ndarray) -> list[float]:
    """Borders between cells, halfway on a logarithmic axis."""
    logs = np.log(centers)
    if len(logs) == 1:
        return np.exp(logs[0] + np.array([-0.5, 0.5])).tolist()
    middles = (logs[1:] + logs[:-1]) / 2
    return np.exp(np.concatenate([[2 * logs[0] - middles[0]], middles, [2 * logs[-1] - middles[-1]]])).tolist()


def _ticks(axis: Any, values: Sequence[float] | np.ndarray) -> None:
    axis.set_major_locator(FixedLocator(list(values)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))


def _accuracy_axis(axes: Axes, floor: float) -> None:
    """Labels a logarithmic axis of errors by accuracies."""
    axes.yaxis.set_major_locator(FixedLocator([1 - level for level in LEVELS if 1 - level >= floor]))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda error, _: f"{100 * (1 - error):.3g} %"))


def _methods(result: SweepResult) -> list[str]:
    return list(dict.fromkeys(str(point.get("method", "")) for point in result.points))


def _middle(curves: np.ndarray, percent: float) -> np.ndarray:
    """A percentile over the seeds that are still alive, `[evaluations]`; NaN where none is."""
    lost = np.isnan(curves).all(axis=0)
    return np.where(lost, np.nan, np.nanpercentile(np.where(lost, 0.0, curves), percent, axis=0))


def _words(name: str) -> str:
    return name.replace("_", " ")
