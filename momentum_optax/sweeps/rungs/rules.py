"""What happens between two rungs."""

import dataclasses
from collections.abc import Collection, Sequence
from typing import Any

import jax
import numpy as np

from ..engine.lanes import Lanes
from ..engine.part import Part
from ..points.points import Program
from ..results.best import Mode, check_metric, check_mode
from ..storage.checkpoint import Checkpoint
from .history import History, Record
from .population import Population
from .pruning import PATIENT, Pruning


@dataclasses.dataclass(frozen=True)
class Rules:
    """What decides about the runs.

    Attributes:
      metric: by what; `None` for `best.default_metric`.
      mode: whether larger or smaller is better; `None` for what the metric's name tells.
      pruning: which points to stop.
      population: which runs copy which.
    """

    metric: str | None
    mode: Mode | None
    pruning: Pruning | None
    population: Population | None

    @property
    def changing(self) -> Collection[str]:
        """The hyperparameters that change while runs train."""
        return () if self.population is None else self.population.scales.keys()

    def check(self, programs: Sequence[Program], stops: Sequence[int]) -> None:
        """Checks that there are no contradictions.

        Args:
          programs: all points.
          stops: after how many steps the evaluations take place.

        Raises:
          TypeError: there is something that cannot decide.
          ValueError: what was given does not fit together; the message names it.
        """
        for name, value, kind in (("pruning", self.pruning, Pruning), ("population", self.population, Population)):
            if value is not None and not isinstance(value, kind):
                raise TypeError(f"{name} must be a `{kind.__name__}`, not {value!r}.")
        if self.mode is not None:
            check_mode("", self.mode)
        # Rules are not asked after the last evaluation.
        last = max(stops[:-1], default=0)
        if self.pruning is not None:
            if self.population is not None:
                raise ValueError(
                    "Give pruning or population, not both: a population replaces its worst members itself."
                )
            least = self.pruning.min_steps if isinstance(self.pruning, PATIENT) else 1
            if last < least:
                raise ValueError(
                    f"pruning: {self.pruning!r} would never stop a point. It needs an evaluation, other than the last, "
                    f"after at least {least} steps; with steps={stops[-1]} and evaluate_every={stops[0]} the last but "
                    f"one is after {last}."
                )
        if self.population is None:
            return
        every = self.population.every
        if every % stops[0]:
            raise ValueError(
                f"population: it changes every {every} steps, which must be a multiple of evaluate_every={stops[0]}."
            )
        if every > last:
            raise ValueError(f"population: it changes every {every} steps, which must be fewer than steps={stops[-1]}.")
        for program in programs:
            self.population.check(program.points.names, len(program.points))

    def scores(self, history: History) -> np.ndarray:
        """The scores of all runs at all evaluations so far, see `History.scores`."""
        metric = check_metric(history, self.metric)
        return history.scores(metric, check_mode(metric, self.mode))

    def best(self, history: History) -> tuple[float, int]:
        """The best median of any point at any evaluation so far, and which point's; NaN if all diverged."""
        scores = np.median(self.scores(history), axis=0).max(axis=1)
        smaller = check_mode(check_metric(history, self.metric), self.mode) == "min"
        value = float(scores.max())
        return (0.0 - value if smaller else value) if np.isfinite(value) else np.nan, int(scores.argmax())

    def decide(self, history: History, parts: Sequence[Part]) -> None:
        """Stops points, or changes populations, after an evaluation."""
        if self.pruning is not None:
            alive = history.alive
            scores = np.median(self.scores(history), axis=0)
            kept = self.pruning.keep(history.step, scores, alive)
            history.pruned_at[alive & ~kept] = history.step
            history.ended_at[alive & ~kept] = history.step
            for part in parts:
                part.keep(kept)
        if self.population is None:
            # What is lost takes a place in a batch, which costs nothing until there would be fewer batches.
            for part in parts:
                if part.would_shrink(~history.lost):
                    history.ended_at[part.points[history.lost[part.points]]] = history.step
                    part.keep(~history.lost)
        elif self.population.due(history.step):
            scores = self.scores(history)[..., -1]
            for index, part in enumerate(parts):
                rng = np.random.default_rng([history.step, index])
                hyper = {name: values.copy() for name, values in part.engine.hyper.items()}
                sources, hyper = self.population.evolve(history.step, scores[:, part.points], hyper, rng)
                part.engine.copy(sources, hyper)
                # Who took over the state of one that did not diverge has not diverged any more.
                diverged_at = history.diverged_at[:, part.points]
                history.diverged_at[:, part.points] = np.take_along_axis(diverged_at, sources, axis=1)


def snapshot(history: History, parts: Sequence[Part]) -> tuple[Any, Record]:
    """The states of all parts that are still trained, and what goes with them, for `restore`."""
    going = {str(i): part for i, part in enumerate(parts) if len(part.points)}
    record = history.record()
    for name, part in going.items():
        lanes = part.engine.lanes
        record[f"lanes/{name}"] = np.asarray([lanes.shape, lanes.workers, lanes.chunk])
        record |= {f"hyper/{name}/{key}": values for key, values in part.engine.hyper.items()}
    return {name: part.engine.state() for name, part in going.items()}, record


def restore(history: History, parts: Sequence[Part], found: Checkpoint) -> None:
    """Goes back to a snapshot.

    Args:
      history: an empty history.
      parts: parts as they begin, with all their points.
      found: what the store has kept.
    """
    history.restore(found.records)
    record = found.records[-1]
    going = {str(i): part for i, part in enumerate(parts) if f"lanes/{i}" in record}
    like = {name: part.engine.abstract for name, part in going.items()}
    states = jax.tree.unflatten(jax.tree.structure(like), found.leaves)
    for index, part in enumerate(parts):
        part.points = part.points[history.alive[part.points]]
        if (name := str(index)) in going:
            lanes = Lanes(*map(tuple, record[f"lanes/{name}"].tolist()))
            start = f"hyper/{name}/"
            hyper = {key.removeprefix(start): values for key, values in record.items() if key.startswith(start)}
            part.engine.load(states[name], hyper, len(part.points), lanes)
