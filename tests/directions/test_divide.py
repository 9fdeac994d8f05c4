"""Quotients of transformations, and Adam as one of them."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import oracles
import pytest
from helpers import START, STEPS, assert_close, curved, descend, feed, moving, noise

import momentum_optax as mo

GRADIENTS = noise(30, 5)


def adam(learning_rate, b1, b2, eps=1e-8, eps_root=0.0, nesterov=False):
    direction = mo.divide(mo.ema(b1, nesterov=nesterov), by=mo.root_mean_square(b2, eps, eps_root))
    return optax.chain(direction, mo.scale_by_learning_rate(learning_rate))


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize(
    "numbers",
    [
        {"learning_rate": 0.05, "b1": 0.9, "b2": 0.999},
        {"learning_rate": moving(0.05), "b1": moving(0.9), "b2": moving(0.99), "eps": 1e-3, "eps_root": 1e-4},
    ],
)
def test_adam_is_an_average_divided_by_a_root_mean_square(numbers, nesterov):
    ours = descend(adam, numbers | {"nesterov": nesterov}).params
    assert_close(ours, oracles.adam(curved, START, STEPS, **numbers, nesterov=nesterov))


@pytest.mark.parametrize("nesterov", [False, True])
def test_it_is_optax_adam_up_to_rounding(nesterov):
    """Not bit for bit: the weights are kept as averages of ones, which do not cancel, not as `1 - b ** count`."""
    ours = feed(adam(0.1, 0.9, 0.999, nesterov=nesterov), GRADIENTS)[0]
    theirs = feed(optax.adam(0.1, 0.9, 0.999, nesterov=nesterov), GRADIENTS)[0]
    assert_close(ours, theirs)


def test_it_is_optax_adam_up_to_rounding_in_float32():
    """Optax's `1 - .999 ** count` has lost up to three digits at first; hence the tolerance."""

    def run(tx):
        body = lambda state, g: tx.update(g, state)[::-1]  # noqa: E731
        return jax.lax.scan(body, tx.init(jnp.zeros(5)), jnp.asarray(GRADIENTS, jnp.float32))[1]

    with jax.enable_x64(False):
        ours, theirs = jax.jit(lambda: (run(adam(0.1, 0.9, 0.999)), run(optax.adam(0.1, 0.9, 0.999))))()
        assert ours.dtype == jnp.float32
    exact = feed(adam(0.1, 0.9, 0.999), GRADIENTS.astype(np.float32).astype(np.float64))[0]
    assert_close(ours, exact, 1e-6)
    assert_close(ours, theirs, 1e-4)


def test_aggregated_momentum_can_stand_above_the_line():
    tx = mo.divide(mo.scale_by_aggmo((0.0, 0.9)), by=mo.root_mean_square(0.99, 1e-3))
    above = (GRADIENTS + oracles.trace(GRADIENTS, 0.9)) / 2
    assert_close(feed(tx, GRADIENTS)[0], above / oracles.root_mean_square(GRADIENTS, 0.99, 1e-3))


def test_a_small_eps_does_its_work_in_low_precision():
    """Each side alone would be rounded: in float16 1e-8 is 0, in bfloat16 1.003 is 1."""
    tx = mo.divide(mo.identity(), by=mo.root_mean_square(0.9, 1e-8))
    updates, _ = tx.update(jnp.zeros(3, jnp.float16), tx.init(jnp.zeros(3, jnp.float16)))
    assert updates.dtype == jnp.float16
    np.testing.assert_array_equal(updates, np.zeros(3))
    tx = mo.divide(mo.identity(), by=mo.root_mean_square(0.0, 3 * 2.0**-10))
    updates, _ = tx.update(jnp.ones((), jnp.bfloat16), tx.init(jnp.ones((), jnp.bfloat16)))
    assert updates.dtype == jnp.bfloat16
    assert float(updates) == 1 - 2.0**-8


def test_params_and_extra_arguments_reach_both_sides():
    def update(updates, state, params=None, *, by, **extra):
        return jax.tree.map(lambda p: p + by, params), state

    needy = optax.GradientTransformationExtraArgs(lambda params: optax.EmptyState(), update)
    tx = mo.divide(mo.identity(), by=needy)
    updates, _ = tx.update(jnp.full(2, 6.0), tx.init(jnp.zeros(2)), jnp.ones(2), by=2.0, other=0)
    np.testing.assert_array_equal(updates, [2.0, 2.0])


def test_what_is_no_transformation_is_refused():
    with pytest.raises(TypeError, match="numerator must be a gradient transformation; got 3"):
        mo.divide(3, by=mo.identity())
    with pytest.raises(TypeError, match="by must be a gradient transformation; got None"):
        mo.divide(mo.identity(), by=None)
