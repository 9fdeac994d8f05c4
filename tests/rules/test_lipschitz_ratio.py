"""The Lipschitz ratio against NumPy and against the theory of one curvature."""

import jax
import jax.numpy as jnp
import numpy as np
import oracles_rules
import pytest
from helpers import START, assert_close, curved, descend, linear, moving

import momentum_optax as mo

GROUPS = ([0, 1, 2], [3, 4])


@pytest.mark.parametrize("each_leaf", [False, True])
def test_the_run_is_that_of_the_paper(each_leaf):
    """Also under a schedule of the learning rate and with weight decay, which is part of the step."""

    def build(delta):
        rule = mo.rules.lipschitz_ratio(delta, each_leaf=each_leaf)
        return mo.heavy_ball(moving(0.02), rule, weight_decay=0.1)

    expected, betas = oracles_rules.lipschitz_ratio(
        curved, START, 30, moving(0.02), 0.4, groups=GROUPS if each_leaf else None, decay=0.1
    )
    assert_close(descend(build, {"delta": 0.4}, traced=True).params, expected)
    assert betas.max() == 0.6
    assert 0 < betas[2].min() < 0.5


def test_learning_rates_of_the_leaves_count_each_for_itself():
    """|lr (g - g_before)| / |step| with a learning rate for each coordinate."""
    rates = np.array([0.02] * 3 + [0.05] * 2)
    x, before, velocity, step, rows = START, None, np.zeros(5), None, [START]
    for _ in range(10):
        g, beta = linear(x), 0.0
        if before is not None:
            ratio = np.linalg.norm(rates * (g - before)) / np.linalg.norm(step)
            beta = np.clip((1 - np.sqrt(ratio)) ** 2, 0, 0.999)
        before, velocity = g, beta * velocity + g
        step = -rates * velocity
        x = x + step
        rows.append(x)

    def build():
        return mo.heavy_ball({"w": 0.02, "b": 0.05}, mo.rules.lipschitz_ratio())

    assert_close(descend(build, {}, linear, steps=10).params, np.array(rows))


def test_one_curvature_gives_the_critical_beta():
    """(1 - sqrt(lr h))^2, at which heavy ball has a double root: the fastest without swinging."""
    tx = mo.heavy_ball(0.01, mo.rules.lipschitz_ratio())
    x = jnp.array([1.0, -2.0])
    state, update = tx.init(x), jax.jit(tx.update)
    for _ in range(20):
        updates, state = update(4.0 * x, state)
        x = x + updates
    np.testing.assert_allclose(state.values["beta"], (1 - 0.2) ** 2, rtol=1e-5)


def test_without_a_step_there_is_no_ratio():
    tx = mo.heavy_ball(0.1, mo.rules.lipschitz_ratio())
    state = tx.init(jnp.zeros(2))
    for _ in range(3):
        updates, state = tx.update(jnp.zeros(2), state)
        assert float(state.values["beta"]) == 0.0
    assert np.all(np.isfinite(updates))


def test_it_needs_a_learning_rate():
    with pytest.raises(TypeError, match=r"beta: rules\.lipschitz_ratio.* needs the learning rate"):
        mo.trace(mo.rules.lipschitz_ratio())
    with pytest.raises(ValueError, match=r"delta must be in \(0, 1\)"):
        mo.rules.lipschitz_ratio(0.0)
