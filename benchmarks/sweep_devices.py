"""What a sweep makes of several devices, and whether it takes the memory that the compiler says.

First 256 runs of the network of `sweep_speed` on one device in one thread, on one in two threads, on two devices and on
eight. How many devices a CPU has is settled when JAX begins, so each number has a process of its own, in turn. More
devices than cores share the cores.

Then the memory, each time in a process of its own: how much it grows in the first rung of a batch of so many runs,
beside what the compiler says that the rung needs.

    python benchmarks/sweep_devices.py [--quick] [--markdown]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import machine
from sweep_speed import apply, images, init
from sweep_ways import Ways, points

from momentum_optax.sweeps.engine.machine import Machine
from momentum_optax.sweeps.engine.part import begin
from momentum_optax.sweeps.engine.preparation import prepare
from momentum_optax.sweeps.engine.team import Team

DEVICES = (1, 2, 8)


def work(lanes: int, batch: int, steps: int) -> Ways:
    """So many runs of the small network."""
    seeds = 8
    return Ways(init, apply, images(), points(lanes // seeds), seeds, steps, batch)


def ways_on(count: int) -> dict[str, dict[str, Any]]:
    """The ways to use so many devices, each with its options."""
    if count > 1:
        return {f"{count} devices": {}}
    return {f"1 device, {n} thread{'s'[: n - 1]}": {"threads": n} for n in (1, machine.cores())}


def timed(count: int, lanes: int, batch: int, steps: int, rounds: int) -> dict[str, list[float]]:
    """Seconds that the ways to use so many devices take, which are all that this process has."""
    jax.config.update("jax_num_cpu_devices", count)
    ways = work(lanes, batch, steps)
    return machine.interleave(
        {name: ways.ours(devices=jax.devices()[:count], **options).train for name, options in ways_on(count).items()},
        rounds,
        warmup=1,
    )


def scaling(lanes: int, batch: int, steps: int, rounds: int, markdown: bool) -> None:
    """Prints what each number of devices takes."""
    taken: dict[str, list[float]] = {}
    for _ in range(rounds):
        for count in DEVICES:
            for name, seconds in elsewhere("timed", count, lanes, batch, steps, min(3, rounds)).items():
                taken.setdefault(name, []).append(statistics.median(seconds))
    one = next(iter(taken))
    header, widths = ["", "ms per run", "of the first (quartiles)"], None if markdown else [20, 11, 24]
    print(f"\n### {lanes} runs of {steps} steps of {batch} samples, {rounds} processes each\n")
    print(machine.row(header, widths))
    if markdown:
        print("|" + "---|" * len(header))
    for name, seconds in taken.items():
        ratio = "{1:.2f} ({0:.2f}-{2:.2f})".format(*machine.quartiles(machine.ratios(seconds, taken[one])))
        print(machine.row([name, f"{1e3 * statistics.median(seconds) / lanes:.2f}", ratio], widths))


def elsewhere(function: str, *arguments: int) -> Any:
    """Calls a function of this file in a process of its own."""
    call = f"import json, sweep_devices as s; print(json.dumps(s.{function}{arguments}))"
    done = subprocess.run([sys.executable, "-c", call], cwd=sys.path[0], stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def resident() -> int:
    """How many bytes of memory this process has, on Linux, beside what is read from files, such as libraries."""
    _, present, shared, *_ = map(int, Path("/proc/self/statm").read_text().split())
    return (present - shared) * os.sysconf("SC_PAGE_SIZE")


def grown(lanes: int, batch: int, steps: int) -> tuple[int, int]:
    """By how many bytes this process grows in the first rung of one batch of so many runs, and what was expected."""
    ways = work(lanes, batch, steps)
    device = jax.devices()[0]
    (program,) = ways.points.programs()
    prepared = prepare(ways.trial, program, range(ways.seeds), 1, steps)
    part = begin(prepared, steps, Machine([device], 1, Team()), "vmap", lanes)
    expected = part.engine.needed(steps)
    if device.platform != "cpu":
        before = device.memory_stats()["bytes_in_use"]
        part.advance(0, steps, lambda runs: None, ())
        return device.memory_stats()["peak_bytes_in_use"] - before, expected
    sizes, stopped = [], threading.Event()

    def watch() -> None:
        while not stopped.is_set():
            sizes.append(resident())
            time.sleep(0.0005)

    before = resident()
    watcher = threading.Thread(target=watch)
    watcher.start()
    part.advance(0, steps, lambda runs: None, ())
    stopped.set()
    watcher.join()
    return max(sizes) - before, expected


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--quick", action="store_true", help="few runs and steps; seconds")
    add("--markdown", action="store_true", help="print tables for RESULTS.md")
    chosen = parser.parse_args(arguments)
    quick = chosen.quick
    print(machine.describe("jax", "jaxlib", "optax", "numpy"))
    for batch in (8,) if quick else (8, 128):
        scaling(64 if quick else 256, batch, 5 if quick else 300, 1 if quick else 5, chosen.markdown)
    header, widths = (
        ["runs", "samples", "MB grown", "MB expected", "ratio"],
        None if chosen.markdown else [6, 8, 9, 12, 6],
    )
    print(f"\n### Memory of one batch of runs\n\n{machine.row(header, widths)}")
    if chosen.markdown:
        print("|" + "---|" * len(header))
    for lanes, batch in ((512, 128),) if quick else ((256, 128), (1024, 128), (4096, 128)):
        # In a process of its own, where nothing else has been freed that could be used again.
        found, expected = elsewhere("grown", lanes, batch, 3)
        cells = [f"{found / 1e6:.1f}", f"{expected / 1e6:.1f}", f"{found / expected:.2f}"]
        print(machine.row([str(lanes), str(batch), *cells], widths))


if __name__ == "__main__":
    main()
