"""Times one beta for each layer: beside one beta for all, and beside Optax's ways of saying the same.

    python benchmarks/layerwise_compile.py [--quick] [--leaves 50] [--size 65536] [--rounds 21] [--compiles 5]

All leaves have one shape and, but for the groups, a beta of their own. What is compared:

    one beta             heavy_ball(learning_rate, 0.9)
    layerwise            heavy_ball(learning_rate, layerwise({path: number}))
    layerwise, 4 groups  heavy_ball(learning_rate, layerwise({regex: number})), by the last digit of the path
    tree of numbers      heavy_ball(learning_rate, {path: number})
    by_depth, schedules  heavy_ball(learning_rate, by_depth(a schedule for each depth))
    layerwise_chain      a heavy_ball for each leaf
    optax.sgd, one beta  optax.sgd(learning_rate, 0.9)
    optax.partition      an optax.sgd for each leaf
    optax.masked chain   an optax.masked(optax.sgd) for each leaf

An update is `tx.update` and `apply_updates` in one donated program. Compiling starts from cold caches and is measured
in processor time; updates in time by the clock. All of them run in turns, and what counts is the median of the ratios
to `one beta` within a round.
"""

import argparse
import re
import statistics
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import machine
import numpy as np
import optax
from step_time import compile_update, stepper

import momentum_optax as mo

RATE, BASE = 1e-3, "one beta"
Sides = dict[str, tuple[optax.GradientTransformation, Callable[..., Any]]]


def sides(paths: list[str]) -> Sides:
    """What is compared, and how each moves the params."""
    betas = dict(zip(paths, np.linspace(0.5, 0.95, len(paths)).tolist(), strict=True))
    quarters = {
        re.compile(f"[{d}]$"): beta for d, beta in zip(("048", "159", "26", "37"), (0.6, 0.7, 0.8, 0.9), strict=True)
    }
    separate = {path: optax.sgd(RATE, beta) for path, beta in betas.items()}
    masked = [optax.masked(tx, {path: path == own for path in paths}) for own, tx in separate.items()]
    ours = {
        BASE: mo.heavy_ball(RATE, 0.9),
        "layerwise": mo.heavy_ball(RATE, mo.layerwise(betas)),
        "layerwise, 4 groups": mo.heavy_ball(RATE, mo.layerwise(quarters)),
        "tree of numbers": mo.heavy_ball(RATE, betas),
        "by_depth, schedules": mo.heavy_ball(RATE, mo.by_depth(lambda at: optax.linear_schedule(at / 2, 0.9, 1000))),
        "layerwise_chain": mo.layerwise_chain({path: mo.heavy_ball(RATE, beta) for path, beta in betas.items()}),
    }
    twins = {
        "optax.sgd, one beta": optax.sgd(RATE, 0.9),
        "optax.partition": optax.partition(separate, {path: path for path in paths}),
        "optax.masked chain": optax.chain(*masked),
    }
    return {name: (tx, mo.apply_updates) for name, tx in ours.items()} | {
        name: (tx, optax.apply_updates) for name, tx in twins.items()
    }


def kernels(text: str) -> int:
    """How many different fused computations a compiled program has, by what they do."""
    bodies = re.findall(r"^%?[\w.]*fused_computation[^\n]*\{\n(.*?)^\}", text, re.MULTILINE | re.DOTALL)
    return len({re.sub(r"(%?[\w.-]*\d[\w.-]* = |%[\w.-]+|metadata=\{[^}]*\})", "", body) for body in bodies})


def measure(leaves: int, size: int, rounds: int, compiles: int) -> list[list[str]]:
    """A row for each side."""
    paths = [f"layer_{i:03}" for i in range(leaves)]
    tree = {path: jax.ShapeDtypeStruct((size,), jnp.float32) for path in paths}
    compared = sides(paths)
    jax.eval_shape(compared["by_depth, schedules"][0].init, tree)  # tries the schedules, once for all
    built: dict[str, list[Any]] = {name: [] for name in compared}
    for i in range(compiles):
        for name, side in list(compared.items())[:: 1 if i % 2 else -1]:
            built[name].append(compile_update(*side, tree, {}))
    rng = np.random.default_rng(0)
    params, gradients = ({path: jnp.asarray(rng.standard_normal(size, np.float32)) for path in paths} for _ in range(2))
    runs = {name: stepper(built[name][0], tx, params, gradients) for name, (tx, _) in compared.items()}
    times = machine.interleave(runs, rounds)
    rows = []
    for name in compared:
        total, base = ([sum(program.compile_s) for program in built[side]] for side in (name, BASE))
        step = machine.quartiles(machine.ratios(times[name], times[BASE]))
        rows.append([
            name,
            f"{statistics.median(total):.2f}",
            f"{statistics.median(machine.ratios(total, base)):.2f}",
            f"{1e3 * statistics.median(times[name]):.2f}",
            f"{step[1]:.2f} ({step[0]:.2f}-{step[2]:.2f})",
            str(kernels(built[name][0].call.as_text())),
        ])  # fmt: skip
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--quick", action="store_true", help="fewer leaves and rounds")
    add("--leaves", type=int, action="append", help="number of leaves; may be repeated (50 and 148)")
    add("--size", type=int, default=65_536, help="numbers in a leaf")
    add("--rounds", type=int, help="timed rounds (21, or 7 with --quick)")
    add("--compiles", type=int, help="how often each is compiled (5, or 2 with --quick)")
    chosen = parser.parse_args()
    rounds = chosen.rounds or (7 if chosen.quick else 21)
    compiles = chosen.compiles or (2 if chosen.quick else 5)
    print(machine.describe("jax", "jaxlib", "optax", "numpy"))
    print(f"{chosen.size} numbers a leaf, {rounds} rounds, compiled {compiles} times")
    for leaves in chosen.leaves or ([20] if chosen.quick else [50, 148]):
        print(f"\n### {leaves} leaves of one shape, {leaves} betas\n")
        header = ["", "compile s", "of one beta", "update ms", "of one beta (quartiles)", "kernels"]
        print(machine.row(header) + "\n" + "|" + "---|" * len(header))
        for cells in measure(leaves, chosen.size, rounds, compiles):
            print(machine.row(cells), flush=True)


if __name__ == "__main__":
    main()
