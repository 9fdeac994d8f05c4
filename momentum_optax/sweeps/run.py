"""The sweep itself."""

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from .arguments import all_seeds, all_steps, all_stops, one_of
from .engine.machine import Machine
from .engine.part import Part, begin
from .engine.preparation import prepare
from .engine.strategy import STRATEGIES, Strategy, Way
from .engine.team import Team
from .points.points import Points
from .points.reader import Reader
from .results.best import Mode
from .results.results import SweepResult
from .rungs.history import History
from .rungs.population import Population
from .rungs.progress import Progress, opened
from .rungs.pruning import Pruning
from .rungs.rules import Rules, restore, snapshot
from .rungs.teller import Teller
from .storage.shared_store import SharedStore
from .trials.checks import check_folds
from .trials.fingerprint import of_data
from .trials.trial import Trial
from .values import whole


def sweep(
    trial: Trial,
    points: Points | Mapping[str, Any] | Sequence[Mapping[str, Any]],
    *,
    seeds: int | Sequence[int] = 5,
    steps: int | None = None,
    epochs: int | None = None,
    evaluate_every: int | None = None,
    folds: int | None = None,
    label: str = "",
    strategy: Strategy = "auto",
    lanes_per_chunk: int | None = None,
    devices: Sequence[Any] | None = None,
    threads: int | None = None,
    metric: str | None = None,
    mode: Mode | None = None,
    pruning: Pruning | None = None,
    population: Population | None = None,
    folder: str | Path | None = None,
    progress: bool | Callable[[Progress], None] | None = None,
) -> SweepResult:
    """Trains every point from every seed, many runs at once.

    Floats of the points vary inside a compiled program; each combination of integers, strings and booleans is a program
    of its own. Runs of the same seed share their initial params and the order of their data. Training proceeds in
    rungs, after each of which all runs are evaluated. A run whose loss or metric becomes infinite or NaN is marked as
    diverged and its metrics are NaN from there on; no other run is touched by it. A metric that is never finite for any
    run is kept as it is, with a warning.

    Args:
      trial: what to run, see `supervised` and `trial`.
      points: the hyperparameters to try, see `grid`.
      seeds: the seeds themselves, or how many; 5 means 0, 1, 2, 3, 4.
      steps: updates per run; 300 unless `epochs` is given.
      epochs: the same as passes over the training data.
      evaluate_every: steps of a rung; `None` for a tenth of all. The last step is always evaluated. If this does not
        divide the steps, a second, shorter program is compiled for the rest.
      folds: how many folds each seed is cross-validated in; `None` for none.
      label: a name for the runs, shown as `method` in tables.
      strategy: `"vmap"` trains a chunk of runs together, `"map"` one after the other, both in a compiled loop;
        `"step"` calls a compiled step from Python, which on a CPU suits convolutions. `"auto"` times them, unless the
        sweep is too small for that to pay; what it found is in the settings of the result.
      lanes_per_chunk: how many runs a device trains at the same time; `None` for 1 to 256 on a CPU, by what a step
        takes, and all elsewhere, or what fits into the memory. Results depend on it only by rounding.
      devices: where to run; `None` for all of `jax.devices()`, which are those of all processes, see
        `distributed.start`. As many of each process, or some of this one only, which then is by itself.
      threads: among how many threads to share the device of a process that has one only; `None` for one per core on a
        CPU, one elsewhere.
      metric: what pruning, population and progress look at; `None` for `best.default_metric`.
      mode: `"max"` or `"min"`; `None` for `"min"` if the name of the metric ends in `loss` or `error`, else `"max"`.
      pruning: which points to stop early, such as `SuccessiveHalving`. The others are repacked, so that stopped ones
        cost nothing.
      population: makes the points of each program and seed a population that is trained together, see `Population`.
      folder: where metrics and states are kept after every rung, while the next one is trained, and the result at the
        end. The same call with the same folder goes on from the last rung that was kept, even after `kill -9`, and
        gives the same result to the bit.
      progress: `True` for a bar, or a function that is called often, see `Progress`. What it raises ends the sweep.

    Returns:
      All metrics of all runs.

    Raises:
      TypeError: `trial`, `devices`, `pruning` or `population` is something else.
      ValueError: an argument is out of its range, or the folder is that of another sweep; the message names it.
      MemoryError: a single run does not fit into the memory of a device.
      OSError: the folder cannot be written; what is there stays.
      RuntimeError: another process has ended.
    """
    if not isinstance(trial, Trial):
        raise TypeError(f"trial must be a Trial, as `supervised` and `trial` make it, not {trial!r}.")
    points = points if isinstance(points, Points) else Points(points)
    seeds = all_seeds(seeds)
    programs = points.programs()
    per_epoch = [trial.steps_per_epoch and trial.steps_per_epoch(Reader(p.structure)) for p in programs]
    steps = all_steps(steps, epochs, per_epoch)
    stops = all_stops(steps, evaluate_every)
    one_of("strategy", strategy, STRATEGIES)
    chunk = None if lanes_per_chunk is None else whole("lanes_per_chunk", lanes_per_chunk)
    machine = Machine.of(devices, threads)
    rules = Rules(metric, mode, pruning, population)
    rules.check(programs, stops)
    if label and "method" in points.names:
        raise ValueError(
            f"label={label!r} would be the method of all points, but the points have a method of their own."
        )
    count = 1 if folds is None else check_folds(trial, folds)

    def identity() -> dict[str, Any]:
        return {
            "points": [dict(point) for point in points],
            "seeds": seeds,
            "folds": folds,
            "steps": steps,
            "evaluate_every": stops[0],
            "label": label,
            "trial": trial.settings,
            "data": of_data(trial.data),
            "strategy": strategy,
            "lanes_per_chunk": lanes_per_chunk,
            "metric": metric,
            "mode": mode,
            "pruning": pruning and pruning.describe(),
            "population": population and population.describe(),
            "platform": machine.settings,
            "versions": {"jax": jax.__version__, "numpy": np.__version__},
        }

    team = machine.team
    with contextlib.ExitStack() as stack:
        stack.enter_context(team.listening())
        store = stack.enter_context(SharedStore(team, folder, identity))
        begun = time.perf_counter()
        prepared = team.together(
            lambda: [prepare(trial, p, seeds, count, steps, metric, rules.changing) for p in programs]
        )
        store.recognize(lambda: [p.fingerprint() for p in prepared])
        if store.finished is not None:
            return store.finished
        history = History(len(seeds) * count, len(points), stops)
        found = store.latest()
        # What timing decided once stays, for results depend on it by rounding.
        decided = [Way(*way) for way in (found and store.notes.get("ways")) or ()] or [None] * len(programs)
        parts = [begin(p, stops[0], machine, strategy, chunk, way) for p, way in zip(prepared, decided, strict=True)]
        store.note(ways=[part.choice.way for part in parts])
        if found is not None:
            restore(history, parts, found)
        del found  # much memory
        shown = progress if team.index == 0 else None
        report = team.together(lambda: stack.enter_context(opened(shown, label)))
        teller = team.together(lambda: Teller(report, label, points, history, parts, rules, begun))
        _train(history, parts, rules, teller, store, team)
        seconds = team.first(lambda: round(time.perf_counter() - begun, 3))
        result = SweepResult(
            points=tuple(({"method": label} if label else {}) | dict(p) for p in points),
            seeds=seeds,
            steps=np.asarray(stops),
            settings={
                **trial.settings,
                "steps": steps,
                "evaluate_every": stops[0],
                "seeds": list(seeds),
                **machine.settings,
                "ways": [part.settings for part in parts],
                "seconds": {label or "sweep": seconds},
            },
            folds=() if folds is None else tuple(range(count)),
            **history.by_run(count),
        )
        store.finish(result, metric)
        return result


def _train(
    history: History, parts: Sequence[Part], rules: Rules, teller: Teller, store: SharedStore, team: Team
) -> None:
    """Trains rung by rung, from where the history ends."""
    if history.done:
        team.together(teller.rung)  # says from where it goes on
    while history.done < len(history.stops):
        stop = history.stops[history.done]
        tick = teller.ticker(stop - history.step)
        going = [part for part in parts if len(part.points)]
        history.add([part.advance(history.step, stop, tick, rules.changing) for part in going])
        if history.done < len(history.stops):
            rules.decide(history, parts)
        store.save(history.done, lambda: snapshot(history, parts))
        team.together(teller.rung)
