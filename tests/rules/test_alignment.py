"""The alignment rule against NumPy, and what the cosine does to beta."""

import jax
import jax.numpy as jnp
import numpy as np
import oracles_rules
import pytest
from helpers import START, assert_close, curved, descend, moving

import momentum_optax as mo

GROUPS = ([0, 1, 2], [3, 4])
NUMBERS = {"low": 0.2, "high": 0.95, "decay": 0.8}


@pytest.mark.parametrize("each_leaf", [False, True])
def test_the_run_is_that_of_the_paper(each_leaf):
    def build(**numbers):
        return mo.heavy_ball(moving(0.02), mo.rules.alignment(**numbers, each_leaf=each_leaf))

    expected, betas = oracles_rules.alignment(
        curved, START, 30, moving(0.02), **NUMBERS, groups=GROUPS if each_leaf else None
    )
    assert_close(descend(build, NUMBERS, traced=True).params, expected)
    assert np.ptp(betas) > 0.1


def test_the_cosine_is_of_the_memory_whatever_else_the_method_does():
    """Weight decay and the present gradient are not in the memory; a debiased average points as the plain one."""
    rule = mo.rules.alignment(0.2, 0.9, 0.0)
    gradients = jnp.array([[1.0, 0.0], [1.0, 1.0], [-3.0, 4.0]])
    velocity, expected = np.zeros(2), []
    for g in np.asarray(gradients):
        size = np.linalg.norm(velocity) * np.linalg.norm(g)
        beta = 0.2 + 0.7 * (1 + (velocity @ g / size if size else 0)) / 2
        velocity = beta * velocity + (1 - beta) * g
        expected.append(beta)
    makers = (
        mo.ema_momentum(0.1, rule),
        mo.ema_momentum(0.1, rule, weight_decay=0.5),
        mo.ema(rule),
        mo.ema(rule, debias=False),
        mo.rules.build(mo.ema, rule, debias=False),
    )
    for tx in makers:
        params = jnp.array([5.0, -7.0])
        state = tx.init(params)
        for g, beta in zip(gradients, expected, strict=True):
            _, state = tx.update(g, state, params)
            np.testing.assert_allclose(state.values["beta"], beta, rtol=1e-6)


def test_extremes_stay_between_the_limits():
    tx = mo.heavy_ball(0.1, mo.rules.alignment(0.5, 0.9, 0.0))
    update = jax.jit(tx.update)
    state = tx.init(jnp.zeros(3))
    for g in (0.0, 1e-30, 1e30, -1e30, 3e38, 1.0):
        _, state = update(jnp.full(3, g), state)
        assert 0.5 <= float(state.values["beta"]) <= 0.9
    with pytest.raises(ValueError, match="low must be at most high"):
        mo.rules.alignment(0.9, 0.5)
