"""How fast a sweep of a small network is, beside what people do without one.

A 64-64-10 network on the digits, heavy ball, from 16 to 4,096 runs and with batches of 8, 16 and 128 samples. All ways
of a row run in turn in one process, round after round, so that a busy machine slows all of them; a ratio is the median
of the rounds' ratios. Compiling is left out, but where a way compiles anew for every point. The slow ways are timed on
a few of the runs. Core-milliseconds count all cores, and hold on a machine that others use too.

    python benchmarks/sweep_speed.py [--quick] [--markdown] [--lanes 16 256] [--batches 8]
"""

import argparse
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import machine
from sweep_ways import Way, Ways, compare, points, show

from momentum_optax.problems import digits
from momentum_optax.sweeps import Data
from momentum_optax.sweeps.cores import cpu_count

OURS, TOGETHER = "momentum_optax sweep", "vmap + shard_map, by hand"
LANES, BATCHES = (16, 64, 256, 1024, 4096), (8, 16, 128)
GPU_LANES = (1024, 16384)
BESIDE = 256
"""With how many runs the slow ways are compared."""

LEAST = {"jitted loop": {128: 2.0, 8: 5.0}, "compiled for each point": 100.0, "PyTorch's loop": 15.0}
"""How many times our time the ways should take, some by the size of a batch; that by hand at least 1 / 1.05."""


def init(key: Any) -> Any:
    """The first params of the network."""
    a, b = jax.random.split(key)
    return {
        "w1": jax.random.normal(a, (64, 64)) / 8,
        "b1": jnp.zeros(64),
        "w2": jax.random.normal(b, (64, 10)) / 8,
        "b2": jnp.zeros(10),
    }


def apply(params: Any, images: Any) -> Any:
    """The logits."""
    return jax.nn.relu(images @ params["w1"] + params["b1"]) @ params["w2"] + params["b2"]


def torch_network(torch: Any, params: Any) -> Any:
    """The same network."""
    net = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10))
    with torch.no_grad():
        for parameter, name in zip(net.parameters(), ("w1", "b1", "w2", "b2"), strict=True):
            parameter.copy_(torch.tensor(params[name].T))
    return net


def images(count: int = 1408) -> Data:
    """The digits, as many to train on as all sizes of batches divide."""
    data = digits.load()
    return data._replace(train_inputs=data.train_inputs[:count], train_targets=data.train_targets[:count])


def ways_of(lanes: int, batch: int, steps: int, beside: bool) -> dict[str, Way]:
    """The ways to train so many runs.

    Args:
      lanes: how many.
      batch: how many samples a step.
      steps: how many steps a run.
      beside: whether the slow ways are among them.
    """
    seeds = 4 if lanes < 64 else 8
    ways = Ways(init, apply, images(), points(lanes // seeds), seeds, steps, batch)
    found = {OURS: ways.ours(), TOGETHER: ways.together()}
    if beside:
        found["jitted loop"] = ways.loop(ways.some(16))
        found["compiled for each point"] = ways.compile_each(ways.some(1))
        try:
            found["PyTorch's loop"] = ways.torch(torch_network, ways.some(2))
        except ImportError:
            print("torch is not installed; its loop is left out")
    return found


def missed(times: dict[str, Any], batch: int) -> list[str]:
    """Which targets are missed."""
    found = []
    for name, own in times.items():
        least = 1 / 1.05 if name == TOGETHER else LEAST.get(name, 0.0)
        least = least.get(batch, 0.0) if isinstance(least, dict) else least
        if own.ratio[1] < least:
            found.append(f"{name}: {own.ratio[1]:.2f} instead of {least:.2f}")
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--quick", action="store_true", help="few runs and steps; seconds")
    add("--markdown", action="store_true", help="print tables for RESULTS.md")
    add("--lanes", type=int, nargs="+", help="how many runs")
    add("--batches", type=int, nargs="+", help="samples per step")
    add("--steps", type=int, help="steps per run (300, or 10 with --quick)")
    add("--rounds", type=int, help="timed rounds (9 to 3 by the number of runs, or 1 with --quick)")
    chosen = parser.parse_args(arguments)
    on_cpu = jax.default_backend() == "cpu"
    everything = chosen.lanes or ((16,) if chosen.quick else LANES if on_cpu else GPU_LANES)
    steps = chosen.steps or (10 if chosen.quick else 300)
    print(machine.describe("jax", "jaxlib", "optax", "numpy", "torch"))
    for batch in chosen.batches or ((8,) if chosen.quick else BATCHES):
        for lanes in everything:
            rounds = chosen.rounds or (1 if chosen.quick else max(3, min(9, 2304 // lanes)))
            times = compare(ways_of(lanes, batch, steps, lanes == BESIDE or chosen.quick), OURS, rounds)
            where = f"{len(jax.devices())} x {jax.default_backend()}"
            print(f"\n### {lanes:,} runs of {steps} steps of {batch} samples, {where}, {rounds} rounds\n")
            show(times, chosen.markdown)
            if not chosen.quick:
                misses = missed(times, batch)
                print(f"\nMissed: {'; '.join(misses)}." if misses else "\nAll targets met.")


if __name__ == "__main__":
    jax.config.update("jax_num_cpu_devices", cpu_count())
    main()
