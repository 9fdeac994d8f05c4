"""Sweeps that two processes share; run by test_processes.py in each of them, and there for comparison."""

import contextlib
import dataclasses
import functools
import math
import os
import pickle
import signal
import sys
import time
import unittest.mock
from pathlib import Path

import jax
import jax.numpy as jnp
import optax
import problem

from momentum_optax import sweeps
from momentum_optax.sweeps import distributed, grid, sweep
from momentum_optax.sweeps.engine import engine


def noisy():
    """A trial whose states are of several types, random keys among them."""

    def init(hp, key):
        return {"x": jax.random.normal(key, (3,)), "half": jnp.zeros(2, jnp.bfloat16), "key": key, "count": 0}

    def step(hp, state, key):
        own, now = jax.random.split(state["key"])
        x = state["x"] - hp["learning_rate"] * (state["x"] + 0.1 * jax.random.normal(now, (3,)))
        half = state["half"] + jax.random.uniform(key, (2,), jnp.bfloat16)
        return {"x": x, "half": half, "key": own, "count": state["count"] + 1}, (x**2).sum()

    def evaluate(hp, state):
        return {"half": state["half"].astype(jnp.float32).sum(), "count": state["count"], "x": state["x"][0]}

    return sweeps.trial(init, step, evaluate)


RATES = {"learning_rate": [0.01, 0.03, 0.1, 0.3], "beta": [0.0, 0.9]}
# Diverged points are not trained on where that saves a batch.
HALF_DIVERGES = [*grid(**RATES)[:4], *grid(learning_rate=[3e38], beta=[0.9, 0.92, 0.94, 0.96])]
HALVING = sweeps.SuccessiveHalving(5, factor=2)
METHODS = {
    "sgd": lambda hp: optax.sgd(hp["learning_rate"], hp["beta"]),
    "adam": lambda hp: optax.adam(hp["learning_rate"], hp["beta"]),
}
OPTIONS = {"seeds": 2, "steps": 30, "evaluate_every": 5, "strategy": "vmap", "lanes_per_chunk": 2}
SHARED = {
    "even": {"points": grid(**RATES)},
    # Neither rows nor points can be halved, and one of them diverges.
    "uneven": {"points": [*grid(**RATES)[:4], {"learning_rate": 3e38, "beta": 0.9}], "seeds": 3, "strategy": "step"},
    "structures": {"points": grid(method=[*METHODS], **RATES), "folds": 2, "strategy": "map"},
    "auto": {"points": grid(**RATES), "strategy": "auto", "lanes_per_chunk": None},
    "one": {"points": grid(learning_rate=[0.1], beta=[0.9]), "seeds": 1},
    "pruned": {"points": grid(**RATES), "pruning": HALVING},
    "population": {
        "points": grid(**RATES),
        "population": sweeps.Population(10, {"learning_rate": sweeps.log(1e-3, 1)}),
    },
    "keys": {
        "trial": noisy(),
        "points": grid(learning_rate=[0.01, 0.1, 0.2, 0.3, 0.5, 1.0]),
        "metric": "train_loss",
        "pruning": HALVING,
    },
    # In one process, see `with_little_memory`.
    "little": {"points": HALF_DIVERGES, "lanes_per_chunk": None},
    "exhausted": {"points": HALF_DIVERGES, "lanes_per_chunk": 4},
}
WAIT_AT = 3


def optimizer(hp):
    return METHODS[hp.get("method", "sgd")](hp)


@functools.cache
def make_trial():
    return problem.make_trial(optimizer=optimizer)  # one, to compile as little as possible


def run(name, **options):
    options = {"trial": make_trial()} | OPTIONS | SHARED.get(name, {}) | options
    return sweep(options.pop("trial"), options.pop("points"), **options)


def with_little_memory():
    """In one process only: a batch of more than 4 runs does not fit, which one sweep knows before and one learns."""
    little = unittest.mock.patch.object(engine.memory, "free", return_value=4000)
    train = engine.Trainer.train

    def limited(self, state, *arguments):
        if math.prod(jax.tree.leaves(state)[0].shape[:2]) <= 4:
            return train(self, state, *arguments)

        def fail(state):
            raise MemoryError

        return fail

    exhausted = unittest.mock.patch.object(engine.Trainer, "train", limited)
    found = {}
    for name, limit in {"little": little, "exhausted": exhausted}.items():
        with limit if jax.process_index() == 1 else contextlib.nullcontext():
            found[name] = run(name)
    return found


def failures(process, folder):
    """What is raised in this process when something goes wrong, mostly in one of them only."""
    honest = make_trial()

    def only_in(there, act):
        def plan(hp, seed, steps):
            if process == there:
                act()
            return honest.plan(hp, seed, steps)

        return dataclasses.replace(honest, plan=plan)

    def lose(*_):
        raise LookupError("lost")

    def interrupt():
        os.kill(os.getpid(), signal.SIGINT)

    cases = {
        "error": {"trial": only_in(1, lose)},
        "Ctrl-C": {"trial": only_in(1, interrupt)},
        "progress": {"progress": lose},
        "folder": {"folder": folder / "file"},
        "arguments": {"seeds": 2 + process},
        "devices": {"devices": jax.devices()[:3]},
        "some devices": {"devices": jax.local_devices(process_index=1)},
        "nothing": {},
    }
    (folder / "file").write_text("no folder")
    raised = {}
    for name, options in cases.items():
        raised[name] = ""
        try:
            run("even", **options)
        except BaseException as error:
            raised[name] = " ".join([f"{type(error).__name__}: {error}", *getattr(error, "__notes__", [])])
    return raised


def main(port, process, folder, what):
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which it is not in a background job
    jax.config.update("jax_num_cpu_devices", 2)
    distributed.start(f"127.0.0.1:{port}", 2, process)
    seen = []

    def progress(now):
        seen.append(now)
        if what == "begun" and now.rung == WAIT_AT:
            print("now", flush=True)
            while not (folder / "go on").exists():
                time.sleep(0.01)

    found = {"devices": (len(jax.devices()), len(jax.local_devices()))}
    if what == "begun":
        found |= {name: run(name) for name in SHARED if name not in ("little", "exhausted")}
        firsts = [jax.local_devices(process_index=i)[0] for i in range(2)]
        found["threads"] = run("even", devices=firsts)
        found["alone"] = run("even", seeds=[process], devices=jax.local_devices())
        found |= with_little_memory()
        found["failures"] = failures(process, folder)
        (folder / f"{process}-begun.pickle").write_bytes(pickle.dumps(found))
    try:
        found["kept"] = run("pruned", folder=folder / "kept", progress=progress)
    except RuntimeError as error:
        print(f"raised {error}", flush=True)
        time.sleep(60)
    found["seen"] = seen
    found["again"] = run("pruned", folder=folder / "kept")
    (folder / f"{process}-resumed.pickle").write_bytes(pickle.dumps(found))
    jax.distributed.shutdown()  # waits for the other one
    print("done", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), sys.argv[4])
