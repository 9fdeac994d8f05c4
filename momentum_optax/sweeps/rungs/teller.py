"""What a sweep tells of its progress."""

import time
from collections.abc import Callable, Sequence

import numpy as np

from ..engine.part import Part
from ..points.points import Points
from ..results.best import check_metric
from .history import History
from .progress import Progress, silence
from .rules import Rules


class Teller:
    """Reports the progress of a sweep after every batch and every rung."""

    def __init__(
        self,
        report: Callable[[Progress], None],
        label: str,
        points: Points,
        history: History,
        parts: Sequence[Part],
        rules: Rules,
        begun: float,
    ):
        """Remembers where to look.

        Args:
          report: what to tell.
          label: of the sweep.
          points: all points.
          history: what the runs have shown.
          parts: what trains them.
          rules: by what they are judged.
          begun: when the sweep began, by `time.perf_counter`.
        """
        self._report, self._label, self._points = report, label, points
        self._history, self._parts, self._rules, self._begun = history, parts, rules, begun
        # Until now everything was preparation; later on, what is compiled.
        self._prepared = time.perf_counter() - begun - self._compiling()
        self._restored = self._lane_steps()
        self._best, self._best_point = float("nan"), {}
        self._judge()

    def ticker(self, steps: int) -> Callable[[int], None]:
        """What to call after each batch of a rung of so many steps, with how many runs it had."""
        made, whole = 0, int(self._history.alive.sum()) * len(self._history.diverged_at) * steps

        def tick(runs: int) -> None:
            nonlocal made
            made += runs * steps
            if made < whole:  # after the last batch comes the end of the rung
                self._tell(made)

        return tick

    def rung(self) -> None:
        """To be called after each rung."""
        self._judge()
        self._tell(0)

    def _judge(self) -> None:
        if self._history.done and self._report is not silence:
            self._best, index = self._rules.best(self._history)
            self._best_point = {} if np.isnan(self._best) else self._points[index]

    def _tell(self, under_way: int) -> None:
        if self._report is silence:
            return
        history, rows = self._history, len(self._history.diverged_at)
        done = self._lane_steps() + under_way
        alive = int(history.alive.sum()) * rows
        left = alive * (history.stops[-1] - history.step) - under_way
        self._report(
            Progress(
                label=self._label,
                step=history.step,
                steps=history.stops[-1],
                rung=history.done,
                rungs=len(history.stops),
                runs=history.diverged_at.size,
                alive=alive,
                diverged=int((history.diverged_at >= 0).sum()),
                pruned=int((history.pruned_at >= 0).sum()) * rows,
                metrics=history.latest,
                metric=check_metric(history, self._rules.metric) if history.done else "",
                best=self._best,
                best_point=self._best_point,
                lane_steps=done,
                lane_steps_total=done + left,
                seconds=time.perf_counter() - self._begun,
                compiling=self._prepared + self._compiling(),
                restored=self._restored,
            )
        )

    def _lane_steps(self) -> int:
        return int(self._history.cost.sum()) * len(self._history.diverged_at)

    def _compiling(self) -> float:
        return sum({id(t): t.compiling for t in (part.engine.trainer.batched for part in self._parts)}.values())
