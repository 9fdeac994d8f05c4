"""How fast a sweep of a small network is, beside what people do without one.

A network of 64 inputs, 64 hidden units and 10 outputs on the digits, heavy ball, from 16 to 4,096 runs and with batches
of 8, 16 and 128 samples; and a tiny one, of 16 inputs and 8 hidden units, a step of which is all overhead. All ways of
a row run in turn in one process, round after round, so that a busy machine slows all of them; a ratio is the median of
the rounds' ratios. Compiling is left out, but where a way compiles anew for every point. The slow ways are timed on a
few of the runs. Core-milliseconds count all cores, and hold on a machine that others use too.

    python benchmarks/sweep_speed.py [--quick] [--markdown] [--networks 64-64-10] [--lanes 16 256] [--batches 8]
"""

import argparse
import functools
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
LANES = (16, 64, 256, 1024, 4096)
NETWORKS = {"64-64-10": (64, 64), "16-8-10": (16, 8)}
"""Inputs and hidden units."""

BATCHES = {"64-64-10": (8, 16, 128), "16-8-10": (8,)}
GPU_LANES = (1024, 16384)
BESIDE = 256
"""With how many runs the slow ways are compared."""

LEAST = {"jitted loop": {128: 2.0, "16-8-10": 5.0}, "compiled for each point": 100.0, "PyTorch's loop": 15.0}
"""How many times our time the ways should take, some by batch or network; that by hand at least 1 / 1.05."""


def init(key: Any, inputs: int = 64, hidden: int = 64) -> Any:
    """The first params of a network."""
    a, b = jax.random.split(key)
    return {
        "w1": jax.random.normal(a, (inputs, hidden)) / inputs**0.5,
        "b1": jnp.zeros(hidden),
        "w2": jax.random.normal(b, (hidden, 10)) / hidden**0.5,
        "b2": jnp.zeros(10),
    }


def apply(params: Any, images: Any) -> Any:
    """The logits."""
    return jax.nn.relu(images @ params["w1"] + params["b1"]) @ params["w2"] + params["b2"]


def torch_network(torch: Any, params: Any) -> Any:
    """The same network."""
    (inputs, hidden), (_, outputs) = params["w1"].shape, params["w2"].shape
    net = torch.nn.Sequential(torch.nn.Linear(inputs, hidden), torch.nn.ReLU(), torch.nn.Linear(hidden, outputs))
    with torch.no_grad():
        for parameter, name in zip(net.parameters(), ("w1", "b1", "w2", "b2"), strict=True):
            parameter.copy_(torch.tensor(params[name].T))
    return net


def images(pixels: int = 64, count: int = 1408) -> Data:
    """The digits, as many to train on as all sizes of batches divide, of 8 x 8 pixels or the means of these."""
    data, side = digits.load(), int(pixels**0.5)

    def shrink(x: Any) -> Any:
        return x.reshape(-1, side, 8 // side, side, 8 // side).mean((2, 4)).reshape(-1, pixels)

    return data._replace(
        train_inputs=shrink(data.train_inputs[:count]),
        train_targets=data.train_targets[:count],
        test_inputs=shrink(data.test_inputs),
    )


def ways_of(network: str, lanes: int, batch: int, steps: int, beside: bool) -> dict[str, Way]:
    """The ways to train so many runs.

    Args:
      network: of `NETWORKS`.
      lanes: how many.
      batch: how many samples a step.
      steps: how many steps a run.
      beside: whether the slow ways are among them.
    """
    seeds = 4 if lanes < 64 else 8
    inputs, hidden = NETWORKS[network]
    first = functools.partial(init, inputs=inputs, hidden=hidden)
    ways = Ways(first, apply, images(inputs), points(lanes // seeds), seeds, steps, batch)
    found = {OURS: ways.ours(), TOGETHER: ways.together()}
    if beside:
        found["jitted loop"] = ways.loop(ways.some(16))
        found["compiled for each point"] = ways.compile_each(ways.some(1))
        try:
            found["PyTorch's loop"] = ways.torch(torch_network, ways.some(2))
        except ImportError:
            print("torch is not installed; its loop is left out")
    return found


def missed(times: dict[str, Any], network: str, batch: int) -> list[str]:
    """Which targets are missed."""
    found = []
    for name, own in times.items():
        least = 1 / 1.05 if name == TOGETHER else LEAST.get(name, 0.0)
        least = least.get(network, least.get(batch, 0.0)) if isinstance(least, dict) else least
        if own.ratio[1] < least:
            found.append(f"{name}: {own.ratio[1]:.2f} instead of {least:.2f}")
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--quick", action="store_true", help="few runs and steps; seconds")
    add("--markdown", action="store_true", help="print tables for RESULTS.md")
    add("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS), help="which networks")
    add("--lanes", type=int, nargs="+", help="how many runs")
    add("--batches", type=int, nargs="+", help="samples per step")
    add("--steps", type=int, help="steps per run (300, or 10 with --quick)")
    add("--rounds", type=int, help="timed rounds (41 to 3 by the number of runs, or 1 with --quick)")
    chosen = parser.parse_args(arguments)
    on_cpu = jax.default_backend() == "cpu"
    everything = chosen.lanes or ((16,) if chosen.quick else LANES if on_cpu else GPU_LANES)
    steps = chosen.steps or (10 if chosen.quick else 300)
    print(machine.describe("jax", "jaxlib", "optax", "numpy", "torch"))
    for network in list(NETWORKS)[:1] if chosen.quick else chosen.networks:
        for batch in chosen.batches or ((8,) if chosen.quick else BATCHES[network]):
            for lanes in everything:
                rounds = chosen.rounds or (1 if chosen.quick else max(3, min(41, 4608 // lanes)))
                times = compare(ways_of(network, lanes, batch, steps, lanes == BESIDE or chosen.quick), OURS, rounds)
                where = f"{len(jax.devices())} x {jax.default_backend()}"
                print(
                    f"\n### {network}: {lanes:,} runs of {steps} steps of {batch} samples, {where}, {rounds} rounds\n"
                )
                show(times, chosen.markdown)
                if not chosen.quick:
                    misses = missed(times, network, batch)
                    print(f"\nMissed: {'; '.join(misses)}." if misses else "\nAll targets met.")


if __name__ == "__main__":
    jax.config.update("jax_num_cpu_devices", cpu_count())
    main()
