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
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import machine
import numpy as np
from sweep_ways import Time, Way, Ways, compare, points, show

from momentum_optax.problems import digits
from momentum_optax.problems.convolution import by_patches
from momentum_optax.sweeps import Data
from momentum_optax.sweeps.cores import cpu_count
from momentum_optax.sweeps.engine import strategy

AUTO, STEPS = "sweep, auto", "loop of compiled steps, by hand"
STRATEGIES = {
    "cpu": {
        "sweep, vmap": {"strategy": "vmap"},
        "sweep, vmap of 32": {"strategy": "vmap", "lanes_per_chunk": 32},
        "sweep, map": {"strategy": "map"},
        "sweep, step": {"strategy": "step"},
        "sweep, step of 8": {"strategy": "step", "lanes_per_chunk": 8},
    },
    "other": {"sweep, vmap": {"strategy": "vmap"}, "sweep, step": {"strategy": "step"}},
}
WORK = {"cpu": {8: (64, 40, 64), 32: (16, 10, 32)}, "other": {8: (1024, 300, 64), 32: (1024, 60, 32)}}
"""Runs, steps and samples by pixels across."""

CONVOLUTIONS = {"XLA's convolutions": jax.lax.conv_general_dilated, "products of patches": by_patches}


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


def apply(params: Any, images: Any, conv: Any) -> Any:
    """The logits."""
    for i in (1, 2):
        found = conv(images, params[f"w{i}"], (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        images = jax.nn.relu(found + params[f"b{i}"])
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
    model = functools.partial(init, side=side), functools.partial(apply, conv=conv)
    ways = Ways(*model, images(side), points(lanes // 4), 4, steps, batch)
    found = {AUTO: ways.ours(strategy="auto")}
    found |= {name: ways.ours(**options) for name, options in STRATEGIES[platform()].items()}
    found[STEPS] = ways.step_loop(ways.some(4))
    found["loop of compiled runs, by hand"] = ways.loop(ways.some(2))
    return ways, found


def platform() -> str:
    """Whether the devices are CPU cores."""
    return "cpu" if jax.default_backend() == "cpu" else "other"


def missed(times: dict[str, Time]) -> list[str]:
    """Which targets are missed: `auto` within a tenth of the best strategy, and no slower than the loop of steps."""
    least = {name: 1 / 1.1 for name in times if name.startswith("sweep")} | {STEPS: 1.0}
    return [f"{n}: {times[n].ratio[1]:.2f} instead of {x:.2f}" for n, x in least.items() if times[n].ratio[1] < x]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--quick", action="store_true", help="few runs and steps; half a minute")
    add("--markdown", action="store_true", help="print tables for RESULTS.md")
    add("--sides", type=int, nargs="+", default=[8, 32], help="pixels across")
    add("--lanes", type=int, help="how many runs")
    add("--rounds", type=int, help="timed rounds (5, or 1 with --quick)")
    chosen = parser.parse_args(arguments)
    # The runs here stand for those of a sweep that takes minutes, for which timing pays.
    strategy._TOO_SMALL = strategy._WORTH_TIMING = 0.0
    print(machine.describe("jax", "jaxlib", "optax", "numpy"))
    where = f"{len(jax.devices())} x {jax.default_backend()}"
    for side in [8] if chosen.quick else chosen.sides:
        lanes, steps, batch = (16, 2, 16) if chosen.quick else WORK[platform()][side]
        lanes = chosen.lanes or lanes
        for name, conv in CONVOLUTIONS.items():
            ways, table = ways_of(side, conv, lanes, steps, batch)
            (way,) = ways.sweep(strategy="auto").settings["ways"]
            times = compare(table, AUTO, chosen.rounds or (1 if chosen.quick else 5))
            print(f"\n### {side} x {side}, {name}: {lanes} runs of {steps} steps of {batch} samples, {where}\n")
            show(times, chosen.markdown, AUTO)
            print(f"\nauto: {way}")
            if not chosen.quick:
                misses = missed(times)
                print(f"\nMissed: {'; '.join(misses)}." if misses else "\nAll targets met.")


if __name__ == "__main__":
    jax.config.update("jax_num_cpu_devices", cpu_count())
    main()
