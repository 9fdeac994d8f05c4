"""What is better than what."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

import numpy as np

if TYPE_CHECKING:
    from ..rungs.history import History
    from .results import SweepResult

Mode = Literal["max", "min"]
"""Whether larger or smaller is better."""

Statistic = Literal["mean", "median", "min", "max", "lower", "upper"]
"""What is taken over the runs of a point; `lower` and `upper` are the quartiles."""

STATISTICS: dict[str, Callable[..., Any]] = {
    "mean": np.nanmean,
    "median": np.nanmedian,
    "min": np.nanmin,
    "max": np.nanmax,
    "lower": lambda values, axis: np.nanpercentile(values, 25, axis=axis),
    "upper": lambda values, axis: np.nanpercentile(values, 75, axis=axis),
}


@dataclasses.dataclass(frozen=True)
class Best:
    """The best point of a sweep.

    Attributes:
      index: which of `result.points` it is.
      point: its hyperparameters, and its `method` if the sweep had a label.
      value: the statistic of the metric over its runs that did not diverge; NaN if all did.
      diverged: how many of its runs diverged.
      cost: how many steps its runs were trained, together.
    """

    index: int
    point: Mapping[str, Any]
    value: float
    diverged: int
    cost: int


class Scores(NamedTuple):
    """What points are ranked by, each `[points]`."""

    diverged: np.ndarray
    pruned: np.ndarray
    reached: np.ndarray
    value: np.ndarray
    spread: np.ndarray
    cost: np.ndarray


def best(
    result: "SweepResult", metric: str | None = None, mode: Mode | None = None, statistic: Statistic = "median"
) -> Best:
    """The best point.

    Fewer diverged runs are better; then having been stopped later, or not at all; then a better statistic; then fewer
    steps trained; then the earlier point.

    Args:
      result: the sweep.
      metric: what to choose by; `None` for `default_metric`.
      mode: `"max"` or `"min"`; `None` for `"min"` if the name of the metric ends in `loss` or `error`, else `"max"`.
      statistic: what is taken over the runs of a point at their last evaluations, diverged ones left out.

    Returns:
      The point and its value.

    Raises:
      KeyError: there is no such metric.
      ValueError: `mode` or `statistic` is none of those accepted.
    """
    metric = check_metric(result, metric)
    found = scores(result, metric, statistic)
    index = int(order(found, check_mode(metric, mode), found.cost)[0])
    value, lost, cost = float(found.value[index]), int(found.diverged[index]), int(found.cost[index])
    return Best(index, result.points[index], value, lost, cost)


def scores(result: "SweepResult", metric: str, statistic: Statistic = "median") -> Scores:
    """The scores of all points.

    Args:
      result: the sweep.
      metric: one of its metrics.
      statistic: what is taken over runs.

    Returns:
      The scores; `reached` is the step that every run of the point has got to, if it did not diverge.

    Raises:
      ValueError: there is no such statistic.
    """
    if statistic not in STATISTICS:
        raise ValueError(f"statistic must be one of {sorted(STATISTICS)}, not {statistic!r}.")
    count = len(result.points)
    diverged, stopped, cost = (x.reshape(count, -1) for x in (result.diverged, result.pruned_at, result.cost))
    final = np.where(diverged, np.nan, result.final(metric).reshape(count, -1))
    known = np.isfinite(final).any(axis=1)
    value, spread = np.full((2, count), np.nan)
    value[known] = STATISTICS[statistic](final[known], axis=1)
    spread[known] = np.nanmax(final[known], axis=1) - np.nanmin(final[known], axis=1)
    reached = np.where(stopped < 0, result.steps[-1], stopped).min(axis=1)
    return Scores(diverged.sum(axis=1), (stopped >= 0).sum(axis=1), reached, value, spread, cost.sum(axis=1))


def order(found: Scores, mode: Mode, *ties: np.ndarray) -> np.ndarray:
    """The indices of the points from best to worst; ties are broken by smaller `ties`, then by the earlier point."""
    value = -found.value if mode == "max" else found.value
    # lexsort takes the most important key last, and puts NaN after all numbers.
    return np.lexsort((*reversed(ties), value, -found.reached, found.diverged))


def default_metric(result: "SweepResult | History") -> str:
    """The accuracy, or else the loss, in validation, or else in tests; or else the first that is not of training."""
    known = (f"{part}_{name}" for part in ("validation", "test") for name in ("accuracy", "loss"))
    preferred = (*known, *(name for name in result.metrics if name != "train_loss"))
    return next((name for name in preferred if name in result.metrics), "train_loss")


def check_metric(result: "SweepResult | History", metric: str | None) -> str:
    """The metric, or the default one for `None`; a KeyError if there is none of this name."""
    metric = default_metric(result) if metric is None else metric
    if metric not in result.metrics:
        raise KeyError(f"There is no metric {metric!r}; there are {sorted(result.metrics)}.")
    return metric


def check_mode(metric: str, mode: Mode | None) -> Mode:
    """The mode, or for `None` that which the name of the metric tells."""
    if mode is None:
        return "min" if metric.endswith(("loss", "error")) else "max"
    if mode not in get_args(Mode):
        raise ValueError(f"mode must be 'max' or 'min', not {mode!r}.")
    return mode
