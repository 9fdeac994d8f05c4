"""Runs a sweep, and is killed meanwhile; see test_kill.py."""

import json
import random
import sys
import warnings
from pathlib import Path

import optax
import orbax.checkpoint  # noqa: F401  # before all lives
import pandas as pd  # noqa: F401
import problem
from killed import lives

from momentum_optax.sweeps import grid, log, sweep
from momentum_optax.sweeps.rungs.population import Population
from momentum_optax.sweeps.rungs.pruning import SuccessiveHalving

RUNGS = 40
METHODS = {
    "sgd": lambda hp: optax.sgd(hp["learning_rate"], hp["beta"]),
    "adam": lambda hp: optax.adam(hp["learning_rate"], hp["beta"]),
}
# One learning rate is too large for SGD.
RATES = {"learning_rate": [0.01, 0.1, 3e38], "beta": [0.0, 0.9]}
SWEEPS = {
    "vmap": {"points": grid(method=[*METHODS], **RATES), "pruning": SuccessiveHalving(min_steps=40, factor=2)},
    "step": {
        "points": grid(method=["sgd"], **RATES),
        "population": Population(20, {"learning_rate": log(1e-3, 1)}),
        "folds": 2,
    },
}


def train(folder, strategy, say):
    """Says 0 first, and then the number of each rung that it reports."""
    last = 0

    def progress(p):
        nonlocal last
        if p.rung > last:
            last = p.rung
            say(last)

    say(0)
    sweep(
        problem.make_trial(optimizer=lambda hp: METHODS[hp["method"]](hp)),
        seeds=3,
        steps=5 * RUNGS,
        evaluate_every=5,
        strategy=strategy,
        threads=2,
        lanes_per_chunk=4,
        folder=folder,
        progress=progress,
        **SWEEPS[strategy],
    )


def main(folder, strategy, kills, seed):
    warnings.simplefilter("error")
    once = lives(lambda say: train(folder / "once", strategy, say), [])
    at = random.Random(seed)
    moments = [(at.randint(1, 6), 10 ** at.uniform(-3, -1)) for _ in range(kills)]
    killed = lives(lambda say: train(folder / "killed", strategy, say), moments)
    print(json.dumps({"once": once, "killed": killed}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
