"""Times one donated step of Muon: ours leaf by leaf and in stacks, Optax's, torch's.

    python benchmarks/muon.py [--quick] [--rounds 7] [--dtype bfloat16] [--markdown]

The matrices are those of the transformer of `step_time`, its embeddings among them, as they are for Optax: all of two
axes. One step is `tx.update` and `apply_updates` in one compiled program that may use up the params and the state; the
gradient is given. torch multiplies in bfloat16, always; the others in float32, if not told otherwise.

All run in turns in one process; only medians of ratios within a round count. Compiling is measured in processor time
from cold caches; a fusion is one small kernel that the compiler wrote, products are calls of a library.
"""

import argparse
import statistics
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import machine
import numpy as np
import optax
from methods import LR
from optax.contrib import muon as optax_muon
from step_time import TREES, Program, Shapes, compile_update, stepper

import momentum_optax as mo
from momentum_optax._compiled import compiler_options

# Of Optax's: a step on a CPU, a compilation, the memory allocated beside arguments and results.
TARGETS = {"step": 0.6, "compile": 0.5, "temporary": 0.33}
TWIN = "Optax"


def transformations(ns_dtype: str | None) -> dict[str, tuple[Any, Callable[..., Any]]]:
    """What is compared, each with the function that applies its updates; the same method but for rounding."""

    def ours(strategy: str):
        return mo.muon(LR, exclude=(), strategy=strategy, ns_dtype=ns_dtype), mo.apply_updates  # type: ignore[arg-type]

    return {
        "ours, leaf by leaf": ours("leaf"),
        "ours, in stacks": ours("stacked"),
        TWIN: (optax_muon(LR), optax.apply_updates),
    }


def torch_stepper(params: Any, gradients: Any) -> dict[str, Callable[[], None]]:
    """The step of torch for the same matrices, or nothing where torch is not installed."""
    try:
        import torch
    except ImportError:
        return {}
    leaves = [torch.from_numpy(np.array(p)).requires_grad_() for p in params]
    for leaf, gradient in zip(leaves, gradients, strict=True):
        leaf.grad = torch.from_numpy(np.array(gradient))
    return {"torch (bfloat16)": torch.optim.Muon(leaves, lr=LR, weight_decay=0.0).step}


class Result(NamedTuple):
    """What is reported of one of them; see `HEADER`. Ratios are to Optax, with their quartiles."""

    name: str
    step_ms: float
    ratio: tuple[float, float, float]
    compile_s: float | None
    compile_ratio: float | None
    temporary: int | None
    temporary_ratio: float | None
    fusions: int | None


HEADER = {
    "method": 20, "step ms": 9, "of Optax's (quartiles)": 24, "compile s": 10, "of Optax's": 11,
    "temporaries MB": 15, "of Optax's ": 11, "fusions": 8,
}  # fmt: skip


def measure(shapes: Shapes, rounds: int, ns_dtype: str | None) -> list[Result]:
    """Times all of them on matrices of these shapes."""
    tree = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    sides = transformations(ns_dtype)
    built: dict[str, list[Program]] = {name: [] for name in sides}
    for turn in range(3):
        for name in sorted(sides, reverse=turn % 2 == 0):
            built[name].append(compile_update(*sides[name], tree, compiler_options()))
    programs = {name: several[0] for name, several in built.items()}
    rng = np.random.default_rng(0)
    params, gradients = ([jnp.asarray(rng.standard_normal(s, np.float32)) for s in shapes] for _ in range(2))
    runs = {name: stepper(programs[name], tx, params, gradients) for name, (tx, _) in sides.items()}
    times = machine.interleave(runs | torch_stepper(params, gradients), rounds, warmup=1)

    seconds = {name: statistics.median(sum(p.compile_s) for p in several) for name, several in built.items()}
    results = []
    for name, taken in times.items():
        program = programs.get(name)
        results.append(
            Result(
                name=name,
                step_ms=1e3 * statistics.median(taken),
                ratio=machine.quartiles(machine.ratios(taken, times[TWIN])),
                compile_s=seconds.get(name),
                compile_ratio=seconds[name] / seconds[TWIN] if program else None,
                temporary=program.temporary if program else None,
                temporary_ratio=program.temporary / programs[TWIN].temporary if program else None,
                fusions=program.call.as_text().count(" fusion(") if program else None,  # type: ignore[attr-defined]
            )
        )
    return results


def cells(r: Result) -> list[str]:
    """The result as text, one for each column of `HEADER`."""

    def shown(value: float | None, form: str) -> str:
        return "" if value is None else format(value, form)

    return [
        r.name,
        f"{r.step_ms:.0f}",
        "{1:.2f} ({0:.2f}-{2:.2f})".format(*r.ratio),
        shown(r.compile_s, ".2f"),
        shown(r.compile_ratio, ".2f"),
        shown(None if r.temporary is None else r.temporary / 1e6, ".0f"),
        shown(r.temporary_ratio, ".2f"),
        shown(r.fusions, "d"),
    ]


def missed(r: Result) -> list[str]:
    """Which targets a result of ours misses."""
    reached = {"step": r.ratio[1], "compile": r.compile_ratio, "temporary": r.temporary_ratio}
    return [f"{r.name}: {what} {value:.2f}" for what, value in reached.items() if value and value > TARGETS[what]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--quick", action="store_true", help="a smaller model, fewer rounds; under a minute")
    add("--rounds", type=int, help="timed rounds (7, or 3 with --quick)")
    add("--dtype", choices=["float32", "bfloat16"], help="in which ours multiplies (float32)")
    add("--markdown", action="store_true", help="print tables for RESULTS.md")
    chosen = parser.parse_args()
    shapes = [shape for shape in TREES["transformer"](chosen.quick) if len(shape) == 2]
    rounds = chosen.rounds or (3 if chosen.quick else 7)
    widths = None if chosen.markdown else list(HEADER.values())
    print(machine.describe("jax", "jaxlib", "optax", "numpy", "torch"))
    numbers = sum(m * n for m, n in shapes) / 1e6
    print(f"\n### Muon: {numbers:.1f}M numbers, {len(shapes)} matrices, {len(set(shapes))} shapes, {rounds} rounds\n")
    print(machine.row(list(HEADER), widths))
    if chosen.markdown:
        print("|" + "---|" * len(HEADER))
    results = measure(shapes, rounds, chosen.dtype)
    for result in results:
        print(machine.row(cells(result), widths))
    misses = missed(results[0])  # of the strategy for a CPU
    print(f"\nMissed: {'; '.join(misses)}." if misses else "\nAll targets met.")


if __name__ == "__main__":
    main()
