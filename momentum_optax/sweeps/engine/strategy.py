"""In what way the runs of a sweep are trained: together or one after the other, in a compiled loop or from Python."""

import dataclasses
import itertools
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple, get_args

from .cost import Cost
from .engine import Engine
from .trainer import Loop

Strategy = Literal["auto", "vmap", "map", "step"]
"""How runs are trained.

`vmap`: a chunk of them together, the steps in one compiled loop. `map`: one after the other, in that loop. `step`: the
loop is Python's, which calls one compiled step; on a CPU the way for convolutions, which are slow in compiled loops.
`auto`: times them on some steps.
"""

STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)

_TOO_SMALL = 3e10
"""Floating-point operations of a sweep up to which nothing is timed: it takes a few seconds at most."""

_WORTH_TIMING = 30.0
"""How many times as long as compiling and timing one way a sweep must take, for the others to be timed too."""

_PROBE_SECONDS = 0.5
_PROBE_OPERATIONS = {"cpu": 2e9, "other": 2e11}
"""How long a way is timed, and how many operations that may be at a time."""

_FAVOUR = 0.95
"""What would be taken untimed is taken unless another way is clearly faster, for times scatter."""

_HOPELESS = 2.0
"""A loop that is so many times slower than the other with single runs is not tried with more."""

_FACTOR, _LARGEST = 4, 64
"""What else to try on a CPU: so many times fewer runs together, and so many times more, up to so many."""

_STEPPED = 8
"""How many runs go together at most where steps are called from Python: they share the call, but not more."""


class Way(NamedTuple):
    """A decided strategy.

    Attributes:
      strategy: its name.
      loop: how the steps are run.
      chunk: how many runs a worker trains at the same time, at most; `None` for all that it has.
    """

    strategy: str
    loop: Loop
    chunk: int | None


class Choice(NamedTuple):
    """A way, and why.

    Attributes:
      way: the way.
      seconds: per step and run by strategy, where they were timed.
      timing: seconds that timing them took.
    """

    way: Way
    seconds: Mapping[str, float]
    timing: float = 0.0


@dataclasses.dataclass
class Known:
    """What has been measured of one program.

    Attributes:
      took: seconds that timing a way took, compiling included; the longest.
      seconds: per step and run.
    """

    took: float = 0.0
    seconds: dict[Way, float] = dataclasses.field(default_factory=dict)


def ways(strategy: Strategy, chunk: int | None, on_cpu: bool, cost: Cost) -> list[Way]:
    """The ways that a strategy may mean.

    Args:
      strategy: as `sweep` takes it.
      chunk: how many runs a worker trains at the same time; `None` for what suits the devices.
      on_cpu: whether these are CPU cores.
      cost: what a step takes.

    Returns:
      The one way of a strategy, or the first to try of each for `"auto"`.
    """
    together = cost.cpu_chunk if chunk is None and on_cpu else chunk
    few = min(_STEPPED, cost.cpu_chunk) if chunk is None and on_cpu else chunk
    found = {
        "vmap": Way("vmap", "scan", together),
        "map": Way("map", "scan", 1),
        "step": Way("step", "step", few),
    }
    return list(found.values()) if strategy == "auto" else [found[strategy]]


def choose(
    engine: Callable[[Way], Engine],
    *,
    runs: int,
    workers: int,
    steps: int,
    rung: int,
    on_cpu: bool,
    chunk: int | None,
    cost: Cost,
    known: Known,
) -> Choice:
    """The fastest way, found by timing some on some steps of as many runs as are trained at the same time.

    A small sweep is not timed: its runs are trained together, or from Python on CPUs if there are convolutions. Of a
    larger one this way is timed, and others if it would take long.

    Args:
      engine: a few of the runs, under a way.
      runs: how many runs there are in all.
      workers: how many devices or threads share them.
      steps: how many steps each makes.
      rung: how many of them make a rung.
      on_cpu: see `ways`.
      chunk: see `ways`.
      cost: see `ways`.
      known: what has been measured before; what is measured now is added.

    Returns:
      The way, and what was measured.
    """
    begun = time.perf_counter()
    vmap, map_, step = ways("auto", chunk, on_cpu, cost)
    likely = step if cost.convolutions and on_cpu else vmap
    if cost.operations * runs * steps < _TOO_SMALL:
        return Choice(likely, {})
    most = _PROBE_OPERATIONS["cpu" if on_cpu else "other"]
    times = known.seconds
    probe = int(min(rung, max(2, most / cost.operations / min(runs, workers * (vmap.chunk or runs)))))

    def seconds(way: Way) -> float:
        if way not in times:
            times[way], took = _time(engine(way), probe)
            known.took = max(known.took, took)
        return times[way]

    if seconds(likely) * runs * steps > _WORTH_TIMING * known.took:
        loops = [[vmap], [step]]  # each with more and more runs together
        if on_cpu and chunk is None:
            suits = cost.cpu_chunk
            sizes = [n for n in (suits // _FACTOR, suits, _FACTOR * suits) if 1 < n <= max(suits, _LARGEST)]
            loops = [
                [map_, *(vmap._replace(chunk=n) for n in sizes)],
                [step._replace(chunk=n) for n in (1, _STEPPED)],
            ]
        elif on_cpu:
            loops[0].insert(0, map_)
        fastest = min(seconds(loop[0]) for loop in loops)
        for loop in loops:
            if seconds(loop[0]) <= _HOPELESS * fastest:
                _grow(loop, seconds, math.ceil(runs / workers))
    by_speed = sorted(times, key=lambda way: times[way] * (_FAVOUR if way == likely else 1.0))
    # Of each strategy the fastest.
    return Choice(by_speed[0], {w.strategy: times[w] for w in reversed(by_speed)}, time.perf_counter() - begun)


def _grow(ways: Sequence[Way], seconds: Callable[[Way], float], most: int) -> None:
    """Times ways with more and more runs together, up to so many, while that is faster."""
    for fewer, more in itertools.pairwise(ways):
        if (fewer.chunk or most) >= most or seconds(more) > seconds(fewer):
            return


def _time(engine: Engine, steps: int) -> tuple[float, float]:
    """Seconds per step and run, the least of some times, for others may use the machine; and what it took in all."""
    started = time.perf_counter()
    engine.advance(0, steps)  # compiles
    times, until = [], time.perf_counter() + _PROBE_SECONDS
    while not times or (time.perf_counter() < until and len(times) < 20):
        begun = time.perf_counter()
        engine.advance(0, steps)
        times.append(time.perf_counter() - begun)
    return min(times) / steps / math.prod(engine.lanes.shape), time.perf_counter() - started
