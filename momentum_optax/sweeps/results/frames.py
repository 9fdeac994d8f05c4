"""Results as tidy pandas frames."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from .results import SweepResult


def frame(result: "SweepResult") -> pd.DataFrame:
    """One row for each run and evaluation.

    Args:
      result: the sweep.

    Returns:
      The hyperparameters (missing where a method lacks one), `seed`, `fold` if there are folds, `rung` (which
      evaluation, from 0), `step`, the metrics, `diverged` (whether the run had diverged by then) and `pruned` (whether
      it had been stopped before; its metrics are missing).
    """
    at = np.indices((*result.runs, len(result.steps)))
    point, seed, *fold, rung = (index.ravel() for index in at)
    table = labels(result.points, result.names).iloc[point].reset_index(drop=True)
    table["seed"] = np.asarray(result.seeds)[seed]
    if fold:
        table["fold"] = np.asarray(result.folds)[fold[0]]
    table["rung"] = rung
    table["step"] = result.steps[rung]
    for name, values in result.metrics.items():
        table[name] = np.ravel(values)
    table["diverged"] = _by_then(result, result.diverged_at)
    # The step that a run was stopped after is its last good one; that of a divergence is lost already.
    table["pruned"] = _by_then(result, np.where(result.pruned_at < 0, -1, result.pruned_at + 1))
    return table


def pruned(result: "SweepResult") -> pd.DataFrame:
    """The runs that were stopped early, the first to be stopped first.

    Args:
      result: the sweep.

    Returns:
      One row for each, with the index of its point in `result.points` as index: the hyperparameters, `seed`, `fold` if
      there are folds, `step` (the last that was trained) and the metrics there. No row if no run was pruned.
    """
    at = np.argwhere(result.pruned_at >= 0)
    table = labels(result.points, result.names).iloc[at[:, 0]].reset_index(drop=True)
    table["seed"] = np.asarray(result.seeds)[at[:, 1]]
    if result.folds:
        table["fold"] = np.asarray(result.folds)[at[:, 2]]
    stopped = tuple(at.T)
    table["step"] = result.pruned_at[stopped]
    for name in result.metrics:
        table[name] = result.final(name)[stopped]
    table.index = pd.Index(at[:, 0], name="point")
    return table.sort_values("step", kind="stable")


def labels(points: Sequence[Mapping[str, Any]], names: Sequence[str]) -> pd.DataFrame:
    """The hyperparameters, one row for each point; whole numbers and truth values stay so where some are missing."""
    table = pd.DataFrame([dict(point) for point in points], columns=list(names))
    for name in names:
        present = [point[name] for point in points if point.get(name) is not None]
        if present and len(present) < len(points):
            if all(isinstance(value, bool | np.bool_) for value in present):
                table[name] = table[name].astype("boolean")
            elif all(isinstance(value, int | np.integer) for value in present):
                table[name] = table[name].astype("Int64")
    return table


def _by_then(result: "SweepResult", when: np.ndarray) -> np.ndarray:
    """Whether something had happened at an evaluation, for each row; `when` is -1 for never."""
    return ((when >= 0)[..., None] & (when[..., None] <= result.steps)).ravel()
