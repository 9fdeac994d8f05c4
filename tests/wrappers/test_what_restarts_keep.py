"""What a restart forgets, and what goes on."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import descend, feed, noise, table

import momentum_optax as mo
from momentum_optax import schedules


def test_averages_are_debiased_anew():
    """Under a constant gradient a debiased average stays that constant, whenever it restarts and whatever is kept."""
    gradients = np.broadcast_to(noise(3), (20, 3))
    for keep in (0.0, 0.3):
        updates, state = feed(mo.wrappers.restart_every(mo.ema(0.9), 6, keep=keep), gradients)
        np.testing.assert_allclose(updates, gradients, rtol=1e-12)
        assert state.restarts.tolist() == [i // 6 for i in range(1, 21)]
        np.testing.assert_allclose(state.inner_state.weight[5], keep * (1 - 0.9**6), rtol=1e-12)


@pytest.mark.parametrize("keep", [0.0, 0.25])
def test_a_soft_restart_keeps_the_answer(keep):
    """The params stay ahead of the answer by what is left of the velocity, and the answer does not jump."""
    plain = descend(mo.nesterov, {"learning_rate": 0.02, "beta": 0.9}, steps=4)
    faded = descend(lambda: mo.wrappers.restart_every(mo.nesterov(0.02, 0.9), 4, keep=keep), {}, steps=4)
    np.testing.assert_allclose(faded.answers, plain.answers, rtol=1e-12)
    ahead = plain.params[-1] - plain.answers[-1]
    np.testing.assert_allclose(faded.params[-1] - faded.answers[-1], keep * ahead, rtol=1e-10, atol=1e-15)


@pytest.mark.parametrize("counts", [True, False])
def test_the_count_of_the_schedule_begins_anew_if_asked(counts):
    tx = mo.wrappers.restart_every(mo.trace(table(np.linspace(0.1, 0.9, 9))), 3, counts=counts)
    _, states = feed(tx, noise(7, 2))
    assert states.inner_state.count.tolist() == ([1, 2, 0, 1, 2, 0, 1] if counts else [1, 2, 3, 4, 5, 6, 7])


def test_the_learning_rate_goes_on():
    lr = table(np.linspace(1.0, 0.1, 10))
    updates, _ = feed(mo.wrappers.restart_every(mo.heavy_ball(lr, 0.5), 1), np.ones((9, 1)))
    np.testing.assert_allclose(updates[:, 0], -np.linspace(1.0, 0.1, 10)[:9], rtol=1e-6)


def test_counts_of_a_function_go_on_by_default():
    tx = mo.wrappers.restart_when(mo.trace(0.9), lambda count: count == 3)
    _, states = feed(tx, noise(5, 2))
    assert states.inner_state.count.tolist() == [1, 2, 3, 4, 5]
    assert states.restarts.tolist() == [0, 0, 1, 1, 1]
    np.testing.assert_array_equal(states.inner_state.velocity[2], 0)


def test_warm_restarts_begin_each_cycle_without_a_past():
    """Cycles of 3 and 6 updates: at counts 3 and 9 the velocity is the gradient alone."""
    warm = schedules.warm_restarts(0.1, period=3, t_mult=2)
    g = noise(12, 2)
    _, states = feed(mo.wrappers.restart_when(mo.trace(0.9), warm.restarts), g)
    _, alone = feed(mo.trace(0.9), g[3:9])
    np.testing.assert_allclose(states.inner_state.velocity[3:8], alone.velocity[:5], rtol=1e-12)
    assert states.restarts.tolist() == [0, 0, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2]


def test_inside_is_anything_of_optax():
    """A chain of Optax's momentum, restarted, is Optax's momentum from the beginning."""
    tx = mo.wrappers.restart_every(optax.chain(optax.clip(10.0), optax.sgd(0.1, momentum=0.9, nesterov=True)), 5)
    g = noise(10, 4)
    updates, _ = feed(tx, g)
    for part in (slice(0, 5), slice(5, 10)):
        expected, _ = feed(optax.sgd(0.1, momentum=0.9, nesterov=True), g[part])
        np.testing.assert_allclose(updates[part], expected, rtol=1e-12)


def test_an_infinite_velocity_is_forgotten():
    tx = mo.wrappers.restart_every(mo.trace(0.9), 2)
    state = tx.init(jnp.zeros(2))
    for g in (jnp.array([1.0, jnp.inf]), jnp.array([1.0, jnp.nan])):
        _, state = tx.update(g, state)
    np.testing.assert_array_equal(tx.update(jnp.ones(2), state)[0], 1)


# The laws, with restarts in the midst of them.
