"""The change of the gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import oracles
from helpers import MATRIX, assert_close, descend, feed, linear, noise

import momentum_optax as mo

GRADIENTS = noise(12, 5)


def test_difference_is_the_change_since_the_last_step_and_zero_at_first():
    updates, states = feed(mo.difference(), GRADIENTS)
    np.testing.assert_array_equal(updates, oracles.difference(GRADIENTS))
    np.testing.assert_array_equal(states.previous, GRADIENTS)


def test_a_complex_gradient_has_a_complex_change():
    z = GRADIENTS + 1j * noise(12, 5, seed=1)
    np.testing.assert_array_equal(feed(mo.difference(), z)[0][1:], z[1:] - z[:-1])


def test_a_narrow_memory_rounds_only_the_gradient_before():
    updates, states = feed(mo.difference(state_dtype=np.float32), GRADIENTS)
    assert states.previous.dtype == np.float32
    np.testing.assert_array_equal(updates[1:], GRADIENTS[1:] - GRADIENTS[:-1].astype(np.float32))


def test_on_a_quadratic_the_change_is_the_curvature_times_the_movement():
    xs = descend(mo.heavy_ball, {"learning_rate": 0.05, "beta": 0.5}, linear, steps=12).params
    changes, _ = feed(mo.difference(), linear(xs.T).T)
    assert_close(changes[1:], (xs[1:] - xs[:-1]) @ MATRIX, 1e-10)


def test_a_leaf_that_sits_out_is_compared_with_its_own_last_gradient():
    tx = mo.difference()
    state = tx.init({"a": jnp.zeros(()), "b": jnp.zeros(())})
    seen = []
    for a, b in [(1.0, 1.0), (2.0, None), (4.0, None), (7.0, 5.0)]:
        updates, state = jax.jit(tx.update)({"a": jnp.asarray(a), "b": None if b is None else jnp.asarray(b)}, state)
        seen.append((float(updates["a"]), None if updates["b"] is None else float(updates["b"])))
    assert seen == [(0, 0), (1, None), (2, None), (3, 4)]
