"""How much memory a batch takes, and what happens where there is less, before anything is trained."""

import jax
import numpy as np
import problem
import pytest

from momentum_optax import sweeps
from momentum_optax.sweeps import grid, sweep
from momentum_optax.sweeps.engine import engine
from momentum_optax.sweeps.engine.machine import Machine
from momentum_optax.sweeps.engine.part import begin
from momentum_optax.sweeps.engine.preparation import prepare
from momentum_optax.sweeps.engine.team import Team

POINTS = grid(learning_rate=[0.03, 0.1, 0.3], beta=[0.0, 0.9])
TRIAL = problem.make_trial()


def run(**options):
    return sweep(TRIAL, POINTS, seeds=3, steps=4, devices=jax.devices()[:1], threads=1, strategy="vmap", **options)


def test_first_states_that_do_not_fit_are_halved(monkeypatch):
    tried, limit = [], 2

    def start(self, hyper, drawn):
        tried.append(hyper["beta"].size)
        if tried[-1] > limit:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory")
        return honest(self, hyper, drawn)

    plain, honest = run(), engine.Trainer.start
    monkeypatch.setattr(engine.Trainer, "start", start)
    result = run(lanes_per_chunk=18)
    for name, values in plain.metrics.items():
        np.testing.assert_allclose(result.metrics[name], values, rtol=1e-5, atol=1e-6)
    assert tried[0] == 18
    assert result.settings["ways"][0]["chunk"] == tried[-1] <= 2
    limit = 0
    with pytest.raises(MemoryError, match="not enough for a single run"):
        run()


def begun(trial, chunk, threads=1):
    (program,) = POINTS.programs()
    machine = Machine(jax.devices()[:1], threads, Team())
    return begin(prepare(trial, program, range(3), 1, 4), 4, machine, "vmap", chunk).engine


def test_the_batch_that_waits_counts():
    needed = begun(TRIAL, 6).needed(4)
    assert 0.9 < needed / (2 / 3 * begun(TRIAL, 18).needed(4)) < 1.1
    assert begun(TRIAL, 6, threads=3).needed(4) == 3 / 2 * needed


def test_new_states_count_and_need_no_copy():
    """The old ones are there already, and are kept until the rung has gone well."""

    def init(hp, key):
        return jax.random.normal(key, (10_000,)) * hp["beta"]

    def step(hp, state, key):
        return state * hp["learning_rate"], state[0]

    trial = sweeps.trial(init, step, lambda hp, state: {"x": state[0]})
    states = 18 * 40_000
    assert states < begun(trial, 18).needed(4) < 1.5 * states


def test_folds_are_the_same_in_every_layout():
    whole, cut = run(folds=2, lanes_per_chunk=36), run(folds=2, lanes_per_chunk=2)
    for name, values in whole.metrics.items():
        np.testing.assert_allclose(cut.metrics[name], values, rtol=1e-5, atol=1e-6)
