"""The ranking of points."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from .results import SweepResult


def rank(result: "SweepResult", metric: str | None = None, threshold: float = 0.95) -> pd.DataFrame:
    """The points from best to worst.

    First come the points of which no run diverged, then the others, fewer diverged runs first. Among these a
    better median of the metric wins; then fewer steps to the threshold; then a smaller spread; then the
    earlier point.

    Args:
      result: the sweep.
      metric: what to rank by; `None` for `test_accuracy`, or `test_loss` where there is none. Larger is better, except
        if the name ends in `loss`.
      threshold: what value of the metric the steps are counted to.

    Returns:
      One row for each point, with its index in `result.points` as index: `rank` from 1, the hyperparameters,
      `<metric>` (median over seeds that did not diverge at the last evaluation), `<metric>_spread` (largest
      minus smallest), `steps_to_<threshold>` (median over seeds of the first evaluation that reaches it;
      missing if the median seed never does) and `diverged` (runs).

    Raises:
      KeyError: there is no such metric.
    """
    if metric is None:
        metric = "test_accuracy" if "test_accuracy" in result.metrics else "test_loss"
    if metric not in result.metrics:
        raise KeyError(f"There is no metric {metric!r}; there are {sorted(result.metrics)}.")
    final = np.where(result.diverged, np.nan, result.final(metric))
    alive = ~result.diverged.all(axis=1)
    median, spread = np.full((2, len(result.points)), np.nan)
    median[alive] = np.nanmedian(final[alive], axis=1)
    spread[alive] = np.nanmax(final[alive], axis=1) - np.nanmin(final[alive], axis=1)
    table = pd.DataFrame([dict(p) for p in result.points], columns=list(result.names))
    table[metric] = median
    table[f"{metric}_spread"] = spread
    steps_name = f"steps_to_{threshold:g}"
    table[steps_name] = steps_to(result, metric, threshold)
    table["diverged"] = result.diverged.sum(axis=1)
    order = ["diverged", metric, steps_name, f"{metric}_spread"]
    # Stable, so that what is still tied keeps the order of the points.
    table = table.sort_values(order, ascending=[True, is_loss(metric), True, True], kind="stable")
    table.index.name = "point"
    table.insert(0, "rank", np.arange(1, len(table) + 1))
    return table


def is_loss(metric: str) -> bool:
    """Whether smaller is better."""
    return metric.endswith("loss")


def steps_to(result: "SweepResult", metric: str, threshold: float) -> np.ndarray:
    """Median over seeds of the steps until a metric first reaches a threshold, `[points]`; NaN for never."""
    values = result.metrics[metric]
    reached = values <= threshold if is_loss(metric) else values >= threshold
    first = np.where(reached.any(axis=-1), result.steps[reached.argmax(axis=-1)], np.inf)
    # The upper middle of an even number: the mean of a number and never would be never anyway.
    median = np.sort(first, axis=1)[:, first.shape[1] // 2]
    return np.where(np.isfinite(median), median, np.nan)
