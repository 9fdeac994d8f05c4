"""In what way the runs of a sweep are trained: together or one after the other, in a compiled loop or from Python."""

import math
import time
from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple, get_args

from .engine import Engine
from .lanes import CPU_CHUNK
from .trainer import Loop

Strategy = Literal["auto", "vmap", "map", "step"]
"""How runs are trained.

`vmap`: a chunk of them together, the steps in one compiled loop. `map`: one after the other, in that loop. `step`: the
loop is Python's, which calls one compiled step; on a CPU the way for convolutions, which are slow in compiled loops.
`auto`: times the three on some steps.
"""

STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)

_WORTH_TIMING = 3e10
"""Floating-point operations of a sweep from which it earns back the seconds that compiling all ways takes."""

_PROBE_SECONDS = 0.2
_HOPELESS = 3.0


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
    """

    way: Way
    seconds: Mapping[str, float]


def ways(strategy: Strategy, chunk: int | None, on_cpu: bool) -> list[Way]:
    """The ways that a strategy may mean.

    Args:
      strategy: as `sweep` takes it.
      chunk: how many runs a worker trains at the same time; `None` for what suits the devices.
      on_cpu: whether they are CPU cores.

    Returns:
      The one way of a strategy, or all for `"auto"`.
    """
    together = CPU_CHUNK if chunk is None and on_cpu else chunk
    # Outside a compiled loop, too, convolutions of several runs are slower together than alone on a CPU.
    alone = 1 if chunk is None and on_cpu else chunk
    found = {
        "vmap": Way("vmap", "scan", together),
        "map": Way("map", "scan", 1),
        "step": Way("step", "step", alone),
    }
    return list(found.values()) if strategy == "auto" else [found[strategy]]


def choose(
    engine: Callable[[Way], Engine], *, runs: int, steps: int, rung: int, on_cpu: bool, chunk: int | None
) -> Choice:
    """The fastest way, found by timing each on some steps of as many runs as are trained at the same time.

    A sweep that is done sooner than that is not timed: its runs are trained together, or from Python on CPUs if there
    are convolutions.

    Args:
      engine: a few of the runs, under a way.
      runs: how many runs there are in all.
      steps: how many steps each makes.
      rung: how many of them make a rung.
      on_cpu: whether the devices are CPU cores.
      chunk: see `ways`.

    Returns:
      The way, and what was measured.
    """
    vmap, map_, step = ways("auto", chunk, on_cpu)
    few = engine(step)
    operations, convolutions = few.cost()
    if operations * runs * steps < _WORTH_TIMING:
        return Choice(step if convolutions and on_cpu else vmap, {})
    seconds = {"step": _time(few, min(rung, 2))}
    probe = min(rung, max(2, int(_PROBE_SECONDS / seconds["step"])))
    seconds["step"] = _time(few, probe)
    if on_cpu:
        seconds["map"] = _time(engine(map_), probe)
    # A loop that is slow with one run is slower with many.
    if not on_cpu or seconds["map"] < _HOPELESS * seconds["step"]:
        seconds["vmap"] = _time(engine(vmap), probe)
    best = min(seconds, key=lambda name: seconds[name])
    return Choice({"vmap": vmap, "map": map_, "step": step}[best], seconds)


def _time(engine: Engine, steps: int) -> float:
    """Seconds per step and run; the least of some times, for others may use the machine."""
    engine.advance(0, steps)  # compiles
    times, until = [], time.perf_counter() + _PROBE_SECONDS
    while not times or (time.perf_counter() < until and len(times) < 20):
        begun = time.perf_counter()
        engine.advance(0, steps)
        times.append(time.perf_counter() - begun)
    return min(times) / steps / math.prod(engine.lanes.shape)
