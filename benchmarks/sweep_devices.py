"""What a sweep makes of several devices, and whether it takes the memory that the compiler says.

First 256 runs of the network of `sweep_speed` on one device, on one with two threads, on two and on eight, all in turn
in one process that has eight CPU devices. More devices than cores share the cores: what they gain is that no core
waits, what they cost is that each batch is cut into smaller pieces.

Then the memory, each time in a process of its own: how much it grows in the first rung of a batch of so many runs,
beside what the compiler says that the rung needs.

    python benchmarks/sweep_devices.py [--quick] [--markdown]
"""

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import jax
import machine
from sweep_speed import apply, images, init
from sweep_ways import Ways, compare, points, show

from momentum_optax.sweeps.engine.machine import Machine
from momentum_optax.sweeps.engine.part import begin
from momentum_optax.sweeps.engine.team import Team

DEVICES = 8


def work(lanes: int, batch: int, steps: int) -> Ways:
    """So many runs of the small network."""
    seeds = 8
    return Ways(init, apply, images(), points(lanes // seeds), seeds, steps, batch)


def scaling(lanes: int, batch: int, steps: int, rounds: int, markdown: bool) -> None:
    """Prints what each number of devices takes."""
    ways, cores = work(lanes, batch, steps), machine.cores()
    one = "1 device, 1 thread"
    found = {
        one: ways.ours(devices=jax.devices()[:1], threads=1),
        f"1 device, {cores} threads": ways.ours(devices=jax.devices()[:1], threads=cores),
        **{f"{n} devices": ways.ours(devices=jax.devices()[:n]) for n in (2, DEVICES)},
    }
    print(f"\n### {lanes} runs of {steps} steps of {batch} samples, {rounds} rounds\n")
    show(compare(found, one, rounds), markdown, one)


def resident() -> int:
    """How many bytes of memory this process has, on Linux."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def grown(lanes: int, batch: int, steps: int) -> tuple[int, int]:
    """By how many bytes this process grows in the first rung of one batch of so many runs, and what was expected."""
    ways = work(lanes, batch, steps)
    device = jax.devices()[0]
    (program,) = ways.points.programs()
    part = begin(ways.trial, program, range(ways.seeds), 1, steps, steps, Machine([device], 1, Team()), "vmap", lanes)
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


def memory(lanes: int, batch: int, steps: int) -> dict[str, int]:
    """The same in a process of its own, where nothing else has been freed that could be used again."""
    call = f"import json, sweep_devices as s; print(json.dumps(s.grown({lanes}, {batch}, {steps})))"
    done = subprocess.run([sys.executable, "-c", call], cwd=sys.path[0], capture_output=True, text=True, check=True)
    found, expected = json.loads(done.stdout.splitlines()[-1])
    return {"grown": found, "expected": expected}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--quick", action="store_true", help="few runs and steps; seconds")
    add("--markdown", action="store_true", help="print tables for RESULTS.md")
    chosen = parser.parse_args(arguments)
    quick = chosen.quick
    print(machine.describe("jax", "jaxlib", "optax", "numpy"))
    for batch in (8,) if quick else (8, 128):
        scaling(64 if quick else 256, batch, 5 if quick else 300, 1 if quick else 7, chosen.markdown)
    header, widths = (
        ["runs", "samples", "MB grown", "MB expected", "ratio"],
        None if chosen.markdown else [6, 8, 9, 12, 6],
    )
    print(f"\n### Memory of one batch of runs\n\n{machine.row(header, widths)}")
    if chosen.markdown:
        print("|" + "---|" * len(header))
    for lanes, batch in ((512, 128),) if quick else ((256, 128), (1024, 128), (4096, 128)):
        found = memory(lanes, batch, steps=3)
        cells = [f"{found[name] / 1e6:.1f}" for name in ("grown", "expected")]
        ratio = f"{found['grown'] / found['expected']:.2f}"
        print(machine.row([str(lanes), str(batch), *cells, ratio], widths))


if __name__ == "__main__":
    jax.config.update("jax_num_cpu_devices", DEVICES)
    main()
