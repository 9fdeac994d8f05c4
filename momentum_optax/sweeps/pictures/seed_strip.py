"""Every seed of a few points."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ..results.best import Mode
from ..results.results import SweepResult
from ._metric_axis import MetricAxis
from ._points import chosen, describe, over


def seed_strip(
    result: SweepResult, metric: str | None = None, *, mode: Mode | None = None, points: Sequence[int] | None = None
) -> Figure:
    """A dot for each run, in a row for each point; the bar is the mean of the runs that did not diverge.

    A cross at the left edge, or where it was stopped an open square, is a run that did not reach the end.

    Args:
      result: the sweep.
      metric: what to show, at the last evaluation of each run; `None` for `best.default_metric`.
      mode: whether larger or smaller is better; `None` for what its name tells.
      points: indices of the points to show; `None` for each method's best, or the best eight of a single method.

    Returns:
      The figure.

    Raises:
      KeyError: there is no such metric.
      ValueError: there is no such point.
    """
    metric, mode, shown = chosen(result, metric, mode, points, most=8, statistic="mean")
    final = result.final(metric).reshape(len(result.points), -1)
    diverged = result.diverged.reshape(final.shape)
    pruned = (result.pruned_at >= 0).reshape(final.shape)
    final = np.where(diverged, np.nan, final)
    axis = MetricAxis(metric, mode, final[shown])
    figure = Figure(figsize=(7.6, 0.62 * len(shown) + 1.5), layout="constrained")
    axes = figure.subplots()
    axis.dress(axes.xaxis)
    # Seeds are set apart a little, the same seed always at the same height.
    offset = np.linspace(0.24, -0.24, final.shape[1]) if final.shape[1] > 1 else np.zeros(1)
    for row, index in enumerate(shown):
        values, stopped = final[index], pruned[index]
        alive = np.isfinite(values)
        dots: dict[str, Any] = {"s": 30, "edgecolor": "black", "linewidth": 0.8, "zorder": 3}
        for which, face in ((alive & ~stopped, "tab:blue"), (alive & stopped, "white")):
            marker = "s" if face == "white" else "o"
            axes.scatter(axis.shown(values[which]), row - offset[which], marker=marker, facecolor=face, **dots)
        if alive.any():
            mean = axis.shown(values[alive].mean())
            axes.vlines(mean, row - 0.36, row + 0.36, color="black", linewidth=3, zorder=2)
        lost = np.flatnonzero(diverged[index])
        # In parts of the axes across, in rows down.
        edge = axes.get_yaxis_transform()
        axes.scatter(np.full(lost.size, 0.015), row - offset[lost], marker="x", color="black", s=26, transform=edge)
    axes.set_yticks(range(len(shown)), [describe(result, index).replace(": ", "\n") for index in shown])
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.grid(axis="x", color="0.9")
    axes.set_axisbelow(True)
    marks = [text for found, text in ((diverged, "cross: diverged"), (pruned, "square: stopped early"))
             if found[shown].any()]  # fmt: skip
    figure.suptitle("; ".join([f"dots: {over(result)}; bar: their mean", *marks]), fontsize="medium")
    return figure
