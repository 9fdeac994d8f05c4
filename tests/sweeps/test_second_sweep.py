"""A second sweep of a trial: what is known already is not found out again, and what is new is."""

import jax
import numpy as np
import pytest

from momentum_optax import sweeps
from momentum_optax.sweeps import grid, sweep
from momentum_optax.sweeps.engine import preparation


def make_trial():
    def step(hp, state, key):
        if hp.get("method") == "bad":
            return (state, state), (state**2).sum()
        return state * hp["beta"], (state**2).sum()

    def draw(hp, key):
        return jax.random.normal(key, (3,))

    return sweeps.trial(draw, step, lambda hp, state: {"norm": (state**2).sum()})


def run(trial, points, **options):
    return sweep(trial, points, steps=6, **({"seeds": 2} | options))


def test_it_is_not_checked_again(monkeypatch):
    checked, honest = [], preparation.check

    def check(trial, structure, *rest):
        checked.append(structure)
        return honest(trial, structure, *rest)

    monkeypatch.setattr(preparation, "check", check)
    trial = make_trial()
    first = run(trial, grid(beta=[0.1, 0.5]))
    second = run(trial, grid(beta=[0.2, 0.5]), seeds=[5, 1])
    assert checked == [{}]
    np.testing.assert_array_equal(second.metrics["norm"][1, 1], first.metrics["norm"][1, 1])
    with pytest.raises(TypeError, match="step must return a state"):
        run(trial, grid(beta=[0.1], method=["bad"]))
    assert checked == [{}, {"method": "bad"}]


def test_its_own_names_are_checked():
    trial = make_trial()
    run(trial, grid(beta=[0.1, 0.5]))
    with pytest.raises(ValueError, match="No one reads the hyperparameter 'gamma'"):
        run(trial, grid(beta=[0.1], gamma=[0.1, 0.2]))
