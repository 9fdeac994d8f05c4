"""What `track` costs: time in percent of a training step, and memory.

    python benchmarks/track_cost.py [--quick] [--tokens 1024] [--rounds 21] [--markdown]

The same program with and without `track` runs in turns in one process, donated; only medians of ratios within a round
count. A training step is loss, gradient, update and application:

- `digits`: an MLP 64-64-10 on a batch of 128, as one call for each step, 100 steps in one scan, and the same of 32 runs
  together, as in a sweep;
- `transformer`: a decoder of 50 million numbers on a batch of tokens;
- `update only`: the same tree, but the gradient is given. Nobody trains so; it is what large batches hide.
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
import step_time

import momentum_optax as mo
from momentum_optax import track
from momentum_optax._compiled import compiler_options

TARGET = 5.0  # percent of a training step
METHODS = {"heavy_ball": mo.heavy_ball(1e-3, 0.9), "optax.adam": optax.adam(1e-3)}
VARIANTS: dict[str, Callable[[Any], Any]] = {
    "plain": lambda tx: tx,
    "whole tree": track,
    "two groups": lambda tx: track(tx, groups=["0"]),  # the first leaf, and the rest
}


def mlp_loss(params, batch):
    images, labels = batch
    logits = jax.nn.relu(images @ params[0] + params[1]) @ params[2] + params[3]
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


def _normalise(x, scale, shift):
    x = x - x.mean(-1, keepdims=True)
    return x * jax.lax.rsqrt(jnp.mean(x * x, -1, keepdims=True) + 1e-5) * (1 + scale) + shift


def decoder_loss(params, tokens):
    """Next-token loss of a decoder whose leaves are in the order of `step_time._transformer`."""
    table, places, *blocks, scale, shift = params
    x = table[tokens[:, :-1]] + places[: tokens.shape[1] - 1]
    batch, length, d = x.shape
    for i in range(0, len(blocks), 12):
        s1, b1, w_qkv, b_qkv, w_out, b_out, s2, b2, w_up, b_up, w_down, b_down = blocks[i : i + 12]
        qkv = _normalise(x, s1, b1) @ w_qkv + b_qkv
        q, k, v = jnp.split(qkv.reshape(batch, length, -1, 3 * 64), 3, -1)
        x = x + jax.nn.dot_product_attention(q, k, v, is_causal=True).reshape(batch, length, d) @ w_out + b_out
        x = x + jax.nn.gelu(_normalise(x, s2, b2) @ w_up + b_up) @ w_down + b_down
    logits = _normalise(x, scale, shift) @ table.T
    return optax.softmax_cross_entropy_with_integer_labels(logits, tokens[:, 1:]).mean()


class Work(NamedTuple):
    """One row: the shapes of the params, what comes in at each step, and the loss; None if gradients come in.

    Of `scanned` steps in a loop, if any, and of so many runs together.
    """

    shapes: list[tuple[int, ...]]
    batch: Any
    loss: Callable[..., Any] | None
    scanned: int = 0
    runs: int = 0


def works(quick: bool, tokens: int) -> dict[str, Work]:
    rng = np.random.default_rng(0)
    digits = (rng.standard_normal((128, 64), np.float32), rng.integers(0, 10, 128))
    mlp = [(64, 64), (64,), (64, 10), (10,)]
    decoder = step_time.TREES["transformer"](quick)
    length = 256
    text = rng.integers(0, decoder[0][0], (max(1, tokens // length), length + 1))
    gradient = [jnp.asarray(rng.standard_normal(shape, np.float32)) for shape in decoder]
    return {
        "digits, a call a step": Work(mlp, digits, mlp_loss),
        "digits, 100 steps scanned": Work(mlp, digits, mlp_loss, 100),
        "digits, 32 runs, scanned": Work(mlp, digits, mlp_loss, 100, runs=32),
        f"transformer, {text.shape[0] * length} tokens": Work(decoder, text, decoder_loss),
        "transformer, update only": Work(decoder, gradient, None),
    }


def prepare(work: Work, tx: Any, calls: int) -> tuple[Callable[[], None], int]:
    """A function that makes some donated calls and waits for them, and the bytes that the program allocates beside."""

    def step(params, state, batch):
        gradient = batch if work.loss is None else jax.grad(work.loss)(params, batch)
        updates, state = tx.update(gradient, state, params)
        return mo.apply_updates(params, updates), state

    def steps(params, state, batch):
        body = lambda carry, _: (step(*carry, batch), None)  # noqa: E731
        return jax.lax.scan(body, (params, state), None, work.scanned)[0]

    rng = np.random.default_rng(1)
    begin = tx.init
    if work.runs:
        step, begin = jax.vmap(step, (0, 0, None)), jax.vmap(begin)
    several = (work.runs,) if work.runs else ()
    params = [jnp.asarray(0.02 * rng.standard_normal((*several, *shape), np.float32)) for shape in work.shapes]
    now = (params, begin(params))
    compiled = (
        jax.jit(steps if work.scanned else step, donate_argnums=(0, 1))
        .lower(*now, work.batch)
        .compile(compiler_options())
    )

    def run():
        nonlocal now
        for _ in range(calls):
            now = compiled(*now, work.batch)
        jax.block_until_ready(now)

    memory = compiled.memory_analysis()
    return run, memory.temp_size_in_bytes if memory else 0


HEADER = {  # and the widths of the columns
    "training step": 28, "method": 12, "measured": 12, "step ms": 9, "cost % (quartiles)": 24, "more memory / tree": 18,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--quick", action="store_true", help="a smaller transformer, fewer rounds")
    add("--tokens", type=int, default=1024, help="in a batch of the transformer")
    add("--rounds", type=int, help="timed rounds (21, or 5 with --quick; a third of them for the whole transformer)")
    add("--markdown", action="store_true", help="print a table for RESULTS.md")
    chosen = parser.parse_args()
    rounds = chosen.rounds or (5 if chosen.quick else 21)
    widths = None if chosen.markdown else list(HEADER.values())
    print(machine.describe("jax", "jaxlib", "optax", "numpy"))
    print(f"float32, {rounds} rounds\n")
    print(machine.row(list(HEADER), widths))
    if chosen.markdown:
        print("|" + "---|" * len(HEADER))
    for name, work in works(chosen.quick, chosen.tokens).items():
        small = sum(map(np.prod, work.shapes)) < 1e5
        for method, tx in METHODS.items():
            calls = 100 if small and not work.scanned else 1
            built = {variant: prepare(work, wrap(tx), calls) for variant, wrap in VARIANTS.items()}
            turns = 3 * rounds if small else rounds if work.loss is None else max(3, rounds // 3)
            times = machine.interleave({variant: run for variant, (run, _) in built.items()}, turns)
            size = 4 * max(1, work.runs) * sum(map(np.prod, work.shapes))
            for variant in list(VARIANTS)[1:]:
                low, middle, high = (
                    100 * (q - 1) for q in machine.quartiles(machine.ratios(times[variant], times["plain"]))
                )
                cells = [
                    name, method, variant,
                    f"{1e3 * statistics.median(times['plain']) / max(calls, work.scanned):.3f}",
                    f"{middle:.1f} ({low:.1f} to {high:.1f}){' !' if work.loss and middle > TARGET else ''}",
                    f"{(built[variant][1] - built['plain'][1]) / size:.3f}",
                ]  # fmt: skip
                print(machine.row(cells, widths), flush=True)


if __name__ == "__main__":
    main()
