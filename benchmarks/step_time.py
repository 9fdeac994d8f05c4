"""Times one donated update: ours, Optax's, torch's, and what the memory of the machine allows.

    python benchmarks/step_time.py [--quick] [--tree leaf] [--method heavy_ball] [--rounds 21] [--markdown]

One update is `tx.update` and `apply_updates` in one compiled program that may use up the params and the state; the
gradient is given. All that is compared runs in turns in one process; only medians of ratios within a round count.

The bound is the time in which the bytes that must move would move: each array that the method has to read or to
write, once, over the bandwidth of `a += b` on all cores, measured in the same round.

Compiling, from cold caches, is measured in processor time, which neighbours disturb less. The 2,000 leaves take
minutes of it for each method.
"""

import argparse
import gc
import inspect
import math
import os
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import machine
import numpy as np
import optax
from methods import LR, METHODS

import momentum_optax as mo
from momentum_optax._compiled import compiler_options

# Of the time of the twin: an update, a compilation.
STEP_TARGET, COMPILE_TARGET = 1.03, 1.1


Shapes = list[tuple[int, ...]]


def _transformer(layers: int, d: int, vocabulary: int) -> Shapes:
    """The shapes of a decoder-only transformer of width `d` with biases, 12 leaves a layer and 4 beside."""
    norm, dense = [(d,), (d,)], lambda n, m: [(n, m), (m,)]
    layer = [*norm, *dense(d, 3 * d), *dense(d, d), *norm, *dense(d, 4 * d), *dense(4 * d, d)]
    return [(vocabulary, d), (512, d), *(layer * layers), *norm]


def small(leaves: int, distinct: int) -> Shapes:
    """Vectors of 1,000 to 10,000 numbers, of this many distinct sizes."""
    sizes = np.linspace(1_000, 10_000, distinct).astype(int)
    return [(int(sizes[i % distinct]),) for i in range(leaves)]


TREES = {
    "leaf": lambda quick: [(4_000_000 if quick else 50_000_000,)],
    "transformer": lambda quick: _transformer(4, 128, 8_192) if quick else _transformer(12, 512, 22_016),
    "small": lambda quick: small(100, 5) if quick else small(2_000, 2_000),
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


def compile_update(
    tx: Any, apply: Callable[..., Any], tree: Any, options: dict[str, Any], *, asks_previous: bool = False
) -> Program:
    """Compiles one donated update of params with the shapes and dtypes of the tree.

    Where it asks for the previous gradient too, the gradients are a pair of trees.
    """

    def update(params, state, gradients):
        gradients, extra = (gradients[0], {"previous_gradient": gradients[1]}) if asks_previous else (gradients, {})
        updates, state = tx.update(gradients, state, params, **extra)
        return apply(params, updates), state

    state = jax.eval_shape(tx.init, tree)
    jax.clear_caches()
    gc.collect()
    marks = [time.process_time()]
    gradients = (tree, tree) if asks_previous else tree
    # What is only overwritten is given back as well, or it would be found anew at every update.
    traced = jax.jit(update, donate_argnums=(0, 1), keep_unused=True).trace(tree, state, gradients)
    marks.append(time.process_time())
    lowered = traced.lower()
    marks.append(time.process_time())
    compiled = lowered.compile(options)
    marks.append(time.process_time())
    trace, lower, build = np.diff(marks)
    memory = compiled.memory_analysis()
    return Program(compiled, (trace, lower, build), memory.temp_size_in_bytes if memory else 0)


def stepper(program: Program, tx: Any, params: Any, gradients: Any) -> Callable[[], None]:
    """A function without arguments that makes one update of its own copy of the params and waits for it."""
    now = jax.block_until_ready((jax.tree.map(lambda x: x.copy(), params), tx.init(params)))

    def run():
        nonlocal now
        now = jax.block_until_ready(program.call(*now, gradients))

    return run


def torch_steppers(name: str, arguments: dict[str, Any], params: Any, gradients: Any) -> dict[str, Callable]:
    """The same for torch's three implementations, or nothing where torch is not installed."""
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # or torch's idle threads spin into the next one's time
    try:
        import torch
    except ImportError:
        return {}

    def copies(tree):
        return [torch.from_numpy(np.array(x, np.float32)).to(getattr(torch, x.dtype.name)) for x in tree]

    shared, runs, optimizer = copies(gradients), {}, getattr(torch.optim, name)
    kinds = {"plain": {"foreach": False}, "foreach": {"foreach": True}, "fused": {"fused": True}}
    for kind, flag in kinds.items():
        if not flag.keys() <= inspect.signature(optimizer).parameters.keys():
            continue  # not every optimizer is fused
        leaves = copies(params)
        for leaf, gradient in zip(leaves, shared, strict=True):
            leaf.requires_grad_().grad = gradient
        runs[f"torch {kind}"] = optimizer(leaves, lr=LR, **arguments, **flag).step
    return runs


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


HEADER = {  # and the widths of the columns
    "method": 17, "ours ms": 8, "Optax ms": 9, "ours / Optax (quartiles)": 24, "torch plain, foreach, fused ms": 30,
    "bound ms": 9, "x bound": 8, "trace + lower + compile s": 28, "of Optax's": 10, "state bytes a param": 20,
    "temporary / tree": 16,
}  # fmt: skip


def measure(name: str, shapes: Shapes, dtype: Any, rounds: int, options: dict, again: float) -> Result:
    """Measures one method on one tree; compiles it again, and the twin in turns, for `again` seconds."""
    method = METHODS[name]
    tree = [jax.ShapeDtypeStruct(shape, dtype) for shape in shapes]
    sides = {"ours": (method.ours, mo.apply_updates)}
    if method.twin is not None:
        sides["twin"] = (method.twin, optax.apply_updates)
    built: dict[str, list[Program]] = {side: [] for side in sides}
    start = time.perf_counter()
    while not built["ours"] or (time.perf_counter() - start < again and len(built["ours"]) < 9):
        for side in sorted(sides, reverse=len(built["ours"]) % 2 == 0):  # the twin first, then by turns
            built[side].append(compile_update(*sides[side], tree, options, asks_previous=method.asks_previous))

    rng = np.random.default_rng(0)
    params = [jnp.asarray(rng.standard_normal(shape, np.float32), dtype) for shape in shapes]
    gradients = [jnp.asarray(rng.standard_normal(shape, np.float32), dtype) for shape in shapes]
    size = sum(p.size for p in params)
    given: Any = gradients
    if method.asks_previous:
        given = gradients, [g + jnp.asarray(rng.standard_normal(g.shape, np.float32), dtype) for g in gradients]
    runs = {side: stepper(built[side][0], tx, params, given) for side, (tx, _) in sides.items()}
    torch_runs = torch_steppers(*method.torch, params, gradients) if method.torch else {}
    times = machine.interleave(runs | torch_runs | {"probe": machine.bandwidth_probe(size)}, rounds)

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--quick", action="store_true", help="smaller trees, fewer rounds; under a minute")
    add("--tree", action="append", choices=TREES, help="only this tree; may be repeated")
    add("--method", action="append", choices=METHODS, help="only this method; may be repeated")
    add("--rounds", type=int, help="timed rounds (21, or 7 with --quick)")
    add("--compile-seconds", type=float, help="how long each is compiled again and again (10, or 0 with --quick)")
    add("--dtype", default="float32", choices=["float32", "bfloat16"], help="of params and gradients")
    add("--default-options", action="store_true", help="compile without the options of make_step")
    add("--markdown", action="store_true", help="print tables for RESULTS.md")
    chosen = parser.parse_args()
    # What `make_step` sets; the same for ours and for the twin.
    options = {} if chosen.default_options else compiler_options()
    rounds = chosen.rounds or (7 if chosen.quick else 21)
    again = (0 if chosen.quick else 10) if chosen.compile_seconds is None else chosen.compile_seconds
    widths = None if chosen.markdown else list(HEADER.values())
    print(machine.describe("jax", "jaxlib", "optax", "numpy", "torch"))
    print(f"{chosen.dtype}, {rounds} rounds, compiler options: {', '.join(options) or 'none'}")
    for tree in chosen.tree or TREES:
        shapes = TREES[tree](chosen.quick)
        millions = sum(math.prod(shape) for shape in shapes) / 1e6
        print(f"\n### {tree}: {millions:.1f}M numbers, {len(shapes)} leaves, {len(set(shapes))} shapes\n")
        print(machine.row(list(HEADER), widths))
        if chosen.markdown:
            print("|" + "---|" * len(HEADER))
        misses = []
        for name in chosen.method or METHODS:
            result = measure(name, shapes, chosen.dtype, rounds, options, again)
            misses += missed(result)
            print(machine.row(cells(result), widths), flush=True)
        print(f"\nMissed: {'; '.join(misses)}." if misses else "\nAll targets met.", flush=True)


if __name__ == "__main__":
    main()
