"""What is kept with a trial: programs, data on the devices, and what of them is let go when."""

import gc

import jax
import jax.numpy as jnp
import numpy as np
import optax
import problem
import pytest
from driven import run

from momentum_optax import sweeps
from momentum_optax.sweeps import grid


def test_programs_and_sweeps_share_the_data_which_go_with_the_trial():
    trial = problem.make_trial(optimizer=lambda hp: optax.sgd(hp["learning_rate"], nesterov=hp["nesterov"]))
    shape = trial.data.train_inputs.shape

    def copies():
        return sum(x.shape == shape for x in jax.live_arrays())

    gc.collect()  # what other tests have left
    before, seen = copies(), []
    run(grid(learning_rate=[0.1], nesterov=[False, True]), trial, progress=lambda _: seen.append(copies() - before))
    run(grid(learning_rate=[0.2], nesterov=[False]), trial, progress=lambda _: seen.append(copies() - before))
    assert set(seen) == {1}
    del trial  # and nothing waits for Python to look for cycles, which knows nothing of a device's memory
    assert copies() == before


def test_what_steps_consume_is_gone_after_the_rung():
    trial = problem.make_trial(optimizer=lambda hp: optax.sgd(hp["learning_rate"], nesterov=hp["nesterov"]))
    held = []

    def look(_):
        held.append(sum(x.dtype == np.int32 and x.shape == (3, 7, 6) for x in jax.live_arrays()))

    points = grid(learning_rate=[0.1], nesterov=[False, True])
    run(points, trial, steps=21, evaluate_every=7, progress=look, devices=jax.devices()[:1], threads=1)
    assert max(held) <= 1
    assert held[-1] == 0


def test_hyperparameters_of_other_names_are_other_programs():
    def init(hp, key):
        return jnp.zeros(())

    def step(hp, x, key):
        return x + hp["rate"] + 10 * hp.get("beta", 0.0) + 100 * hp.get("gamma", 0.0), x

    trial = sweeps.trial(init, step, lambda hp, x: {"x": x})

    def ends(points):
        return sweeps.sweep(trial, points, seeds=1, steps=1).final("x")[:, 0]

    both = grid(rate=[0.0, 1.0], beta=[0.2], gamma=[0.3]).only_when("beta", rate=0.0).only_when("gamma", rate=1.0)
    np.testing.assert_allclose(ends(both), [2, 31], rtol=1e-6)
    np.testing.assert_allclose(ends(grid(rate=[0.0], gamma=[0.5])), [50], rtol=1e-6)


def test_data_are_those_that_were_given():
    data = problem.make_data()
    inputs = np.array(data.train_inputs)
    trial = sweeps.supervised(
        (problem.init, problem.apply),
        sweeps.cross_entropy,
        data._replace(train_inputs=inputs),
        optimizer=problem.sgd,
        batch_size=6,
    )
    points = grid(learning_rate=[0.1], beta=[0.5])
    before = run(points, trial)
    inputs += 1
    assert run(points, trial).equals(before)
    assert run(points, problem.make_trial()).equals(before)
    with pytest.raises(ValueError, match="read-only"):
        trial.data.train_inputs[0] = 0


def test_random_draws_have_strong_types():
    def step(hp, x, key):
        return x, x.astype(np.float32)

    trial = sweeps.Trial(
        init=lambda hp, drawn: drawn * jnp.asarray(hp["scale"], jnp.bfloat16),
        step=step,
        evaluate=lambda hp, x, data: {"x": x},
        draw=lambda structure, key: 1.1,  # a weak type: with bfloat16 it would give bfloat16
        plan=lambda structure, seed, steps: np.zeros(steps),
        fetch=lambda data, item: item,
    )
    found = sweeps.sweep(trial, grid(scale=[1 / 3]), seeds=1, steps=1).final("x")
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, np.float32(1.1) * np.float32(jnp.bfloat16(1 / 3)), rtol=1e-6)
