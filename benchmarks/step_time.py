"""Times one donated update: ours, Optax's, torch's, and what the memory of the machine allows.

    python benchmarks/step_time.py [--quick] [--tree leaf] [--method heavy_ball] [--rounds 21] [--markdown]

One update is `tx.update` and `apply_updates` in one compiled program that may use up the params and the state; the
gradient is given. All that is compared runs in turns in one process, and only medians of ratios within a round count.

The bound is the time in which the bytes that must move would move: each array that the method has to read or to write,
once, over the bandwidth of `a += b` on as many threads as there are cores, measured in the same round.

Compilation, from cold caches, is measured in processor time, which neighbours disturb less. Two thousand leaves of two
thousand shapes take minutes of it per method.
"""

import argparse
import gc
import itertools
import os
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import machine
import numpy as np
import optax

import momentum_optax as mo

# Of the time of the twin: an update, a compilation.
STEP_TARGET, COMPILE_TARGET = 1.03, 1.1

# What `make_step` sets on a CPU; the same for ours and for the twin.
STEP_OPTIONS = {"xla_cpu_copy_insertion_use_region_analysis": True}


class Method(NamedTuple):
    """One row of the benchmark.

    Attributes:
      ours: our optimizer.
      moved: arrays of the params' size that an update must read or write: the gradient once, the params twice, and
        each memory twice, or once where it is read only.
      twin: the same method in Optax, if there is one.
      torch: name of the class in `torch.optim` and its arguments, if there is one.
    """

    ours: optax.GradientTransformation
    moved: int
    twin: optax.GradientTransformation | None = None
    torch: tuple[str, dict[str, Any]] | None = None


_LR = 1e-3
METHODS = {
    "heavy_ball": Method(mo.heavy_ball(_LR, 0.9), 5, optax.sgd(_LR, 0.9), ("SGD", {"momentum": 0.9})),
    "trace": Method(
        optax.chain(mo.trace(0.9), optax.scale(-_LR)), 5, optax.chain(optax.trace(0.9), optax.scale(-_LR))
    ),
    "nesterov": Method(
        mo.nesterov(_LR, 0.9), 5, optax.sgd(_LR, 0.9, nesterov=True), ("SGD", {"momentum": 0.9, "nesterov": True})
    ),
    "ema_momentum": Method(
        mo.ema_momentum(_LR, 0.9, debias=True), 5, optax.chain(optax.ema(0.9), optax.scale(-_LR))
    ),
    "divide (Adam)": Method(
        optax.chain(mo.divide(mo.ema(0.9), by=mo.root_mean_square(0.999)), mo.scale_by_learning_rate(_LR)),
        7, optax.adam(_LR), ("Adam", {}),
    ),
    "qhm": Method(mo.qhm(_LR), 5),
    "aggmo": Method(mo.aggmo(_LR), 7),
    "acc_sgd": Method(mo.acc_sgd(_LR), 5),
    "pid": Method(mo.pid(_LR), 9),
    "pnm": Method(mo.pnm(_LR), 6),  # the average whose turn it is not need not be written
    "compat.torch_sgd": Method(mo.compat.torch_sgd(_LR, 0.9, dampening=0.5), 5),
}  # fmt: skip


def _transformer(layers: int, width: int, vocabulary: int, context: int) -> list[tuple[int, ...]]:
    """The shapes of a decoder-only transformer with biases, 12 leaves a layer and 4 beside."""
    d = width
    norm, dense = [(d,), (d,)], lambda n, m: [(n, m), (m,)]
    layer = [*norm, *dense(d, 3 * d), *dense(d, d), *norm, *dense(d, 4 * d), *dense(4 * d, d)]
    return [(vocabulary, d), (context, d), *(layer * layers), *norm]


def _small(leaves: int, distinct: int) -> list[tuple[int, ...]]:
    """Vectors of 1,000 to 10,000 numbers, of this many distinct sizes."""
    sizes = np.linspace(1_000, 10_000, distinct).astype(int)
    return [(int(sizes[i % distinct]),) for i in range(leaves)]


TREES = {
    "leaf": lambda quick: [(4_000_000 if quick else 50_000_000,)],
    "transformer": lambda quick: _transformer(4, 128, 8_192, 512) if quick else _transformer(12, 512, 22_016, 512),
    "small": lambda quick: _small(100, 5) if quick else _small(2_000, 2_000),
}


class Program(NamedTuple):
    """A compiled update, and what is known of it before it runs.

    Attributes:
      call: `(params, state, gradients) -> (params, state)`; uses up the params and the state.
      compile_s: processor seconds to trace, to lower and to compile, from cold caches.
      temporary: bytes allocated beside arguments and results.
    """

    call: Callable[..., Any]
    compile_s: tuple[float, float, float]
    temporary: int


def compile_update(tx: optax.GradientTransformation, apply: Callable[..., Any], tree: Any, options: dict) -> Program:
    """Compiles one donated update.

    Args:
      tx: the optimizer.
      apply: `(params, updates) -> params`.
      tree: shapes and dtypes of the params.
      options: for the compiler.
    """

    def update(params, state, gradients):
        updates, state = tx.update(gradients, state, params)
        return apply(params, updates), state

    state = jax.eval_shape(tx.init, tree)
    jax.clear_caches()
    gc.collect()
    marks = [time.process_time()]
    traced = jax.jit(update, donate_argnums=(0, 1)).trace(tree, state, tree)
    marks.append(time.process_time())
    lowered = traced.lower()
    marks.append(time.process_time())
    compiled = lowered.compile(options)
    marks.append(time.process_time())
    trace, lower, build = np.diff(marks)
    memory = compiled.memory_analysis()
    return Program(compiled, (trace, lower, build), memory.temp_size_in_bytes if memory else 0)


def stepper(program: Program, tx: optax.GradientTransformation, params: Any, gradients: Any) -> Callable[[], None]:
    """A function without arguments that makes one update of its own copy of the params and waits for it."""
    now = jax.block_until_ready((jax.tree.map(lambda x: x.copy(), params), tx.init(params)))

    def run():
        nonlocal now
        now = jax.block_until_ready(program.call(*now, gradients))

    return run


def torch_steppers(name: str, arguments: dict[str, Any], params: Any, gradients: Any) -> dict[str, Callable]:
    """The same for torch's three implementations, or nothing where torch is not installed."""
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # else torch's idle threads spin into the next one's time
    try:
        import torch
    except ImportError:
        return {}

    def copies(tree):
        return [torch.from_numpy(np.array(x, np.float32)).to(getattr(torch, x.dtype.name)) for x in tree]

    shared, runs = copies(gradients), {}
    for kind, flag in {"plain": {"foreach": False}, "foreach": {"foreach": True}, "fused": {"fused": True}}.items():
        leaves = copies(params)
        for leaf, gradient in zip(leaves, shared, strict=True):
            leaf.requires_grad_().grad = gradient
        runs[f"torch {kind}"] = getattr(torch.optim, name)(leaves, lr=_LR, **arguments, **flag).step
    return runs


def bandwidth_probe(numbers: int) -> Callable[[], None]:
    """A function that moves 12 bytes a number, `a += b` in float32, a part on each core."""
    a, b = np.ones(numbers, np.float32), np.ones(numbers, np.float32)
    marks = np.linspace(0, numbers, machine.cores() + 1).astype(int)
    slices = [slice(i, j) for i, j in itertools.pairwise(marks)]
    pool = ThreadPoolExecutor(len(slices))

    def run():
        list(pool.map(lambda s: np.add(a[s], b[s], out=a[s]), slices))

    return run


class Result(NamedTuple):
    """What is reported of a method on a tree; see `HEADER`. `None` where there is nothing to compare with."""

    method: str
    ours_ms: float
    twin_ms: float | None
    ratio: tuple[float, float, float] | None
    torch_ms: tuple[float, ...]
    bound_ms: float
    over_bound: float
    compile_s: tuple[float, float, float]
    compile_ratio: float | None
    state_bytes: float
    temporary: float


HEADER = (
    "method", "ours ms", "Optax ms", "ours / Optax (quartiles)", "torch plain, foreach, fused ms", "bound ms",
    "x bound", "trace + lower + compile s", "of Optax's", "state bytes a param", "temporary / tree",
)  # fmt: skip


def measure(name: str, shapes: list[tuple[int, ...]], dtype: Any, rounds: int, options: dict, again: float) -> Result:
    """Measures one method on one tree.

    Args:
      name: of the method.
      shapes: of the leaves.
      dtype: of the leaves.
      rounds: how many rounds are timed.
      options: for the compiler.
      again: compilations are repeated, ours and the twin's in turns, until this many seconds are spent on them.
    """
    method = METHODS[name]
    tree = [jax.ShapeDtypeStruct(shape, dtype) for shape in shapes]
    sides = {"ours": (method.ours, mo.apply_updates)}
    if method.twin is not None:
        sides["twin"] = (method.twin, optax.apply_updates)
    built: dict[str, list[Program]] = {side: [] for side in sides}
    start = time.perf_counter()
    while not built["ours"] or (time.perf_counter() - start < again and len(built["ours"]) < 9):
        for side in sorted(sides, reverse=len(built["ours"]) % 2 == 0):  # the twin first, then by turns
            built[side].append(compile_update(*sides[side], tree, options))

    rng = np.random.default_rng(0)
    params = [jnp.asarray(rng.standard_normal(shape, np.float32), dtype) for shape in shapes]
    gradients = [jnp.asarray(rng.standard_normal(shape, np.float32), dtype) for shape in shapes]
    size = sum(p.size for p in params)
    runs = {side: stepper(built[side][0], tx, params, gradients) for side, (tx, _) in sides.items()}
    torch_runs = torch_steppers(*method.torch, params, gradients) if method.torch else {}
    times = machine.interleave(runs | torch_runs | {"probe": bandwidth_probe(size)}, rounds)

    bytes_moved = method.moved * size * np.dtype(dtype).itemsize
    bound = [t * bytes_moved / (12 * size) for t in times["probe"]]
    totals = {side: [sum(p.compile_s) for p in programs] for side, programs in built.items()}
    state = jax.eval_shape(method.ours.init, tree)
    twin = "twin" in sides
    return Result(
        method=name,
        ours_ms=1e3 * statistics.median(times["ours"]),
        twin_ms=1e3 * statistics.median(times["twin"]) if twin else None,
        ratio=machine.quartiles(machine.ratios(times["ours"], times["twin"])) if twin else None,
        torch_ms=tuple(1e3 * statistics.median(times[kind]) for kind in torch_runs),
        bound_ms=1e3 * statistics.median(bound),
        over_bound=statistics.median(machine.ratios(times["ours"], bound)),
        compile_s=tuple(map(statistics.median, zip(*(p.compile_s for p in built["ours"]), strict=True))),
        compile_ratio=statistics.median(machine.ratios(totals["ours"], totals["twin"])) if twin else None,
        state_bytes=sum(s.size * s.dtype.itemsize for s in jax.tree.leaves(state)) / size,
        temporary=built["ours"][0].temporary / (size * np.dtype(dtype).itemsize),
    )


def cells(r: Result) -> list[str]:
    """The result as text, one for each column of `HEADER`."""
    ratio = "" if r.ratio is None else "{1:.3f} ({0:.2f}-{2:.2f})".format(*r.ratio)
    return [
        r.method,
        f"{r.ours_ms:.2f}",
        "" if r.twin_ms is None else f"{r.twin_ms:.2f}",
        ratio,
        ", ".join(f"{ms:.1f}" for ms in r.torch_ms),
        f"{r.bound_ms:.2f}",
        f"{r.over_bound:.2f}",
        f"{sum(r.compile_s):.2f} = " + " + ".join(f"{s:.2f}" for s in r.compile_s),
        "" if r.compile_ratio is None else f"{r.compile_ratio:.2f}",
        f"{r.state_bytes:.2f}",
        f"{r.temporary:.3f}",
    ]


def missed(r: Result) -> list[str]:
    """Which targets a result misses."""
    out = []
    if r.ratio and r.ratio[1] > STEP_TARGET:
        out.append(f"{r.method}: an update takes {r.ratio[1]:.3f} of Optax's time")
    if r.compile_ratio and r.compile_ratio > COMPILE_TARGET:
        out.append(f"{r.method}: compiling takes {r.compile_ratio:.2f} of Optax's time")
    if r.temporary > 0.01:
        out.append(f"{r.method}: allocates {r.temporary:.2f} of the tree's size at every update")
    return out


def line(row: list[str], markdown: bool) -> str:
    """One row of the table."""
    if markdown:
        return "| " + " | ".join(row) + " |"
    widths = (17, 9, 9, 24, 30, 9, 8, 28, 10, 20, 16)
    return " ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="smaller trees, fewer rounds; under a minute")
    parser.add_argument("--tree", action="append", choices=TREES, help="only this tree; may be repeated")
    parser.add_argument("--method", action="append", choices=METHODS, help="only this method; may be repeated")
    parser.add_argument("--rounds", type=int, help="timed rounds (21, or 7 with --quick)")
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"], help="of params and gradients")
    parser.add_argument("--default-options", action="store_true", help="compile without the options of make_step")
    parser.add_argument("--markdown", action="store_true", help="print tables for RESULTS.md")
    chosen = parser.parse_args(arguments)
    options = {} if chosen.default_options or jax.default_backend() != "cpu" else STEP_OPTIONS
    rounds = chosen.rounds or (7 if chosen.quick else 21)
    print(machine.describe("jax", "jaxlib", "optax", "numpy", "torch"))
    print(f"{chosen.dtype}, {rounds} rounds, compiler options {options or 'as they are'}")
    for tree in chosen.tree or TREES:
        shapes = TREES[tree](chosen.quick)
        size = sum(int(np.prod(shape)) for shape in shapes)
        print(f"\n{'### ' if chosen.markdown else ''}{tree}: {size / 1e6:.1f}M numbers in {len(shapes)} leaves, "
              f"{len(set(shapes))} shapes\n")  # fmt: skip
        print(line(list(HEADER), chosen.markdown))
        if chosen.markdown:
            print("|" + "---|" * len(HEADER))
        misses = []
        for name in chosen.method or METHODS:
            result = measure(name, shapes, chosen.dtype, rounds, options, again=0 if chosen.quick else 10)
            misses += missed(result)
            print(line(cells(result), chosen.markdown), flush=True)
        print("\n" + ("Missed: " + "; ".join(misses) + "." if misses else "All targets met."), flush=True)


if __name__ == "__main__":
    sys.exit(main())
