"""How fast a sweep of a small convolutional network is: every strategy, and loops written by hand.

Two convolutions with strides and a dense layer, heavy ball, on the digits as they are, 8 x 8, and enlarged to 32 x 32;
the convolutions once as XLA's, once as products of patches with a matrix. XLA's are slow in compiled loops on a CPU,
and slower mapped over runs, so the fastest strategy is another than that of small dense networks. All ways of a table
run in turn in one process; a ratio is the median of the rounds' ratios. Compiling is left out, and what `auto` took to
find its strategy is told apart.

    python benchmarks/sweep_cnn.py [--quick] [--markdown] [--sides 8]
"""

import argparse
import functools
from typing import Any

import jax
import jax.numpy as jnp
import machine
import numpy as np
from sweep_ways import Time, Way, Ways, compare, points, show

from momentum_optax.problems import digits
from momentum_optax.sweeps import Data, strategy
from momentum_optax.sweeps.cores import cpu_count

AUTO = "sweep, auto"
STRATEGIES = {
    "sweep, vmap": {"strategy": "vmap"},
    "sweep, vmap of 32": {"strategy": "vmap", "lanes_per_chunk": 32},
    "sweep, map": {"strategy": "map"},
    "sweep, step": {"strategy": "step"},
    "sweep, step of 8": {"strategy": "step", "lanes_per_chunk": 8},
}
WORK = {8: (64, 60, 64), 32: (16, 10, 32)}
"""Runs, steps and samples by pixels across."""


def init(key: Any, side: int) -> Any:
    """The first params of a network for images of so many pixels across."""
    a, b, c = jax.random.split(key, 3)
    features = (side // 4) ** 2 * 32
    return {
        "w1": jax.random.normal(a, (3, 3, 1, 16)) / 3,
        "b1": jnp.zeros(16),
        "w2": jax.random.normal(b, (3, 3, 16, 32)) / 12,
        "b2": jnp.zeros(32),
        "w3": jax.random.normal(c, (features, 10)) / features**0.5,
        "b3": jnp.zeros(10),
    }


def convolution(images: Any, kernel: Any) -> Any:
    """XLA's, with stride 2."""
    return jax.lax.conv_general_dilated(images, kernel, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def patches(images: Any, kernel: Any) -> Any:
    """The same, as a product of all patches with a matrix."""
    height, width, depth, features = kernel.shape
    side = images.shape[1]
    padded = jnp.pad(images, ((0, 0), (0, height - 2), (0, width - 2), (0, 0)))
    found = [padded[:, i : i + side : 2, j : j + side : 2] for i in range(height) for j in range(width)]
    return jnp.concatenate(found, axis=-1) @ kernel.reshape(height * width * depth, features)


def apply(params: Any, images: Any, conv: Any) -> Any:
    """The logits."""
    for i in (1, 2):
        images = jax.nn.relu(conv(images, params[f"w{i}"]) + params[f"b{i}"])
    return images.reshape(len(images), -1) @ params["w3"] + params["b3"]


def images(side: int, samples: int = 1408, tested: int = 360) -> Data:
    """The digits, enlarged to a multiple of their 8 pixels."""
    data = digits.load()

    def enlarge(x: np.ndarray) -> np.ndarray:
        times = side // 8
        return x.reshape(-1, 8, 8, 1).repeat(times, axis=1).repeat(times, axis=2)

    return Data(
        enlarge(data.train_inputs[:samples]),
        data.train_targets[:samples],
        enlarge(data.test_inputs[:tested]),
        data.test_targets[:tested],
    )


def ways_of(side: int, conv: Any, lanes: int, steps: int, batch: int) -> tuple[Ways, dict[str, Way]]:
    """The ways to train so many runs."""
    seeds = 4
    ways = Ways(
        functools.partial(init, side=side),
        functools.partial(apply, conv=conv),
        images(side),
        points(lanes // seeds),
        seeds,
        steps,
        batch,
    )
    found = {AUTO: ways.ours(strategy="auto")}
    found |= {name: ways.ours(**options) for name, options in STRATEGIES.items()}
    found["loop of compiled steps, by hand"] = ways.step_loop(ways.some(4))
    found["loop of compiled runs, by hand"] = ways.loop(ways.some(2))
    return ways, found


def missed(times: dict[str, Time]) -> list[str]:
    """Which targets are missed: `auto` within a tenth of the best strategy, no slower than the loop by hand."""
    found = []
    for name, own in times.items():
        least = 1 / 1.1 if name.startswith("sweep") else 1.0
        if own.ratio[1] < least:
            found.append(f"{name}: {own.ratio[1]:.2f} instead of {least:.2f}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--quick", action="store_true", help="few runs and steps; a minute")
    add("--markdown", action="store_true", help="print tables for RESULTS.md")
    add("--sides", type=int, nargs="+", default=[8, 32], help="pixels across")
    add("--rounds", type=int, help="timed rounds (5, or 1 with --quick)")
    chosen = parser.parse_args()
    jax.config.update("jax_num_cpu_devices", cpu_count())
    # The runs here stand for those of a sweep that takes minutes, for which timing pays.
    strategy._TOO_SMALL = strategy._WORTH_TIMING = 0.0
    print(machine.describe("jax", "jaxlib", "optax", "numpy"))
    for side in [8] if chosen.quick else chosen.sides:
        for conv in (convolution, patches):
            lanes, steps, batch = WORK[side]
            lanes, steps = (16, 2) if chosen.quick else (lanes, steps)
            rounds = chosen.rounds or (1 if chosen.quick else 5)
            ways, table = ways_of(side, conv, lanes, steps, batch)
            (way,) = ways.sweep(strategy="auto").settings["ways"]
            where = f"{len(jax.devices())} x {jax.default_backend()}"
            print(
                f"\n### {side} x {side}, {conv.__name__}: {lanes} runs of {steps} steps of {batch} samples, {where}\n"
            )
            times = compare(table, AUTO, rounds)
            show(times, chosen.markdown)
            print(f"\nauto: {way}")
            misses = missed(times)
            print(f"\nMissed: {'; '.join(misses)}." if misses else "\nAll targets met.")


if __name__ == "__main__":
    main()
