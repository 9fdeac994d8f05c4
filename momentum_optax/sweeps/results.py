"""What a sweep found."""

import dataclasses
import importlib.util
import platform
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd


@dataclasses.dataclass(frozen=True, eq=False)
class SweepResult:
    """All metrics of all runs, labelled.

    Attributes:
      points: the hyperparameters of each point by name, and its `method` if the sweep had a label.
      seeds: the seeds, the same for every point.
      steps: `[evaluations]`, after how many updates each evaluation took place.
      metrics: by name, `[points, seeds, evaluations]`; NaN from the evaluation at which a run had diverged.
        `train_loss` is the mean over the steps since the previous evaluation.
      diverged_at: `[points, seeds]`, the step (from 1) at which a run diverged, -1 if it did not.
      settings: how the sweep was run.
    """

    points: tuple[Mapping[str, Any], ...]
    seeds: tuple[int, ...]
    steps: np.ndarray
    metrics: Mapping[str, np.ndarray]
    diverged_at: np.ndarray
    settings: Mapping[str, Any]

    @property
    def diverged(self) -> np.ndarray:
        """`[points, seeds]`, whether a run diverged."""
        return self.diverged_at >= 0

    @property
    def names(self) -> tuple[str, ...]:
        """`method`, if any point has one, and the hyperparameters, in the order of their appearance."""
        return tuple(dict.fromkeys(name for point in self.points for name in point))

    def final(self, metric: str = "test_accuracy") -> np.ndarray:
        """A metric at the last evaluation, `[points, seeds]`."""
        return self.metrics[metric][..., -1]

    def frame(self) -> "pd.DataFrame":
        """One row for each point, seed and evaluation; a hyperparameter that a method lacks is missing."""
        _need_pandas()
        import pandas as pd

        shape = (len(self.points), len(self.seeds), len(self.steps))
        point, seed, step = (index.ravel() for index in np.indices(shape))
        labels = pd.DataFrame([dict(p) for p in self.points], columns=list(self.names)).iloc[point]
        frame = labels.reset_index(drop=True)
        frame["seed"] = np.asarray(self.seeds)[seed]
        frame["step"] = self.steps[step]
        for name, values in self.metrics.items():
            frame[name] = values.ravel()
        frame["diverged"] = ((self.diverged_at >= 0)[..., None] & (self.diverged_at[..., None] <= self.steps)).ravel()
        return frame

    def table(self, metric: str | None = None, threshold: float = 0.95) -> "pd.DataFrame":
        """The points from best to worst, see `table.rank`."""
        _need_pandas()
        from .table import rank

        return rank(self, metric, threshold)

    def save(self, folder: str | Path, metric: str | None = None) -> list[Path]:
        """Writes `runs.csv` (`frame`), `table.csv` (ranked by `metric`) and `sweep.json`, see `saving.save`."""
        from .saving import save

        return save(self, folder, metric)


def join(results: Sequence[SweepResult]) -> SweepResult:
    """Puts the points of several sweeps, say of several methods, into one result.

    Args:
      results: sweeps with the same seeds, evaluation steps and metrics.

    Returns:
      The result with the points of all; its settings are those of the first, its `seconds` those of all.

    Raises:
      ValueError: there is no result, or seeds, evaluations or metrics differ.
    """
    if not results:
        raise ValueError("There are no results to join.")
    first = results[0]
    for other in results[1:]:
        same = first.seeds == other.seeds and np.array_equal(first.steps, other.steps)
        if not same or set(first.metrics) != set(other.metrics):
            raise ValueError("Only sweeps with the same seeds, evaluation steps and metrics can be joined.")
    seconds = {name: t for result in results for name, t in result.settings.get("seconds", {}).items()}
    return SweepResult(
        points=tuple(point for result in results for point in result.points),
        seeds=first.seeds,
        steps=first.steps,
        metrics={name: np.concatenate([result.metrics[name] for result in results]) for name in first.metrics},
        diverged_at=np.concatenate([result.diverged_at for result in results]),
        settings={**first.settings, "seconds": seconds},
    )


def _need_pandas() -> None:
    if importlib.util.find_spec("pandas") is None:
        raise ImportError('Tables of results need pandas: pip install ".[sweep]" in a clone')


def versions() -> dict[str, str]:
    """The versions of Python and of the packages that results depend on, as far as they are installed."""
    found = {"python": platform.python_version()}
    for name in ("momentum_optax", "jax", "jaxlib", "optax", "flax", "numpy", "scikit-learn"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
