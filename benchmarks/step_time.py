"""Times one donated update: ours, Optax's, torch's, and what the memory of the machine allows.

    python benchmarks/step_time.py [--quick] [--tree leaf] [--method heavy_ball] [--wrappers] [--rounds 21] [--markdown]

One update is `tx.update` and `apply_updates` in one compiled program that may use up the params and the state; the
gradient is given. Ours is what `make_update` compiles, with large leaves in blocks; the same by `jit` alone, with the
compiler option of `make_update`, is timed beside it where that is another program. All that is compared runs in turns
in one process; only medians of ratios within a round count.

The bound is the time in which the bytes that must move would move: each array that the method has to read or to
write, once, over the bandwidth of `a += b` on all cores, measured in the same round.

Compiling, from cold caches, is measured in processor time, which neighbours disturb less. The 2,000 leaves take
minutes of it for each method.
"""

import argparse
import gc
import math
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import machine
import numpy as np
import optax
from methods import AROUND_ADAM, METHODS
from torch_updates import torch_steppers

import momentum_optax as mo
from momentum_optax._compiled import compiler_options
from momentum_optax.blocks import in_blocks

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
    "few": lambda quick: [(512, 512)] * 4 if quick else [(1_024, 1_024)] * 8,
    "small": lambda quick: small(100, 5) if quick else small(2_000, 2_000),
}


class Program(NamedTuple):
    """A compiled update, and what is known of it before it runs.

    Attributes:
      call: `(params, state, gradients) -> (params, state)`; uses up the params and the state.
      compile_s: processor seconds to trace, to lower and to compile, from cold caches.
      temporary: bytes allocated beside arguments and results.
      loops: how many leaves are computed in blocks.
    """

    call: Callable[..., Any]
    compile_s: tuple[float, float, float]
    temporary: int
    loops: int = 0


def compile_update(
    tx: Any,
    apply: Callable[..., Any],
    tree: Any,
    options: dict[str, Any],
    *,
    asks_previous: bool = False,
    blocks: bool = False,
) -> Program:
    """Compiles one donated update of params with the shapes and dtypes of the tree.

    Where it asks for the previous gradient too, the gradients are a pair of trees. In blocks, it is what `make_update`
    compiles.
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
    function = in_blocks(update, 2) if blocks else update
    traced = jax.jit(function, donate_argnums=(0, 1), keep_unused=True).trace(tree, state, gradients)
    marks.append(time.process_time())
    lowered = traced.lower()
    marks.append(time.process_time())
    compiled = lowered.compile(options)
    marks.append(time.process_time())
    trace, lower, build = np.diff(marks)
    memory = compiled.memory_analysis()
    call = (lambda *arguments: compiled(*arguments)[0]) if blocks else compiled
    loops = lowered.as_text().count("stablehlo.while") if blocks else 0
    return Program(call, (trace, lower, build), memory.temp_size_in_bytes if memory else 0, loops)


def stepper(program: Program, tx: Any, params: Any, gradients: Any) -> Callable[[], None]:
    """A function without arguments that makes one update of its own copy of the params and waits for it."""
    now = jax.block_until_ready((jax.tree.map(lambda x: x.copy(), params), tx.init(params)))

    def run():
        nonlocal now
        now = jax.block_until_ready(program.call(*now, gradients))

    return run


class Side(NamedTuple):
    """What is reported of one program."""

    ms: float
    of_twin: tuple[float, float, float] | None
    over_bound: float
    compile_s: tuple[float, float, float]
    compile_of_twin: float | None
    temporary: float


class Result(NamedTuple):
    """What is reported of a method on a tree; see `HEADER`. `None` where there is nothing to compare with.

    Attributes:
      ours: with large leaves in blocks.
      plain: by `jit` alone; `None` where that is the same program.
    """

    method: str
    ours: Side
    plain: Side | None
    twin_ms: float | None
    torch_ms: tuple[float, ...]
    state_bytes: float


HEADER = {  # and the widths of the columns
    "method": 17, "ours ms": 8, "jit ms": 8, "Optax ms": 9, "ours / Optax (quartiles)": 24, "jit / Optax": 11,
    "torch plain, foreach, fused ms": 30, "x bound": 8, "jit x bound": 11, "compile s": 10, "of Optax's": 10,
    "jit of Optax's": 14, "state bytes a param": 20, "temporary / tree": 16, "jit temporary": 14,
}  # fmt: skip


def measure(name: str, shapes: Shapes, dtype: Any, rounds: int, options: dict, again: float) -> Result:
    """Measures one method on one tree; compiles it again, and the others in turns, for `again` seconds."""
    method = (METHODS | AROUND_ADAM)[name]
    tree = [jax.ShapeDtypeStruct(shape, dtype) for shape in shapes]
    sides: dict[str, tuple[Any, Callable[..., Any], bool]] = {"ours": (method.ours, mo.apply_updates, True)}
    sides["plain"] = method.ours, mo.apply_updates, False
    if method.twin is not None:
        sides["twin"] = method.twin, optax.apply_updates, False
    built: dict[str, list[Program]] = {side: [] for side in sides}
    start = time.perf_counter()
    while not built["ours"] or (time.perf_counter() - start < again and len(built["ours"]) < 9):
        for side in sorted(sides, reverse=len(built["ours"]) % 2 == 0):  # the twin first, then by turns
            tx, apply, blocks = sides[side]
            program = compile_update(tx, apply, tree, options, asks_previous=method.asks_previous, blocks=blocks)
            built[side].append(program)
    if not built["ours"][0].loops:
        sides["ours"], built["ours"] = sides.pop("plain"), built.pop("plain")

    rng = np.random.default_rng(0)
    params = [jnp.asarray(rng.standard_normal(shape, np.float32), dtype) for shape in shapes]
    gradients = [jnp.asarray(rng.standard_normal(shape, np.float32), dtype) for shape in shapes]
    size = sum(p.size for p in params)
    given: Any = gradients
    if method.asks_previous:
        given = gradients, [g + jnp.asarray(rng.standard_normal(g.shape, np.float32), dtype) for g in gradients]
    runs = {side: stepper(built[side][0], tx, params, given) for side, (tx, *_) in sides.items()}
    torch_runs = torch_steppers(*method.torch, params, gradients) if method.torch else {}
    times = machine.interleave(runs | torch_runs | {"probe": machine.bandwidth_probe(size)}, rounds)

    bytes_moved = method.moved * size * np.dtype(dtype).itemsize
    bound = [t * bytes_moved / (12 * size) for t in times["probe"]]
    totals = {side: [sum(p.compile_s) for p in programs] for side, programs in built.items()}

    def side(kind: str) -> Side:
        twin = "twin" in sides
        return Side(
            ms=1e3 * statistics.median(times[kind]),
            of_twin=machine.quartiles(machine.ratios(times[kind], times["twin"])) if twin else None,
            over_bound=statistics.median(machine.ratios(times[kind], bound)),
            compile_s=tuple(map(statistics.median, zip(*(p.compile_s for p in built[kind]), strict=True))),
            compile_of_twin=statistics.median(machine.ratios(totals[kind], totals["twin"])) if twin else None,
            temporary=built[kind][0].temporary / (size * np.dtype(dtype).itemsize),
        )

    return Result(
        method=name,
        ours=side("ours"),
        plain=side("plain") if "plain" in sides else None,
        twin_ms=1e3 * statistics.median(times["twin"]) if "twin" in sides else None,
        torch_ms=tuple(1e3 * statistics.median(times[kind]) for kind in torch_runs),
        state_bytes=sum(s.size * s.dtype.itemsize for s in jax.tree.leaves(jax.eval_shape(method.ours.init, tree)))
        / size,
    )


def cells(r: Result) -> list[str]:
    """The result as text, one for each column of `HEADER`; `=` where `jit` alone is the same program."""

    def plain(of: Callable[[Side], str]) -> str:
        return "=" if r.plain is None else of(r.plain)

    def number(x: float | None) -> str:
        return "" if x is None else f"{x:.2f}"

    def share(x: float) -> str:
        return "0" if x < 5e-4 else f"{x:.3f}"

    return [
        r.method,
        number(r.ours.ms),
        plain(lambda side: number(side.ms)),
        number(r.twin_ms),
        "" if r.ours.of_twin is None else "{1:.3f} ({0:.2f}-{2:.2f})".format(*r.ours.of_twin),
        plain(lambda side: "" if side.of_twin is None else f"{side.of_twin[1]:.3f}"),
        ", ".join(f"{ms:.1f}" for ms in r.torch_ms),
        number(r.ours.over_bound),
        plain(lambda side: number(side.over_bound)),
        number(sum(r.ours.compile_s)),
        number(r.ours.compile_of_twin),
        plain(lambda side: number(side.compile_of_twin)),
        f"{r.state_bytes:.3g}",
        share(r.ours.temporary),
        plain(lambda side: share(side.temporary)),
    ]


def missed(r: Result) -> list[str]:
    """Which targets a result misses."""
    out, plain = [], r.plain or r.ours
    if r.ours.of_twin and r.ours.of_twin[1] > STEP_TARGET:
        out.append(f"{r.method}: an update takes {r.ours.of_twin[1]:.3f} of Optax's time")
    if plain.compile_of_twin and plain.compile_of_twin > COMPILE_TARGET:
        out.append(f"{r.method}: compiling by `jit` takes {plain.compile_of_twin:.2f} of Optax's time")
    if r.ours.temporary > 0.01:
        out.append(f"{r.method}: allocates {r.ours.temporary:.2f} of the tree's size at every update")
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--quick", action="store_true", help="smaller trees, fewer rounds; under a minute")
    add("--tree", action="append", choices=TREES, help="only this tree; may be repeated")
    add("--method", action="append", choices=METHODS, help="only this method; may be repeated")
    add("--wrappers", action="store_true", help="wrappers around Adam instead of methods")
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
        for name in AROUND_ADAM if chosen.wrappers else chosen.method or METHODS:
            result = measure(name, shapes, chosen.dtype, rounds, options, again)
            misses += missed(result)
            print(machine.row(cells(result), widths), flush=True)
        print(f"\nMissed: {'; '.join(misses)}." if misses else "\nAll targets met.", flush=True)


if __name__ == "__main__":
    main()
