"""How fast a sweep is, beside what people do without one.

256 runs (32 points x 8 seeds) of a 64-64-10 network on the digits, heavy ball, at two batch sizes. All ways run in
turn in one process, round after round, so that a busy machine slows all of them; each figure is a median over rounds,
each ratio a median of the rounds' ratios. Compilation is left out, except where the way compiles anew for every
point. The slow ways are timed on a few runs. Per run all ways do the same work: the same steps and one final test.
Core-milliseconds count all cores of this process, and hold on a machine that others use too.

    python benchmarks/sweep_speed.py            # some minutes
    python benchmarks/sweep_speed.py --quick    # less than one
"""

import argparse
import functools
import statistics
import time

import jax
import jax.numpy as jnp
import machine
import numpy as np
import optax
from jax.sharding import PartitionSpec as P

import momentum_optax as mo
from momentum_optax.problems import digits
from momentum_optax.sweeps import accuracy, cross_entropy, grid, supervised, sweep
from momentum_optax.sweeps.cores import cpu_count

RATES = [float(x) for x in np.geomspace(0.003, 0.1, 8)]
BETAS = [0.0, 0.5, 0.8, 0.9]
SEEDS = 8


def init(key):
    a, b = jax.random.split(key)
    return {
        "w1": jax.random.normal(a, (64, 64)) / 8,
        "b1": jnp.zeros(64),
        "w2": jax.random.normal(b, (64, 10)) / 8,
        "b2": jnp.zeros(10),
    }


def apply(params, images):
    return jax.nn.relu(images @ params["w1"] + params["b1"]) @ params["w2"] + params["b2"]


def whole_run(rate, beta, params, rows, data):
    """One run as one would write it by hand: params `[...]`, rows `[steps, batch]`; gives the test accuracy."""
    tx = optax.sgd(rate, beta)

    def step(carry, index):
        params, state = carry
        images, labels = data.train_inputs[index], data.train_targets[index]
        loss, gradients = jax.value_and_grad(lambda p: cross_entropy(apply(p, images), labels).mean())(params)
        updates, state = tx.update(gradients, state, params)
        return (optax.apply_updates(params, updates), state), loss

    (params, _), _ = jax.lax.scan(step, (params, tx.init(params)), rows)
    return accuracy(apply(params, data.test_inputs), data.test_targets).mean()


def ways(batch, steps, few):
    """The ways: name -> (function that does some runs, how many)."""
    data = digits.load()
    # As many images as all batch sizes divide: what is written by hand knows no batch that is not full.
    data = data._replace(train_inputs=data.train_inputs[:1408], train_targets=data.train_targets[:1408])
    points = grid(learning_rate=RATES, beta=BETAS)
    trial = supervised(
        (init, apply),
        cross_entropy,
        data,
        batch_size=batch,
        optimizer=lambda hp: mo.heavy_ball(hp["learning_rate"], hp["beta"]),
    )
    params = [jax.device_get(jax.jit(init)(jax.random.key(seed))) for seed in range(SEEDS)]
    rows = [trial.plan({}, seed, steps)["rows"] for seed in range(SEEDS)]
    hyper = points.arrays()
    rates, betas = hyper["learning_rate"], hyper["beta"]
    runs = len(points) * SEEDS
    lanes = [(point, seed) for point in range(len(points)) for seed in range(SEEDS)]
    chosen = lanes[:: runs // few][:few]

    def ours():
        return sweep(trial, points, seeds=SEEDS, steps=steps, evaluate_every=steps).final().mean()

    placed = jax.tree.map(jnp.asarray, data)
    one = jax.jit(whole_run)

    def loop():
        return [float(one(rates[p], betas[p], params[s], rows[s], placed)) for p, s in chosen]

    mesh = jax.sharding.Mesh(np.asarray(jax.devices()), ("seeds",))

    def spread(lanes, specs):
        return jax.jit(jax.shard_map(lanes, mesh=mesh, in_specs=(*specs, P()), out_specs=P("seeds"), check_vma=False))

    over_points = jax.vmap(whole_run, (0, 0, None, None, None))
    over_both = jax.vmap(over_points, (None, None, 0, 0, None))
    by_hand = spread(over_both, (P(), P(), P("seeds"), P("seeds")))
    stacked = jax.tree.map(lambda *x: np.stack(x), *params), np.stack(rows)

    def hand_written():
        return np.asarray(by_hand(rates, betas, *stacked, placed)).mean()

    flat = [np.asarray(x) for x in zip(*lanes, strict=True)]
    flat_params, flat_rows = jax.tree.map(lambda x: x[flat[1]], stacked[0]), stacked[1][flat[1]]
    plain = spread(jax.vmap(whole_run, (0, 0, 0, 0, None)), (P("seeds"),) * 4)

    def hand_written_flat():
        return np.asarray(plain(rates[flat[0]], betas[flat[0]], flat_params, flat_rows, placed)).mean()

    def rejit():
        # A training function that holds its numbers, draws its params and is jitted is a new program for every point.
        p, s = chosen[0]
        rate, beta = points[p]["learning_rate"], points[p]["beta"]
        fresh = jax.jit(lambda key, rows, data: whole_run(rate, beta, init(key), rows, data))
        float(fresh(jax.random.key(s), rows[s], placed))

    found = {
        "momentum_optax sweep": (ours, runs),
        "vmap + shard_map, batches shared": (hand_written, runs),
        "vmap + shard_map, flat": (hand_written_flat, runs),
        "jitted loop": (loop, len(chosen)),
        "re-jit per point": (rejit, 1),
    }
    try:
        found["torch loop"] = (torch_loop(data, points, params, rows, chosen[:2]), 2)
    except ImportError:
        print("torch is not installed; its loop is left out")
    return found


def torch_loop(data, points, params, rows, chosen):
    import torch

    # One thread is fastest for matrices of this size.
    torch.set_num_threads(1)
    images, labels = torch.tensor(data.train_inputs), torch.tensor(data.train_targets, dtype=torch.long)
    test_images, test_labels = (
        torch.tensor(data.test_inputs),
        torch.tensor(data.test_targets, dtype=torch.long),
    )

    def loop():
        for p, s in chosen:
            net = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10))
            with torch.no_grad():
                for parameter, name in zip(net.parameters(), ("w1", "b1", "w2", "b2"), strict=True):
                    parameter.copy_(torch.tensor(params[s][name].T))
            point = points[p]
            optimizer = torch.optim.SGD(net.parameters(), point["learning_rate"], momentum=point["beta"], fused=True)
            order = torch.tensor(rows[s], dtype=torch.long)
            for index in order:
                optimizer.zero_grad()
                torch.nn.functional.cross_entropy(net(images[index]), labels[index]).backward()
                optimizer.step()
            with torch.no_grad():
                (net(test_images).argmax(-1) == test_labels).float().mean().item()

    return loop


def measure(batch, steps, rounds, few):
    """Prints the table for one batch size."""
    table = ways(batch, steps, few)
    cpu_times = {name: [] for name in table}

    def counted(name):
        begun = time.process_time()
        table[name][0]()
        cpu_times[name].append((time.process_time() - begun) / table[name][1])

    seconds = machine.interleave({name: functools.partial(counted, name) for name in table}, rounds, warmup=1)
    times = {name: [s / table[name][1] for s in values] for name, values in seconds.items()}
    ours = times["momentum_optax sweep"]
    print(f"\nbatch {batch}, {steps} steps, {rounds} rounds, {len(jax.devices())} devices, {jax.default_backend()}")
    print(f"{'':34}{'ms per run':>12}{'against ours':>14}{'core-ms per run':>17}")
    for name, own in times.items():
        ratio = statistics.median(machine.ratios(own, ours))
        cpu = statistics.median(cpu_times[name][1:]) * 1e3  # without the warm-up
        print(f"{name:34}{statistics.median(own) * 1e3:12.2f}{ratio:14.2f}{cpu:17.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    jax.config.update("jax_num_cpu_devices", cpu_count())
    for batch in (128, 8):
        measure(batch, steps=100 if quick else 300, rounds=3 if quick else 7, few=4 if quick else 16)


if __name__ == "__main__":
    main()
