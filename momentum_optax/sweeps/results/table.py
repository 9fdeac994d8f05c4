"""The ranking of points."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from .best import Mode, check_metric, check_mode, order, scores
from .frames import labels

if TYPE_CHECKING:
    from .results import SweepResult


def rank(
    result: "SweepResult", metric: str | None = None, threshold: float = 0.95, mode: Mode | None = None
) -> pd.DataFrame:
    """The points from best to worst.

    First come the points of which no run diverged, then the others, fewer diverged runs first. Among these points that
    were stopped later, or not at all, come first; then a better median of the metric wins; then fewer steps trained;
    then fewer steps to the threshold; then a smaller spread; then the earlier point.

    Args:
      result: the sweep.
      metric: what to rank by; `None` for `best.default_metric`.
      threshold: what value of the metric the steps are counted to.
      mode: `"max"` or `"min"`; `None` for `"min"` if the name of the metric ends in `loss` or `error`, else `"max"`.

    Returns:
      One row for each point, with its index in `result.points` as index: `rank` from 1, the hyperparameters,
      `<metric>` (median over runs that did not diverge, at their last evaluation), `<metric>_spread` (largest minus
      smallest), `steps_to_<threshold>` (median over runs of the first evaluation that reaches it; missing if the median
      run never does), `diverged` (runs) and, if any run was stopped early, `pruned` (runs) and `trained` (steps of all
      runs together).

    Raises:
      KeyError: there is no such metric.
      ValueError: `mode` is neither.
    """
    metric = check_metric(result, metric)
    mode = check_mode(metric, mode)
    found = scores(result, metric)
    steps = steps_to(result, metric, threshold, mode)
    table = labels(result.points, result.names)
    table[metric] = found.value
    table[f"{metric}_spread"] = found.spread
    table[f"steps_to_{threshold:g}"] = steps
    table["diverged"] = found.diverged
    if found.pruned.any():
        table["pruned"], table["trained"] = found.pruned, found.cost
    table = table.iloc[order(found, mode, found.cost, steps, found.spread)]
    table.index.name = "point"
    table.insert(0, "rank", np.arange(1, len(table) + 1))
    return table


def steps_to(result: "SweepResult", metric: str, threshold: float, mode: Mode) -> np.ndarray:
    """Median over runs of the steps until a metric first reaches a threshold, `[points]`; NaN for never.

    Args:
      result: the sweep.
      metric: one of its metrics.
      threshold: the value to reach.
      mode: whether from below (`"max"`) or from above (`"min"`).

    Returns:
      The steps.
    """
    values = np.asarray(result.metrics[metric]).reshape(len(result.points), -1, len(result.steps))
    reached = values <= threshold if mode == "min" else values >= threshold
    first = np.where(reached.any(axis=-1), result.steps[reached.argmax(axis=-1)], np.inf)
    # The upper middle of an even number: the mean of a number and never would be never anyway.
    median = np.sort(first, axis=1)[:, first.shape[1] // 2]
    return np.where(np.isfinite(median), median, np.nan)
