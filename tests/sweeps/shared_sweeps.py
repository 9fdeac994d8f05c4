"""Sweeps that two processes share; run by test_processes.py in each of them, and there for comparison."""

import dataclasses
import functools
import os
import pickle
import signal
import sys
import time
from pathlib import Path

import jax
import optax
import problem

from momentum_optax import sweeps
from momentum_optax.sweeps import distributed, grid, sweep

RATES = {"learning_rate": [0.01, 0.03, 0.1, 0.3], "beta": [0.0, 0.9]}
METHODS = {
    "sgd": lambda hp: optax.sgd(hp["learning_rate"], hp["beta"]),
    "adam": lambda hp: optax.adam(hp["learning_rate"], hp["beta"]),
}
OPTIONS = {"seeds": 2, "steps": 30, "evaluate_every": 5, "strategy": "vmap", "lanes_per_chunk": 2}
SHARED = {
    "even": {"points": grid(**RATES)},
    # Neither rows nor points can be halved, and one of them diverges.
    "uneven": {"points": [*grid(**RATES)[:4], {"learning_rate": 1e30, "beta": 0.5}], "seeds": 3, "strategy": "step"},
    "structures": {"points": grid(method=[*METHODS], **RATES), "folds": 2, "strategy": "map"},
    "auto": {"points": grid(**RATES), "strategy": "auto", "lanes_per_chunk": None},
    "one": {"points": grid(learning_rate=[0.1], beta=[0.9]), "seeds": 1},
    "pruned": {"points": grid(**RATES), "pruning": sweeps.SuccessiveHalving(5, factor=2)},
    "population": {
        "points": grid(**RATES),
        "population": sweeps.Population(10, {"learning_rate": sweeps.log(1e-3, 1)}),
    },
}
WAIT_AT = 3


def optimizer(hp):
    return METHODS[hp["method"] if "method" in hp else "sgd"](hp)


@functools.cache
def make_trial():
    return problem.make_trial(optimizer=optimizer)  # one, to compile as little as possible


def run(name, **options):
    options = {"trial": make_trial()} | OPTIONS | SHARED.get(name, {}) | options
    return sweep(options.pop("trial"), options.pop("points"), **options)


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


def timed(name):
    t = time.perf_counter(), time.process_time()
    r = run(name)
    print(name, time.perf_counter() - t[0], time.process_time() - t[1], flush=True)
    return r


def main(port, process, folder, what):
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which it is not in a background job
    jax.config.update("jax_num_cpu_devices", 2)
    distributed.start(f"127.0.0.1:{port}", 2, process)
    seen = []

    def progress(now):
        seen.append(now)
        if what == "killed" and now.rung == WAIT_AT:
            print("now", flush=True)
            time.sleep(60)

    found = {"devices": (len(jax.devices()), len(jax.local_devices()))}
    if what == "killed":
        found |= {name: timed(name) for name in SHARED}
        firsts = [jax.local_devices(process_index=i)[0] for i in range(2)]
        found["threads"] = run("even", devices=firsts)
        found["alone"] = run("even", seeds=[process], devices=jax.local_devices())
        found["failures"] = failures(process, folder)
        (folder / f"{process}-begun.pickle").write_bytes(pickle.dumps(found))
    found["kept"] = run("pruned", folder=folder / "kept", progress=progress)
    found["seen"] = seen
    found["again"] = run("pruned", folder=folder / "kept")
    (folder / f"{process}-resumed.pickle").write_bytes(pickle.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), sys.argv[4])
