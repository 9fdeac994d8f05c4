"""The part of a sweep that one program trains."""

import dataclasses
import functools
import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from .engine import Engine
from .lanes import Lanes, arrange, lay_out
from .machine import Machine
from .placement import Placement
from .preparation import CURRENT, Prepared
from .shared_engine import SharedEngine
from .shares import Shares
from .strategy import Choice, Known, Strategy, Way, choose, ways
from .trainer import Rung, Trainer


@dataclasses.dataclass
class Part:
    """Points of one structure, under way.

    Attributes:
      points: which of all points are still trained.
      engine: what trains them.
      choice: how, and why.
    """

    points: np.ndarray
    engine: SharedEngine
    choice: Choice

    @property
    def settings(self) -> dict[str, Any]:
        """What to write down."""
        found = {"strategy": self.choice.way.strategy, "chunk": math.prod(self.engine.lanes.chunk)}
        if not self.choice.seconds:
            return found
        timing = round(self.choice.timing, 3)
        return found | {"seconds_per_step": dict(self.choice.seconds), "timing_seconds": timing}

    def advance(self, start: int, stop: int, tick: Callable[[int], None], changing: Iterable[str]) -> tuple[Any, Rung]:
        """Trains for a rung.

        Args:
          start: the first step, from 0.
          stop: the step after the last.
          tick: see `Engine.advance`.
          changing: hyperparameters that change while runs train; what they were is told as `current_<name>`.

        Returns:
          Which of all points, and what they showed.
        """
        losses, metrics = self.engine.advance(start, stop, tick)
        current = {f"{CURRENT}{name}": self.engine.hyper[name] for name in changing}
        return self.points, Rung(losses, {**metrics, **current})

    def would_shrink(self, alive: np.ndarray) -> bool:
        """Whether it would have fewer batches without those that are not alive, `[points]` of all programs."""
        kept = int(alive[self.points].sum())
        before = len(self.engine.lanes.batches())
        return kept < len(self.points) and (not kept or len(self.engine.lanes_of(kept).batches()) < before)

    def keep(self, alive: np.ndarray) -> None:
        """Goes on with those that are alive.

        Args:
          alive: `[points]` of all programs.
        """
        kept = np.flatnonzero(alive[self.points])
        if len(kept) < len(self.points):
            self.points = self.points[kept]
            if len(kept):
                self.engine.keep(kept)


def begin(
    prepared: Prepared,
    rung: int,
    machine: Machine,
    strategy: Strategy,
    chunk: int | None,
    decided: Way | None = None,
) -> Part:
    """Lays out and starts the runs of a program.

    Args:
      prepared: the program.
      rung: how many steps make a rung.
      machine: what trains.
      strategy: in what way.
      chunk: how many runs a worker trains at the same time; `None` for what suits it and fits.
      decided: the way that was chosen before, if the sweep is resumed.

    Returns:
      The part.
    """
    team, program = machine.team, prepared.program
    rows = len(prepared.seeds) * prepared.folds
    hyper = {name: np.tile(values, (rows, 1)) for name, values in program.points.arrays().items()}
    shares = Shares.of(team, rows, len(program.points))
    # From here on, the runs are those of this process.
    runs, (own, _) = shares.each, shares.runs(team.index)
    workers = machine.devices[: math.prod(runs)]
    placement = Placement(workers, arrange(*runs, len(workers)))

    @functools.cache
    def trainer(loop: Any) -> Trainer:
        return Trainer(prepared, loop, placement, own)

    def lanes(way: Way) -> Lanes:
        if len(workers) > 1:
            return lay_out(*runs, placement.grid, way.chunk)
        # Threads share the batches; there should be as many for each of them.
        share = lay_out(*runs, arrange(*runs, min(machine.threads, math.prod(runs))), way.chunk)
        return Lanes(runs, (1, 1), share.chunk)

    def engine(way: Way, few: bool = False) -> Engine:
        layout = lanes(way)
        if few:
            layout = dataclasses.replace(layout, shape=layout.few(machine.threads))
        rows, points = layout.shape
        these = {name: shares.cut(values)[:rows, :points] for name, values in hyper.items()}
        made = Engine(trainer(way.loop), these, layout, placement, machine.threads)
        prepared.plan()  # while the devices make the first states
        return made

    found = ways(strategy, chunk, machine.on_cpu, prepared.cost)
    if decided is not None:
        choice = Choice(decided, {})
    elif len(found) == 1:
        choice = Choice(found[0], {})
    else:
        choice = team.first(
            lambda: choose(
                functools.partial(engine, few=True),
                runs=math.prod(runs),
                workers=max(len(workers), machine.threads),
                steps=prepared.steps,
                rung=rung,
                on_cpu=machine.on_cpu,
                chunk=chunk,
                cost=prepared.cost,
                known=prepared.trial.__dict__.setdefault("_known", {}).setdefault(
                    (prepared.kinds, placement.mesh), Known()
                ),
            )
        )
    whole = SharedEngine(team.together(lambda: engine(choice.way)), hyper, shares)
    if chunk is None and decided is None:
        whole.fit(rung)
    return Part(np.asarray(program.indices), whole, choice)
