"""A small sweep with all options, and how near two of them are."""

import jax
import numpy as np
import problem

from momentum_optax.sweeps import grid, sweep

POINTS = grid(learning_rate=[0.03, 0.1, 0.3], beta=[0.0, 0.9])
TRIAL = problem.make_trial()
ONE = jax.devices()[:1]


def run(points=POINTS, trial=TRIAL, **options):
    options = {"seeds": 3, "steps": 30, "evaluate_every": 5, "strategy": "vmap", "devices": ONE, "threads": 1} | options
    return sweep(trial, points, **options)


def assert_near(result, expected, points=slice(None)):
    assert result.metrics.keys() == expected.metrics.keys()
    for name, values in expected.metrics.items():
        np.testing.assert_allclose(result.metrics[name], values[points], rtol=1e-5, atol=1e-6, err_msg=name)
