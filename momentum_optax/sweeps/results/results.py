"""What a sweep found."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._extras import need

if TYPE_CHECKING:
    import pandas as pd

    from .best import Best, Mode, Statistic
    from .comparison import Comparison, Selection


@dataclasses.dataclass(frozen=True, eq=False)
class SweepResult:
    """All metrics of all runs, labelled.

    A run has a point, a seed and, in a cross-validation, a fold; `[runs]` stands for `[points, seeds]`, and with folds
    for `[points, seeds, folds]`.

    Attributes:
      points: the hyperparameters of each point by name, and its `method` if the sweep had a label.
      seeds: the seeds, the same for every point.
      steps: `[evaluations]`, after how many updates each evaluation took place.
      metrics: by name, `[runs, evaluations]`; NaN from the evaluation at which a run had diverged, and after the one at
        which it was stopped early. `train_loss` is the mean over the steps since the previous evaluation.
      diverged_at: `[runs]`, the step (from 1) at which a run diverged, -1 if it did not.
      settings: how the sweep was run.
      folds: the folds of a cross-validation, the same for every point and seed; empty without one.
      pruned_at: `[runs]`, the step after which a run was stopped early, -1 if it was not; `None` for none.
      cost: `[runs]`, how many steps were trained; `None` for all up to `pruned_at`.
    """

    points: tuple[Mapping[str, Any], ...]
    seeds: tuple[int, ...]
    steps: np.ndarray
    metrics: Mapping[str, np.ndarray]
    diverged_at: np.ndarray
    settings: Mapping[str, Any]
    folds: tuple[int, ...] = ()
    pruned_at: np.ndarray = None  # pyright: ignore[reportAssignmentType]  # an array from __post_init__ on
    cost: np.ndarray = None  # pyright: ignore[reportAssignmentType]

    def __post_init__(self) -> None:
        if self.pruned_at is None:
            object.__setattr__(self, "pruned_at", np.full(self.runs, -1))
        if self.cost is None:
            object.__setattr__(self, "cost", np.where(self.pruned_at < 0, self.steps[-1], self.pruned_at))
        for name in ("diverged_at", "pruned_at", "cost"):
            self._check(name, getattr(self, name), self.runs)
        for name, values in self.metrics.items():
            self._check(f"metrics[{name!r}]", values, (*self.runs, len(self.steps)))

    def _check(self, name: str, values: np.ndarray, shape: tuple[int, ...]) -> None:
        if np.shape(values) != shape:
            folds = f", {len(self.folds)} folds" if self.folds else ""
            raise ValueError(
                f"{name} must have the shape {shape} of {len(self.points)} points, {len(self.seeds)} seeds{folds} and, "
                f"if a metric, {len(self.steps)} evaluations, not {np.shape(values)}."
            )

    @property
    def runs(self) -> tuple[int, ...]:
        """How many points, seeds and, if there are any, folds there are."""
        return (len(self.points), len(self.seeds), *((len(self.folds),) if self.folds else ()))

    @property
    def diverged(self) -> np.ndarray:
        """`[runs]`, whether a run diverged."""
        return self.diverged_at >= 0

    @property
    def names(self) -> tuple[str, ...]:
        """`method`, if any point has one, and the hyperparameters, in the order of their appearance."""
        return tuple(dict.fromkeys(name for point in self.points for name in point))

    def final(self, metric: str | None = None) -> np.ndarray:
        """A metric at the last evaluation of each run, `[runs]`; of a pruned run, at the one that stopped it.

        Args:
          metric: one of the metrics; `None` for `best.default_metric`.
        """
        from .best import check_metric

        metric = check_metric(self, metric)
        at = np.searchsorted(self.steps, self.pruned_at, side="right") - 1
        at = np.where(self.pruned_at < 0, len(self.steps) - 1, at)[..., None]
        last = np.take_along_axis(np.asarray(self.metrics[metric]), at.clip(0), axis=-1)
        return np.where(at < 0, np.nan, last).astype(last.dtype)[..., 0]  # stopped before it was evaluated: no number

    def frame(self) -> "pd.DataFrame":
        """One row for each run and evaluation, see `frames.frame`."""
        need("pandas", "Tables of results")
        from .frames import frame

        return frame(self)

    def pruned(self) -> "pd.DataFrame":
        """The runs that were stopped early, and when, see `frames.pruned`."""
        need("pandas", "Tables of results")
        from .frames import pruned

        return pruned(self)

    def table(self, metric: str | None = None, threshold: float = 0.95, mode: "Mode | None" = None) -> "pd.DataFrame":
        """The points from best to worst, see `table.rank`."""
        need("pandas", "Tables of results")
        from .table import rank

        return rank(self, metric, threshold, mode)

    def best(self, metric: str | None = None, mode: "Mode | None" = None, statistic: "Statistic" = "median") -> "Best":
        """The best point, see `best.best`."""
        from .best import best

        return best(self, metric, mode, statistic)

    def compare(
        self,
        a: "Selection",
        b: "Selection",
        metric: str | None = None,
        mode: "Mode | None" = None,
        *,
        confidence: float = 0.95,
    ) -> "Comparison":
        """Two methods or points, paired by seed and fold, see `comparison.compare`."""
        from .comparison import compare

        return compare(self, a, b, metric, mode, confidence=confidence)

    def save(self, folder: str | Path, metric: str | None = None, *, parquet: bool = False) -> list[Path]:
        """Writes tables for people and all numbers for `load`, see `folder.save`."""
        from ..storage.folder import save

        return save(self, folder, metric, parquet=parquet)

    def equals(self, other: "SweepResult") -> bool:
        """Whether labels and numbers are the same, bit for bit; `settings`, which hold the seconds, may differ."""
        if set(self.metrics) != set(other.metrics):
            return False
        labels = ("points", "seeds", "folds")
        arrays = [(getattr(self, n), getattr(other, n)) for n in ("steps", "diverged_at", "pruned_at", "cost")]
        arrays += [(self.metrics[name], other.metrics[name]) for name in self.metrics]
        return all(getattr(self, n) == getattr(other, n) for n in labels) and all(
            x.dtype == y.dtype and np.array_equal(x, y, equal_nan=True) for x, y in arrays
        )


def join(results: Sequence[SweepResult]) -> SweepResult:
    """Puts the points of several sweeps, say of several methods, into one result.

    Args:
      results: sweeps with the same seeds, folds, evaluation steps and metrics.

    Returns:
      The result with the points of all; its settings are those of the first, its `seconds` those of all.

    Raises:
      ValueError: there is no result, or seeds, folds, evaluations or metrics differ.
    """
    if not results:
        raise ValueError("There are no results to join.")
    first = results[0]
    for other in results[1:]:
        same = (first.seeds, first.folds) == (other.seeds, other.folds) and np.array_equal(first.steps, other.steps)
        if not same or set(first.metrics) != set(other.metrics):
            raise ValueError("Only sweeps with the same seeds, folds, evaluation steps and metrics can be joined.")
    seconds = {name: t for result in results for name, t in result.settings.get("seconds", {}).items()}
    return SweepResult(
        points=tuple(point for result in results for point in result.points),
        seeds=first.seeds,
        steps=first.steps,
        metrics={name: np.concatenate([result.metrics[name] for result in results]) for name in first.metrics},
        diverged_at=np.concatenate([result.diverged_at for result in results]),
        settings={**first.settings, "seconds": seconds},
        folds=first.folds,
        pruned_at=np.concatenate([result.pruned_at for result in results]),
        cost=np.concatenate([result.cost for result in results]),
    )
