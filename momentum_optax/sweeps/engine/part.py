"""The part of a sweep that one program trains."""

import dataclasses
import functools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..points.points import Program
from ..points.reader import Reader
from ..trials.checks import check
from ..trials.fingerprint import of_functions
from ..trials.trial import Trial
from .batched import draw
from .cost import Cost, cost
from .engine import Engine
from .lanes import Lanes, arrange, lay_out
from .machine import Machine
from .placement import Placement
from .shared_engine import SharedEngine
from .shares import Shares
from .strategy import Choice, Known, Strategy, Way, choose, ways
from .trainer import Rung, Trainer

CURRENT = "current_"
"""What the metrics begin with that tell of hyperparameters which change."""


@dataclasses.dataclass
class Part:
    """Points of one structure, under way.

    Attributes:
      points: which of all points are still trained.
      engine: what trains them.
      choice: how, and why.
      digest: gives what tells its functions from others.
    """

    points: np.ndarray
    engine: SharedEngine
    choice: Choice
    digest: Callable[[], str]

    @property
    def settings(self) -> dict[str, Any]:
        """What to write down."""
        timed: dict[str, float] = {f"{name}_seconds_per_step": s for name, s in self.choice.seconds.items()}
        if timed:
            timed["timing_seconds"] = round(self.choice.timing, 3)
        return {"strategy": self.choice.way.strategy, "chunk": math.prod(self.engine.lanes.chunk), **timed}

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
    trial: Trial,
    program: Program,
    seeds: Sequence[int],
    folds: int,
    steps: int,
    rung: int,
    machine: Machine,
    strategy: Strategy,
    chunk: int | None,
    decided: Way | None = None,
    metric: str | None = None,
) -> Part:
    """Draws, lays out and starts the runs of a program.

    Args:
      trial: what to run.
      program: the points.
      seeds: the seeds.
      folds: how many folds each seed has, 1 for none.
      steps: how many steps a run makes.
      rung: how many of them make a rung.
      machine: what trains.
      strategy: in what way.
      chunk: how many runs a worker trains at the same time; `None` for what suits it and fits.
      metric: what will be looked at, to fail before anything is trained if there is no such metric.
      decided: the way that was chosen before, if the sweep is resumed.

    Returns:
      The part.
    """
    team, numbers = machine.team, program.points.arrays()
    kinds = tuple(program.structure.items()), tuple(numbers), folds

    def prepare() -> tuple[Any, Any, tuple[Any, Any], Cost]:
        drawn = _stack(jax.device_get([draw(trial, program.structure, seed) for seed in seeds]))
        items = _stack([trial.plan(Reader(program.structure), seed, steps) for seed in seeds])
        example = jax.tree.map(lambda x: x[0], drawn), jax.tree.map(lambda x: x[0, 0], items)
        # Once for each program: a second sweep of a trial, such as a search makes many of, traces nothing.
        if kinds not in (seen := trial.__dict__.setdefault("_seen", {})):
            fold = None if folds == 1 else (np.int32(0), folds)
            checked = check(trial, program.structure, numbers, *example, fold)
            seen[kinds] = checked, cost(trial, program.structure, numbers, checked.state, example[1])
        checked, takes = seen[kinds]
        names = {"train_loss", *checked.metrics}
        if metric is not None and metric not in names and not metric.startswith(CURRENT):
            raise KeyError(f"There is no metric {metric!r}; there are {sorted(names)}.")
        return drawn, items, example, takes

    drawn, items, example, takes = team.together(prepare)
    rows = len(seeds) * folds
    hyper = {name: np.tile(values, (rows, 1)) for name, values in numbers.items()}
    shares = Shares.of(team, rows, len(program.points))
    # From here on, the runs are those of this process.
    runs, (own, _) = shares.each, shares.runs(team.index)
    workers = machine.devices[: math.prod(runs)]
    placement = Placement(workers, arrange(*runs, len(workers)))

    @functools.cache
    def trainer(loop: Any) -> Trainer:
        return Trainer(trial, program.structure, drawn, items, folds, loop, placement, own)

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
        return Engine(trainer(way.loop), these, layout, placement, machine.threads)

    found = ways(strategy, chunk, machine.on_cpu, takes)
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
                steps=steps,
                rung=rung,
                on_cpu=machine.on_cpu,
                chunk=chunk,
                cost=takes,
                known=trial.__dict__.setdefault("_known", {}).setdefault((kinds, placement.mesh), Known()),
            )
        )
    whole = SharedEngine(team.together(lambda: engine(choice.way)), hyper, shares)
    if chunk is None and decided is None:
        whole.fit(rung)
    digest = functools.partial(of_functions, trial, program.structure, numbers, *example)
    return Part(np.asarray(program.indices), whole, choice, digest)


def _stack(trees: Sequence[Any]) -> Any:
    def leaf(*x: Any) -> Any:
        # NumPy knows no random keys.
        return jnp.stack(x) if jnp.issubdtype(x[0].dtype, jax.dtypes.prng_key) else np.stack(x)

    return jax.tree.map(leaf, *trees)
