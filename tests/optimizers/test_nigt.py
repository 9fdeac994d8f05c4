"""Normalized descent with implicit gradient transport against its paper."""

import jax
import jax.numpy as jnp
import numpy as np
import oracles_averaging
import pytest
from helpers import MATRIX, START, STEPS, assert_close, curved, descend, linear, moving, noise, split

import momentum_optax as mo

NUMBERS = {"learning_rate": 0.1, "beta": 0.8}


@pytest.mark.parametrize("kind", ["numbers", "traced", "moving"])
def test_points_ahead_and_answers_are_those_of_the_paper(kind):
    numbers = {name: moving(value) for name, value in NUMBERS.items()} if kind == "moving" else NUMBERS
    ahead, answers = oracles_averaging.nigt(curved, START, STEPS, **numbers)
    run = descend(mo.nigt, numbers, traced=kind == "traced")
    assert_close(run.params, ahead, 1e-11)
    assert_close(run.answers, answers, 1e-11)


def test_coefficients_of_each_leaf():
    """Equal ones written as trees; the norm stays that of all leaves."""
    ahead, answers = oracles_averaging.nigt(curved, START, STEPS, **NUMBERS)
    trees = {name: {"w": value, "b": {"deep": moving(2 * value)}} for name, value in NUMBERS.items()}
    trees["beta"]["b"]["deep"] = NUMBERS["beta"]
    trees["learning_rate"]["b"]["deep"] = lambda count: NUMBERS["learning_rate"] + 0 * count
    run = descend(mo.nigt, trees)
    assert_close(run.params, ahead, 1e-11)
    assert_close(run.answers, answers, 1e-11)


def test_every_step_has_the_length_of_the_learning_rate():
    run = descend(mo.nigt, NUMBERS)
    np.testing.assert_allclose(np.linalg.norm(np.diff(run.answers, axis=0), axis=-1), 0.1, rtol=1e-9)


@pytest.mark.parametrize("zero", [0.0, None, "traced"])
def test_with_beta_zero_it_is_normalized_descent(zero):
    x = START
    numbers = {"learning_rate": 0.1, "beta": 0.0 if zero == "traced" else zero}
    run = descend(mo.nigt, numbers, traced=True) if zero == "traced" else descend(mo.nigt, numbers)
    for row, answer in zip(run.params, run.answers, strict=True):
        np.testing.assert_allclose(row, x, rtol=1e-12)
        np.testing.assert_array_equal(row, answer)
        x = x - 0.1 * curved(x) / np.linalg.norm(curved(x))


def test_on_a_quadratic_the_velocity_is_the_gradient_at_the_answer():
    """The transport is exact to first order, so that nothing lags: the theorem behind the method."""
    tx = mo.nigt(0.05, 0.9)
    with jax.enable_x64(True):
        params = split(jnp.asarray(START))
        state = tx.init(params)
        for _ in range(20):
            answer = mo.eval_params(state, params)
            flat = lambda tree: np.concatenate([tree["w"], tree["b"]["deep"]])  # noqa: E731
            updates, state = tx.update(split(MATRIX @ jnp.asarray(flat(params))), state, params)
            np.testing.assert_allclose(flat(state.velocity), linear(flat(answer)), rtol=0, atol=1e-11)
            params = mo.apply_updates(params, updates)


def test_no_gradient_is_no_step():
    tx = mo.nigt(0.1)
    state, x = tx.init(jnp.ones(3)), jnp.ones(3)
    for g in (jnp.zeros(3), jnp.zeros(3), jnp.asarray(noise(3), jnp.float32), jnp.zeros(3)):
        update, state = tx.update(g, state, x)
        assert np.all(np.isfinite(update))
    update, _ = tx.update(jnp.zeros(3), tx.init(x), x)
    np.testing.assert_array_equal(update, 0.0)


@pytest.mark.parametrize(
    ("numbers", "message"), [({"beta": 1.0}, "beta must be"), ({"learning_rate": -1.0}, "learning_rate must be")]
)
def test_bad_arguments_are_refused(numbers, message):
    with pytest.raises(ValueError, match=message):
        mo.nigt(**{**NUMBERS, **numbers})
