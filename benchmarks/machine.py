"""What the benchmarks share: a name for the machine, and times that can be compared on a busy one."""

import importlib.metadata
import itertools
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

Times = dict[str, list[float]]


def describe(*packages: str) -> str:
    """The machine by cores and versions, nothing else.

    Args:
      *packages: names of distributions to give the versions of; those that are not installed are left out.
    """
    parts = [f"{cores()} cores ({platform.machine()})", f"Python {platform.python_version()}"]
    for package in packages:
        try:
            parts.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return ", ".join(parts)


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def bandwidth_probe(numbers: int) -> Callable[[], object]:
    """A function that moves 12 bytes for each number: `a += b` in float32, a part of it on each core."""
    a, b = np.ones(numbers, np.float32), np.ones(numbers, np.float32)
    marks = np.linspace(0, numbers, cores() + 1).astype(int)
    parts = [slice(start, stop) for start, stop in itertools.pairwise(marks)]
    pool = ThreadPoolExecutor(len(parts))
    return lambda: list(pool.map(lambda part: np.add(a[part], b[part], out=a[part]), parts))


def seconds(run: Callable[[], object]) -> float:
    """How long one call takes; the call must wait for its own results."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def interleave(runs: Mapping[str, Callable[[], object]], rounds: int, warmup: int = 2) -> Times:
    """Times several things in turns, so that what disturbs the machine disturbs all of them.

    Each round starts with another one and goes through them in the other direction, so that none always follows
    the same neighbour's traces in the caches.

    Args:
      runs: what to time, by name.
      rounds: how many times each is timed.
      warmup: how many rounds go before, untimed.

    Returns:
      Seconds, one for each round, by name.
    """
    times: Times = {name: [] for name in runs}
    names = list(runs)
    for i in range(-warmup, rounds):
        turn = i % len(names)
        order = names[turn:] + names[:turn]
        for name in order[:: 1 if i % 2 else -1]:
            elapsed = seconds(runs[name])
            if i >= 0:
                times[name].append(elapsed)
    return times


def ratios(numerator: Sequence[float], denominator: Sequence[float]) -> list[float]:
    """The ratio of two times in each round: the only figure that a busy machine leaves standing."""
    return [a / b for a, b in zip(numerator, denominator, strict=True)]


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """The lower quartile, the median and the upper quartile."""
    if len(values) < 2:
        return (values[0],) * 3
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


def row(cells: Sequence[str], widths: Sequence[int] | None = None) -> str:
    """A row of a table: in columns of these widths, or in Markdown without them."""
    if widths is None:
        return f"| {' | '.join(cells)} |"
    return " ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
