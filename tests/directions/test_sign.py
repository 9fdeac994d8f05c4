"""Signs, hard and smooth."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import assert_close, feed, moving, noise, split

import momentum_optax as mo

GRADIENTS = noise(30, 5)


def test_it_is_the_sign():
    gradients = np.concatenate([GRADIENTS, np.zeros((1, 5))])
    signs, _ = feed(mo.sign(), gradients)
    assert np.array_equal(signs, np.sign(gradients))
    assert np.array_equal(signs, feed(optax.scale_by_sign(), gradients)[0])


@pytest.mark.parametrize("smoothing", [0.3, moving(2.0)])
def test_it_may_be_smooth(smoothing):
    at = smoothing if callable(smoothing) else lambda count: smoothing
    size = np.array([at(count) for count in range(30)])[:, None]
    assert_close(feed(mo.sign(smoothing), GRADIENTS)[0], np.tanh(GRADIENTS / size))


def test_smoothing_is_that_of_each_leaf():
    signs, _ = feed(mo.sign({"w": 0.0, "b": 0.5}), split(GRADIENTS))
    assert np.array_equal(signs["w"], np.sign(GRADIENTS[:, :3]))
    assert_close(signs["b"]["deep"], np.tanh(GRADIENTS[:, 3:] / 0.5))


def test_a_complex_number_keeps_its_phase():
    z = GRADIENTS + 1j * noise(30, 5, seed=1)
    assert_close(feed(mo.sign(), z)[0], z / np.abs(z))
    assert_close(feed(mo.sign(0.5), z)[0], z / np.abs(z) * np.tanh(np.abs(z) / 0.5))
    zero = jnp.zeros(2, jnp.complex64)
    assert np.array_equal(mo.sign().update(zero, mo.sign().init(zero))[0], zero)


def test_a_traced_zero_is_the_hard_sign():
    g = jnp.array([-3.0, 0.0, 1e-30, 2.0])

    def signs(smoothing):
        tx = mo.sign(smoothing)
        return tx.update(g, tx.init(g))[0]

    found = jax.vmap(signs)(jnp.array([0.0, 1.0]))
    np.testing.assert_allclose(found, [np.sign(g), np.tanh(g)], rtol=1e-6)
    assert np.all(np.isfinite(jax.jacobian(signs)(0.0)))


@pytest.mark.parametrize("smoothing", [0.0, 0.5])
def test_what_is_not_finite_shows(smoothing):
    g = jnp.array([jnp.inf, -jnp.inf, jnp.nan, 3e38, 1.0])
    signs, _ = mo.sign(smoothing).update(g, mo.sign(smoothing).init(g))
    assert np.array_equal(np.isfinite(signs), [False, False, False, True, True])
    assert signs[3] == 1


def test_close_to_a_minimum_smooth_steps_become_small_and_hard_ones_do_not():
    def end(smoothing):
        tx = optax.chain(mo.ema(0.5, debias=False), mo.sign(smoothing), mo.scale_by_learning_rate(0.03))

        def body(carry, _):
            x, state = carry
            u, state = tx.update(x, state, x)
            return (x + u, state), None

        return jax.lax.scan(body, (jnp.ones(3), tx.init(jnp.ones(3))), None, 300)[0][0]

    assert np.all(np.abs(end(0.1)) < 1e-5)
    assert np.all(np.abs(end(0.0)) > 1e-3)


def test_numbers_out_of_range_are_refused_by_name():
    with pytest.raises(ValueError, match="smoothing must be finite and at least 0; got -1"):
        mo.sign(-1)
    with pytest.raises(TypeError, match="momentum needs floating or complex leaves"):
        mo.sign().init(jnp.ones(2, jnp.int32))
