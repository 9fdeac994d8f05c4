"""The hypergradient rule against NumPy, and its slope against that of the loss."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import oracles_rules
import pytest
from helpers import MATRIX, START, assert_close, curved, descend, moving

import momentum_optax as mo

GROUPS = ([0, 1, 2], [3, 4])
NUMBERS = {"rate": 1e-2, "start": 0.8, "low": 0.5, "high": 0.9}


@pytest.mark.parametrize("each_leaf", [False, True])
def test_the_run_is_that_of_the_formula(each_leaf):
    """Also under a schedule of the learning rate, and with weight decay, which beta does not change."""

    def build(**numbers):
        rule = mo.rules.hypergradient(**numbers, each_leaf=each_leaf)
        return mo.heavy_ball(moving(0.02), rule, weight_decay=0.3)

    expected, betas = oracles_rules.hypergradient(
        curved, START, 30, moving(0.02), **NUMBERS, groups=GROUPS if each_leaf else None, decay=0.3
    )
    assert_close(descend(build, NUMBERS, traced=True).params, expected)
    assert betas.max() == 0.9
    assert betas.min() < 0.8


def test_in_the_place_of_a_learning_rate_it_is_hypergradient_descent():
    def build(rate):
        return mo.heavy_ball(mo.rules.hypergradient(rate, start=0.01), 0.0)

    expected, rates = oracles_rules.hypergradient_descent(curved, START, 30, 0.01, 1e-5)
    assert_close(descend(build, {"rate": 1e-5}).params, expected)
    assert rates[-1] > 1.2 * rates[0]


def loss(x):
    return x @ MATRIX @ x / 2 + 0.025 * jnp.sum(x**4)


def blended(learning_rate, beta):
    velocities = mo.blend((0.5, mo.identity()), (2.0, mo.trace(beta, nesterov=True)))
    return optax.chain(velocities, mo.scale_by_learning_rate(learning_rate))


METHODS = {
    "heavy_ball": lambda b: mo.heavy_ball(0.02, b),
    "lr_in_velocity": lambda b: mo.heavy_ball(0.02, b, lr_in_velocity=True, weight_decay=0.1),
    "nesterov": lambda b: mo.nesterov(0.02, b),
    "ema_momentum": lambda b: mo.ema_momentum(0.05, b, weight_decay=0.1),
    "qhm": lambda b: mo.qhm(0.05, b, nu=0.6),
    "nu": lambda b: mo.qhm(0.05, 0.9, nu=b),
    "aggmo": lambda b: mo.aggmo(0.02, (0.0, b, 0.95)),
    "blend": lambda b: mo.rules.build(blended, 0.01, b),
    "adam": lambda b: mo.rules.build(optax.adam, 0.05, b1=b),
    "sgd": lambda b: mo.rules.build(optax.sgd, 0.02, momentum=b, nesterov=True),
}
UNBUILT = {
    "blend": lambda b: blended(0.01, b),
    "adam": lambda b: optax.adam(0.05, b1=b),
    "sgd": lambda b: optax.sgd(0.02, momentum=b, nesterov=True),
}


@pytest.mark.parametrize("name", METHODS)
def test_the_slope_is_the_derivative_of_the_loss_by_the_last_value(name):
    """By a number in the place of the rule, in the state as it was before the last step."""
    rate, start = 1e-4, 0.7
    tx = METHODS[name](mo.rules.hypergradient(rate, start, 0.0, 0.99))

    def plain(beta, state, x):
        chosen = UNBUILT.get(name, METHODS[name])(beta)
        return loss(x + chosen.update(jax.grad(loss)(x), state, x)[0])

    with jax.enable_x64(True):
        x = jnp.asarray(START)
        update, slope = jax.jit(tx.update), jax.jit(jax.grad(plain))
        state, seen = tx.init(x), []
        expected = start
        for t in range(5):
            before, point = state, x
            updates, state = update(jax.grad(loss)(x), state, x)
            x = x + updates
            if t:
                expected = np.clip(expected - rate * seen[-1], 0, 0.99)
            np.testing.assert_allclose(_value(state), expected, rtol=1e-12)
            seen.append(float(slope(jnp.asarray(expected), _inner(before), point)))
        assert abs(seen[2]) > 1e-3


def _value(state):
    """The value that the one rule in the state decided on."""
    values = optax.tree.get_all_with_path(state, "values")
    (found,) = [leaf for _, tree in values for leaf in jax.tree.leaves(tree)]
    return found


def _inner(state):
    """The state as it is without rules."""
    kind = type(mo.heavy_ball(0.1, mo.rules.alignment()).init(jnp.zeros(2)))
    return jax.tree.map(
        lambda x: x.inner_state if isinstance(x, kind) else x, state, is_leaf=lambda x: isinstance(x, kind)
    )


def test_in_a_filter_the_step_has_learning_rate_one():
    tx = optax.chain(mo.trace(mo.rules.hypergradient(0.01, 0.5, high=0.9)), optax.scale(-0.1))
    state = tx.init(jnp.zeros(()))
    for expected in (0.5, 0.5, 0.5 + 0.01 * 2.0 * 2.0):  # the velocity before the last one is the first gradient, 2
        _, state = tx.update(jnp.asarray(2.0), state)
        np.testing.assert_allclose(_value(state), expected, rtol=1e-6)


def test_at_rate_zero_nothing_moves():
    with jax.enable_x64(True):
        still = descend(lambda rate: mo.heavy_ball(0.02, mo.rules.hypergradient(rate, 0.8)), {"rate": 0.0})
        assert_close(still.params, descend(mo.heavy_ball, {"learning_rate": 0.02, "beta": 0.8}).params, 1e-15)


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ({"rate": -1.0}, "rate must be finite and at least 0"),
        ({"rate": 0.1, "high": 1.0}, r"high must be in \[0, 1\)"),
        ({"rate": 0.1, "start": 0.9, "high": 0.8}, "start must be at most high"),
        ({"rate": 0.1, "start": 0.2, "low": 0.3}, "low must be at most start"),
        ({"rate": 0.1, "start": 0.99, "high": 0.8, "low": 0.9}, "low must be at most start|start must be at most high"),
    ],
)
def test_bad_numbers_are_refused(numbers, words):
    with pytest.raises(ValueError, match=words):
        mo.rules.hypergradient(**numbers)
