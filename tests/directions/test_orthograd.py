"""OrthoGrad against its paper."""

import jax
import jax.numpy as jnp
import numpy as np
import oracles_signs
import pytest
from helpers import assert_close, feed, noise

import momentum_optax as mo

GRADIENTS, PARAMS = noise(8, 4, 3), noise(8, 4, 3, seed=1)


def test_it_is_the_paper_s_projection():
    found, _ = feed(mo.orthograd(), {"w": GRADIENTS, "b": GRADIENTS[:, 0]}, {"w": PARAMS, "b": PARAMS[:, 0]})
    for t in range(8):
        assert_close(found["w"][t], oracles_signs.orthograd(GRADIENTS[t], PARAMS[t]))
        assert_close(found["b"][t], oracles_signs.orthograd(GRADIENTS[t, 0], PARAMS[t, 0]))
    np.testing.assert_allclose(np.sum(found["w"] * PARAMS, (1, 2)), 0, atol=1e-12)


def test_complex_leaves_are_projected_as_their_two_parts():
    z, p = GRADIENTS[..., 0] + 1j * GRADIENTS[..., 1], PARAMS[..., 0] + 1j * PARAMS[..., 1]
    both = lambda x: np.stack([x.real, x.imag], -1)  # noqa: E731
    found, expected = feed(mo.orthograd(), z, p)[0], feed(mo.orthograd(), both(z), both(p))[0]
    assert_close(both(found), expected)


def run(g, p):
    tx = mo.orthograd()
    return tx.update(jnp.asarray(g), tx.init(jnp.asarray(g)), jnp.asarray(p))[0]


def test_what_has_nothing_to_project_passes():
    g = jnp.array([1.0, -2.0])
    assert np.array_equal(run(g, jnp.zeros(2)), g)  # params of 0 point nowhere
    assert run(3.0, 2.0) == 3.0  # a single number has no other direction
    assert run(jnp.ones((0, 2)), jnp.ones((0, 2))).shape == (0, 2)


def test_of_a_parallel_gradient_nothing_is_left_and_no_noise_is_blown_up():
    p = jnp.asarray(noise(50), jnp.float32)
    assert np.all(run(0.3 * p, p) == 0)
    assert np.all(run(0.3 * p + 1e-5 * jnp.asarray(noise(50, seed=2), jnp.float32), p) == 0)
    assert np.all(run(jnp.zeros(50), p) == 0)


@pytest.mark.parametrize("size", [1e-30, 1e30])
def test_sizes_whose_squares_are_no_numbers_are_projected(size):
    g, p = jnp.asarray(GRADIENTS[0] * size, jnp.float32), jnp.asarray(PARAMS[0], jnp.float32)
    found = np.asarray(run(g, p), np.float64) / size
    w = PARAMS[0] / np.linalg.norm(PARAMS[0])
    across = GRADIENTS[0] - np.sum(w * GRADIENTS[0]) * w
    np.testing.assert_allclose(found, across, rtol=1e-5, atol=1e-6)


def test_params_are_asked_for():
    with pytest.raises(ValueError, match="orthograd needs the params"):
        mo.orthograd().update(jnp.ones(2), mo.orthograd().init(jnp.ones(2)))


def test_the_derivative_is_finite_at_zero():
    assert np.all(np.isfinite(jax.jacobian(lambda g: run(g, jnp.ones(3)))(jnp.zeros(3))))
