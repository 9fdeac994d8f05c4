"""What the runs of a sweep have shown so far."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..engine.trainer import Rung
from ..results.best import Mode

Record = dict[str, np.ndarray]
"""One rung as arrays by name, from which it can be told again."""

_FATES = ("diverged_at", "pruned_at", "ended_at")


class History:
    """Metrics of all runs, and what became of them.

    Attributes:
      stops: after how many steps the evaluations take place.
      done: how many evaluations there are so far.
      metrics: by name, `[rows, points, evaluations]`; NaN for what did not happen.
      diverged_at: `[rows, points]`, the step (from 1) at which a run diverged, -1 if it did not.
      pruned_at: `[points]`, the step after which a point was stopped by a rule, -1 if it was not.
      ended_at: `[points]`, the step after which it was not trained any more, also because all its runs had diverged; -1
        if it was trained to the end.
    """

    def __init__(self, rows: int, points: int, stops: Sequence[int]):
        """Begins empty.

        Args:
          rows: how many rows there are.
          points: how many points there are, of all programs.
          stops: after how many steps the evaluations take place.
        """
        self.stops = list(stops)
        self.done = 0
        self.metrics: dict[str, np.ndarray] = {}
        self.diverged_at = np.full((rows, points), -1)
        self.pruned_at = np.full(points, -1)
        self.ended_at = np.full(points, -1)

    @property
    def step(self) -> int:
        """How many steps the runs have made that were not stopped."""
        return self.stops[self.done - 1] if self.done else 0

    @property
    def alive(self) -> np.ndarray:
        """`[points]`, whether a point is still trained."""
        return self.ended_at < 0

    @property
    def lost(self) -> np.ndarray:
        """`[points]`, whether all runs of a point have diverged."""
        return np.all(self.diverged_at >= 0, axis=0)

    @property
    def cost(self) -> np.ndarray:
        """`[points]`, how many steps each run of a point has made."""
        return np.where(self.alive, self.step, self.ended_at)

    @property
    def latest(self) -> dict[str, np.ndarray]:
        """The metrics of the latest evaluation, `[rows, points]`."""
        return {name: values[..., self.done - 1] for name, values in self.metrics.items()} if self.done else {}

    def add(self, rung: Sequence[tuple[np.ndarray, Rung]]) -> None:
        """Adds an evaluation.

        Args:
          rung: which points, and what they showed; of each program.
        """
        start, empty = self.step, self._empty(rung)
        for points, (losses, metrics) in rung:
            telling = {name: values for name, values in metrics.items() if name not in empty}
            self._mark(points, losses, telling, start)
            with np.errstate(invalid="ignore", over="ignore"):
                found = {"train_loss": losses.mean(-1), **metrics}
            for name, values in found.items():
                self.write(name, points, values)
        self.done += 1

    def write(self, name: str, points: np.ndarray, values: np.ndarray) -> None:
        """Writes down a metric of some points at the evaluation that is being added."""
        if name not in self.metrics:
            dtype = np.result_type(values.dtype, np.float32)
            self.metrics[name] = np.full((*self.diverged_at.shape, len(self.stops)), np.nan, dtype)
        lost = self.diverged_at[:, points] >= 0
        self.metrics[name][:, points, self.done] = np.where(lost, np.nan, values)

    def scores(self, metric: str, mode: Mode) -> np.ndarray:
        """A metric of all runs at all evaluations so far, float64 `[rows, points, evaluations]`, larger is better.

        It is minus infinity for runs that have diverged, and after the end of those that were stopped.
        """
        values = self.metrics[metric][..., : self.done].astype(np.float64)
        return np.where(np.isfinite(values), values if mode == "max" else -values, -np.inf)

    def record(self) -> Record:
        """The latest evaluation and what became of the runs, for `restore`; copies, for all this goes on changing."""
        metrics = {f"metrics/{name}": values.copy() for name, values in self.latest.items()}
        return {**metrics, **{name: getattr(self, name).copy() for name in _FATES}}

    def restore(self, records: Sequence[Mapping[str, np.ndarray]]) -> None:
        """Goes back to where `record` was called last.

        Args:
          records: what it gave for each evaluation, in order.
        """
        everything = np.arange(self.pruned_at.size)
        for record in records:
            self.diverged_at[:] = -1  # what is NaN is in the record
            for name, values in record.items():
                if name.startswith("metrics/"):
                    self.write(name.removeprefix("metrics/"), everything, values)
            self.done += 1
        for name in _FATES:
            setattr(self, name, records[-1][name].copy())

    def by_run(self, folds: int) -> Mapping[str, Any]:
        """Metrics, `diverged_at`, `pruned_at` and `cost` as a result has them, `[points, seeds]` or with folds."""

        def runs(values: np.ndarray) -> np.ndarray:
            values = values.swapaxes(0, 1)
            return values.reshape(len(values), -1, folds, *values.shape[2:]) if folds > 1 else values

        shape = self.diverged_at.shape
        return {
            "metrics": {name: runs(values) for name, values in self.metrics.items()},
            "diverged_at": runs(self.diverged_at),
            "pruned_at": runs(np.broadcast_to(self.pruned_at, shape)).copy(),
            "cost": runs(np.broadcast_to(self.cost, shape)).copy(),
        }

    def _empty(self, rung: Sequence[tuple[np.ndarray, Rung]]) -> set[str]:
        """The metrics that were never finite for any run, although losses are; with a warning."""
        metrics = [named for _, (_, metrics) in rung for named in metrics.items()]
        silent = {name for name, values in metrics if not np.isfinite(values).any()}
        if not silent or not any(np.isfinite(losses).all(-1).any() for _, (losses, _) in rung):
            return set()
        ever = {name for name, values in self.metrics.items() if np.isfinite(values).any()}
        ever |= {name for name, values in metrics if np.isfinite(values).any()}
        empty = silent - ever
        for name in sorted(empty - self.metrics.keys()):
            warnings.warn(
                f"The metric {name!r} is infinite or NaN for all runs: it does not tell which of them diverged.",
                stacklevel=2,
            )
        return empty

    def _mark(self, points: np.ndarray, losses: np.ndarray, metrics: Mapping[str, np.ndarray], start: int) -> None:
        """Notes, for runs not yet diverged, the first step (from 1) after which something is not finite."""
        bad = ~np.isfinite(losses)
        for values in metrics.values():
            bad[..., -1] |= ~np.isfinite(values)
        if not bad.any():
            return
        before = self.diverged_at[:, points]
        now = np.where(bad.any(-1) & (before < 0), start + 1 + bad.argmax(-1), before)
        self.diverged_at[:, points] = now
