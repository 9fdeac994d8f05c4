"""A sweep of a thousand runs from start to result, and what stopping points early saves.

1,024 runs, 256 points x 4 seeds, of a 64-64-10 network on the digits. First as a user would run it: in a process of its
own, imports and compilation included, with what the progress said when a third and two thirds of the work was done.

Then beside successive halving, Hyperband and median stopping, in turn in one process: the time without compiling, what
compiling took the first time, the steps of all runs, and how many points of the full sweep end better than the point
that the rule calls the best.

    python benchmarks/sweep_halving.py [--quick] [--markdown]
"""

import argparse
import functools
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

import jax
import machine
import numpy as np

import momentum_optax as mo
from momentum_optax.problems import digits
from momentum_optax.sweeps import (
    Hyperband,
    MedianStopping,
    Progress,
    SuccessiveHalving,
    SweepResult,
    cross_entropy,
    log,
    one_minus_log,
    sobol,
    supervised,
    sweep,
)
from momentum_optax.sweeps.cores import cpu_count

FULL = "full sweep"
BEST_PART = 0.05
"""The winner of a rule should be among so many of the full sweep's points."""


class Work:
    """The runs."""

    def __init__(self, quick: bool):
        """Few of them if it should be quick."""
        self.steps, self.seeds = (40, 2) if quick else (300, 4)
        self.every = self.steps // 10
        self.points = sobol(16 if quick else 256, learning_rate=log(1e-4, 1.0), beta=one_minus_log(0.0, 0.999))
        self.trial = supervised(
            digits.MLP,
            cross_entropy,
            digits.load(),
            optimizer=lambda hp: mo.heavy_ball(hp["learning_rate"], hp["beta"]),
        )

    def sweep(self, **options: Any) -> SweepResult:
        """The sweep."""
        return sweep(self.trial, self.points, seeds=self.seeds, steps=self.steps, evaluate_every=self.every, **options)

    @property
    def rules(self) -> dict[str, Any]:
        """What stops points early."""
        return {
            "successive halving": SuccessiveHalving(self.every),
            "Hyperband": Hyperband(self.every, self.steps),
            "median stopping": MedianStopping(2 * self.every),
        }


def alone(quick: bool) -> None:
    """The sweep by itself, for `from_start`: prints what it found, and how right the progress was."""
    seen: list[Progress] = []
    result = Work(quick).sweep(progress=seen.append)
    best, end = result.best(), seen[-1]
    print(f"{result.diverged.size} runs, of which {int(result.diverged.sum())} diverged; best: {best.value:.3f}")
    print(f"the sweep took {end.seconds:.1f} s, of which {end.compiling:.1f} s compiling")
    for part in (1 / 3, 2 / 3):
        said = next(p for p in seen if p.lane_steps >= part * p.lane_steps_total)
        left = end.seconds - said.seconds
        print(f"after {part:.0%} of the steps it said {said.eta:.1f} s left, and {left:.1f} s were left")


def from_start(quick: bool) -> None:
    """Runs the sweep in a process of its own, and prints how long that takes."""
    begun = time.perf_counter()
    subprocess.run([sys.executable, __file__, "--alone", *(["--quick"] if quick else [])], check=True)
    print(f"the process took {time.perf_counter() - begun:.1f} s, from start to end")


def better(full: SweepResult, winner: int) -> int:
    """How many points of the full sweep end better than one."""
    values = np.where(full.diverged, -np.inf, full.final("test_accuracy"))
    medians = np.median(values, axis=1)
    return int((medians > medians[winner]).sum())


def compare(quick: bool, markdown: bool) -> None:
    """Prints what the rules save, and what they find."""
    work = Work(quick)
    # Each has a trial of its own, so that each compiles all of its programs.
    sweeps = {n: functools.partial(Work(quick).sweep, pruning=r) for n, r in {FULL: None, **work.rules}.items()}
    results: dict[str, SweepResult] = {}
    compiling: dict[str, float] = {}

    def run(name: str) -> None:
        seen: list[Progress] = []
        results[name] = sweeps[name](progress=seen.append)
        compiling.setdefault(name, seen[-1].compiling)

    runs = {name: lambda n=name: run(n) for name in sweeps}
    times = machine.interleave(runs, 1 if quick else 7, warmup=1)
    header = ["", "s", "of full (quartiles)", "s compiling at first", "steps of full", "points that end better"]
    widths = None if markdown else [20, 7, 20, 21, 14, 22]
    count = results[FULL].diverged.size
    print(f"\n### {count:,} runs of {work.steps} steps of 32 samples\n\n{machine.row(header, widths)}")
    if markdown:
        print("|" + "---|" * len(header))
    for name in sweeps:
        result = results[name]
        ratio = "{1:.2f} ({0:.2f}-{2:.2f})".format(*machine.quartiles(machine.ratios(times[name], times[FULL])))
        worse = better(results[FULL], result.best().index)
        share = f"{worse} of {len(work.points)}{'' if worse <= BEST_PART * len(work.points) else ' (missed)'}"
        steps = f"{result.cost.sum() / results[FULL].cost.sum():.2f}"
        print(
            machine.row(
                [name, f"{statistics.median(times[name]):.2f}", ratio, f"{compiling[name]:.1f}", steps, share], widths
            )
        )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--quick", action="store_true", help="few runs and steps; seconds")
    add("--markdown", action="store_true", help="print tables for RESULTS.md")
    add("--alone", action="store_true", help="only the sweep, as a process of its own runs it")
    chosen = parser.parse_args(arguments)
    if chosen.alone:
        alone(chosen.quick)
        return
    print(machine.describe("jax", "jaxlib", "optax", "numpy"))
    from_start(chosen.quick)
    compare(chosen.quick, chosen.markdown)


if __name__ == "__main__":
    jax.config.update("jax_num_cpu_devices", cpu_count())
    main()
