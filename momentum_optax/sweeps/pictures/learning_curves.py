"""A metric against steps."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..results.best import Mode
from ..results.results import SweepResult
from ._metric_axis import MetricAxis
from ._points import chosen, describe, over, panels, runs


def learning_curves(
    result: SweepResult, metric: str | None = None, *, mode: Mode | None = None, points: Sequence[int] | None = None
) -> Figure:
    """A metric against steps: the median over seeds (and folds), with the middle half of the runs as a band.

    A cross is where a run diverged, an open square where one was stopped early. An evaluation with none before and none
    after it is a dot with a bar. Grey: the other panels' medians.

    Args:
      result: the sweep.
      metric: what to show; `None` for `best.default_metric`.
      mode: whether larger or smaller is better; `None` for what its name tells.
      points: indices of the points to show, one panel each; `None` for each method's best, or the best four of a single
        method.

    Returns:
      The figure.

    Raises:
      KeyError: there is no such metric.
      ValueError: there is no such point.
    """
    metric, mode, shown = chosen(result, metric, mode, points, most=4)
    values = np.asarray(result.metrics[metric])
    curves = [runs(values, index) for index in shown]
    axis = MetricAxis(metric, mode, np.concatenate(curves))
    middles = [axis.shown(_percentile(curve, 50)) for curve in curves]
    figure = Figure(figsize=(5.0 * min(len(shown), 2) + 0.6, 3.2 * -(-len(shown) // 2) + 0.5), layout="constrained")
    for axes, index, curve in zip(panels(figure, len(shown), sharex=True, sharey=True), shown, curves, strict=True):
        for other in middles:
            axes.plot(result.steps, other, color="0.75", linewidth=1, marker="o", markevery=_alone(other))
        low, middle, high = (axis.shown(_percentile(curve, percent)) for percent in (25, 50, 75))
        axes.fill_between(result.steps, low, high, color="tab:blue", alpha=0.35, linewidth=0)
        alone = _alone(middle)
        if alone.any():  # a band has no width there
            at = result.steps[alone], low[alone], high[alone]
            axes.vlines(*at, color="tab:blue", alpha=0.35, linewidth=6)
        axes.plot(result.steps, middle, color="tab:blue", linewidth=2, marker="o", markevery=alone)
        _mark_ends(axes, result, index, curve, axis)
        axis.dress(axes.yaxis)
        axes.grid(axis="y", color="0.9")
        axes.set_axisbelow(True)
        axes.set_title(describe(result, index), fontsize="medium")
        axes.set_xlabel("steps")
        if len(result.steps) == 1:
            axes.set_xticks(result.steps)
        axes.label_outer()
    what = "best points" if len({result.points[i].get("method") for i in shown}) < 2 else "best point of each method"
    marks = [text for found, text in ((result.diverged, "cross: diverged"), (result.pruned_at >= 0, "square: pruned"))
             if found[shown].any()]  # fmt: skip
    title = f"{what + ': ' if points is None else ''}median and middle half over {over(result)}"
    figure.suptitle("; ".join([f"{title}; grey: the other panels", *marks]), fontsize="medium")
    return figure


def _mark_ends(axes: Axes, result: SweepResult, index: int, curve: np.ndarray, axis: MetricAxis) -> None:
    """Marks the last value of each run that did not reach the end."""
    for values, diverged, pruned in zip(
        curve, result.diverged[index].ravel(), result.pruned_at[index].ravel() >= 0, strict=True
    ):
        known = np.flatnonzero(np.isfinite(values))
        if known.size and (diverged or pruned):
            end = result.steps[known[-1]], axis.shown(values[known[-1]])
            if diverged:
                axes.scatter(*end, marker="x", color="black", s=45, linewidth=2, zorder=4)
            else:
                axes.scatter(*end, marker="s", facecolor="white", edgecolor="black", s=32, linewidth=1.5, zorder=4)


def _alone(curve: np.ndarray) -> np.ndarray:
    """Which values no line reaches, as there is none before and none after them."""
    known = np.pad(np.isfinite(curve), 1)
    return known[1:-1] & ~known[:-2] & ~known[2:]


def _percentile(curves: np.ndarray, percent: float) -> np.ndarray:
    """A percentile over the runs that are still alive, `[evaluations]`; NaN where none is."""
    lost = np.isnan(curves).all(axis=0)
    return np.where(lost, np.nan, np.nanpercentile(np.where(lost, 0.0, curves), percent, axis=0))
