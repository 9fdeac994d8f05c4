"""Nesterov's method in its three forms, exact under every schedule."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import oracles
import pytest
from helpers import START, STEPS, assert_close, curved, descend, feed, moving, noise, per_leaf, split

import momentum_optax as mo

NUMBERS = {
    "constants": {"learning_rate": 0.02, "beta": 0.9},
    "schedules": {"learning_rate": moving(0.03), "beta": moving(0.95)},
    "beta from 0": {"learning_rate": 0.02, "beta": lambda count: 1 - 3 / (count + 3)},
}
every_schedule = pytest.mark.parametrize("numbers", NUMBERS.values(), ids=NUMBERS)


@every_schedule
def test_the_params_are_the_lookahead_points_and_eval_params_what_they_look_ahead_from(numbers):
    thetas, ys = oracles.nesterov(curved, START, STEPS, **numbers)
    run = descend(mo.nesterov, numbers)
    assert_close(run.params, ys)
    assert_close(run.answers, thetas)


@every_schedule
def test_the_lookahead_form_keeps_theta_and_takes_its_gradients_ahead(numbers):
    thetas, lookaheads = oracles.nesterov_lookahead(curved, START, STEPS, **numbers)
    run = descend(mo.nesterov_lookahead, numbers, look=mo.lookahead_params)
    assert_close(run.params, thetas)
    assert_close(run.answers, thetas)
    assert_close(run.gradients_at, lookaheads)


@every_schedule
def test_both_forms_are_one_method(numbers):
    one = descend(mo.nesterov, numbers)
    other = descend(mo.nesterov_lookahead, numbers, look=mo.lookahead_params)
    assert_close(one.answers, other.params)
    assert_close(one.params, other.gradients_at)


def test_with_a_constant_learning_rate_the_trace_looks_ahead_alike():
    numbers = {"learning_rate": 0.02, "beta": moving(0.95)}

    def build(learning_rate, beta):
        return optax.chain(mo.trace(beta, nesterov=True), mo.scale_by_learning_rate(learning_rate))

    assert_close(descend(build, numbers).params, descend(mo.nesterov, numbers).params)


def test_one_beta_in_both_places_is_another_method():
    """What frameworks do whose extrapolation uses the beta of the step: it leaves Nesterov's path by percents."""
    numbers = {"learning_rate": 0.02, "beta": lambda count: 1 - 3 / (count + 3)}
    _, ys = oracles.nesterov(curved, START, STEPS, **numbers)
    shared = oracles.torch_sgd(curved, START, STEPS, 0.02, numbers["beta"], nesterov=True)
    assert np.max(np.abs(shared - ys)) > 1e-2


def test_betas_of_each_leaf_are_looked_ahead_by_and_back():
    trees = {"learning_rate": {"w": 0.02, "b": moving(0.02)}, "beta": {"w": moving(0.9), "b": {"deep": 0.7}}}
    vectors = {
        "learning_rate": lambda count: per_leaf(0.02, moving(0.02)(count)),
        "beta": lambda count: per_leaf(moving(0.9)(count), 0.7),
    }
    thetas, ys = oracles.nesterov(curved, START, STEPS, **vectors)
    run = descend(mo.nesterov, trees)
    assert_close(run.params, ys)
    assert_close(run.answers, thetas)
    run = descend(mo.nesterov_lookahead, trees, look=mo.lookahead_params)
    assert_close(run.params, thetas)
    assert_close(run.gradients_at, ys)


def test_a_leaf_whose_beta_is_zero_is_its_own_answer():
    run = descend(mo.nesterov, {"learning_rate": 0.02, "beta": {"w": 0.9, "b": 0.0}})
    np.testing.assert_array_equal(run.answers[:, 3:], run.params[:, 3:])
    assert np.all(run.answers[5, :3] != run.params[5, :3])


def test_a_beta_injected_between_updates_decays_by_what_was_looked_ahead_by():
    """`inject_hyperparams` gives one beta per update, and the next is not known; still it is Nesterov's."""
    betas = [0.5, 0.9, 0.3, 0.8, 0.6]
    tx = optax.inject_hyperparams(mo.nesterov)(learning_rate=0.05, beta=betas[0])
    with jax.enable_x64(True):
        params = jnp.asarray(START)
        state = tx.init(params)
        for beta in betas:
            state.hyperparams["beta"] = jnp.asarray(beta)
            updates, state = jax.jit(tx.update)(curved(params), state, params)
            params = params + updates
        # The update at beta looks ahead by it; the next decays by the same number.
        thetas, ys = oracles.nesterov(curved, START, len(betas), 0.05, lambda count: ([0.0, *betas])[count])
        np.testing.assert_allclose(params, ys[-1], rtol=1e-13)
        np.testing.assert_allclose(mo.eval_params(state, params), thetas[-1], rtol=1e-13)


def test_a_leaf_that_sits_out_keeps_its_place_and_its_lookahead():
    tx = mo.nesterov(0.1, {"a": moving(0.9), "b": moving(0.9)})
    g = noise(8, 2)
    with jax.enable_x64(True):
        params = {"a": jnp.zeros(2), "b": jnp.zeros(2)}
        state = tx.init(params)
        for t in range(8):
            before, answer = params["b"], mo.eval_params(state, params)["b"]
            updates, state = tx.update(
                {"a": jnp.asarray(g[t]), "b": None if t % 2 else jnp.asarray(g[t])}, state, params
            )
            params = mo.apply_updates(params, updates)
            if t % 2:
                np.testing.assert_array_equal(params["b"], before)
                np.testing.assert_array_equal(mo.eval_params(state, params)["b"], answer)


def test_steps_scaled_before_the_method_are_remembered_as_they_were_taken():
    """`scale_by_nesterov` goes after the learning rate: any steps may come in."""
    steps = -moving(0.1)(np.arange(12))[:, None] * noise(12, 5)
    ours, _ = feed(mo.scale_by_nesterov(0.9), split(steps))
    expected = split(oracles.trace(steps, 0.9, nesterov=True))
    assert_close(ours["w"], expected["w"])
    assert_close(ours["b"]["deep"], expected["b"]["deep"])
