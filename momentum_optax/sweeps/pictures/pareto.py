"""What a budget of steps buys."""

from typing import Any, Literal

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..results.best import Mode, check_metric, check_mode
from ..results.results import SweepResult
from ._axes import set_ticks
from ._hyper_axis import HyperAxis
from ._metric_axis import MetricAxis
from ._points import describe, method_of, methods, over

MARKERS = "osD^vP*Xph<>"


def pareto(
    result: SweepResult,
    metric: str | None = None,
    *,
    mode: Mode | None = None,
    cost: Literal["steps", "trained"] = "steps",
) -> Figure:
    """A metric against the steps that it takes, and the front: what no point reaches with fewer.

    Each dot is the median over seeds (and folds) of a point, in which a run that diverged counts as the worst. The dots
    of the front are numbered by their points, which the legend names.

    Args:
      result: the sweep.
      metric: what to show; `None` for `best.default_metric`.
      mode: whether larger or smaller is better; `None` for what its name tells.
      cost: `"steps"` for a dot at every evaluation, against the steps so far; `"trained"` for one dot a point, its last
        evaluation, against the steps that its runs were trained, on average: for sweeps with pruning.

    Returns:
      The figure.

    Raises:
      KeyError: there is no such metric.
      ValueError: `cost` is neither.
    """
    metric = check_metric(result, metric)
    mode = check_mode(metric, mode)
    if cost not in ("steps", "trained"):
        raise ValueError(f"cost must be 'steps' or 'trained', not {cost!r}.")
    count = len(result.points)
    if cost == "steps":
        values = np.asarray(result.metrics[metric]).reshape(count, -1, len(result.steps))
        at = np.tile(result.steps, (count, 1)).astype(float)
    else:
        values = result.final(metric).reshape(count, -1, 1)
        at = result.cost.reshape(count, -1).mean(axis=1, keepdims=True)
    worst = -np.inf if mode == "max" else np.inf
    with np.errstate(invalid="ignore"):  # the middle between a number and the worst, or between two worst
        y = np.median(np.where(np.isnan(values), worst, values), axis=1)
    point = np.tile(np.arange(count)[:, None], at.shape[1:])
    kept = np.isfinite(y)
    at, y, point = at[kept], y[kept], point[kept]
    axis = MetricAxis(metric, mode, y)
    best = front(at, y, mode)
    figure = Figure(figsize=(7.4, 5.6), layout="constrained")
    axes = figure.subplots()
    many = max(1.0, len(y) / 300)
    names = methods(result)
    for marker, name in zip(MARKERS * len(names), names, strict=False):
        of = np.array([method_of(result.points[p]) == name for p in point], bool)
        style: dict[str, Any] = {
            "s": 14,
            "facecolor": "none",
            "edgecolor": "0.55",
            "linewidth": 0.7,
            "alpha": max(0.25, 1 / many),
        }
        axes.scatter(at[of], axis.shown(y[of]), marker=marker, label=name or "points", rasterized=True, **style)
    fronts: list[Line2D] = []
    if best.size:
        x, height = at[best], axis.shown(y[best])
        axes.step(np.append(x, at.max()), np.append(height, height[-1]), where="post", color="black", linewidth=1.8)
        members = list(dict.fromkeys(int(p) for p in point[best]))
        for i, number in enumerate(members, start=1):
            of = point[best] == number
            marker = MARKERS[names.index(method_of(result.points[number])) % len(MARKERS)]
            axes.scatter(x[of], height[of], marker=marker, color="black", s=42, zorder=4)
            first = int(np.flatnonzero(of)[0])
            style = {
                "textcoords": "offset points",
                "xytext": (-4, -12 if mode == "min" else 6),
                "ha": "right",
                "fontweight": "bold",
                "zorder": 5,
            }
            axes.annotate(str(i), (x[first], height[first]), **style)
            fronts.append(Line2D([], [], marker=marker, color="black", lw=0, label=f"{i}  {describe(result, number)}"))
    axis.dress(axes.yaxis, whole=False)
    budget = HyperAxis("steps" if cost == "steps" else "steps trained, mean over runs", at.tolist() or [1.0])
    if budget.kind == "log":
        axes.set_xscale("log")
        set_ticks(axes.xaxis, [(10**place, text) for place, text in budget.ticks(most=6)])
    axes.set_xlabel(budget.name)
    axes.grid(color="0.92")
    axes.set_axisbelow(True)
    if len(names) > 1:
        for handle in axes.legend(loc="lower right", fontsize="small").legend_handles:
            if handle is not None:
                handle.set_alpha(1.0)
    if fronts:
        figure.legend(handles=fronts, loc="outside lower center", ncols=2, fontsize="small", frameon=False)
    figure.suptitle(f"median over {over(result)}; line: the best within so many steps", fontsize="medium")
    return figure


def front(cost: np.ndarray, value: np.ndarray, mode: Mode) -> np.ndarray:
    """The indices of what nothing else beats at the same cost or less, by rising cost.

    Args:
      cost: `[n]`, smaller is better.
      value: `[n]`.
      mode: whether a larger or a smaller value is better.

    Returns:
      The indices; of equal entries the first.

    Examples:
      >>> front(np.array([3, 1, 2, 2]), np.array([0.8, 0.5, 0.4, 0.7]), "max").tolist()
      [1, 3, 0]
    """
    gain = value if mode == "max" else -value
    by_cost = np.lexsort((-gain, cost))
    before = np.concatenate([[-np.inf], np.maximum.accumulate(gain[by_cost])])[:-1]
    return by_cost[gain[by_cost] > before]
