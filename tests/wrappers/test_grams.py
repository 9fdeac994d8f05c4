"""Grams: magnitudes of the update, signs of the gradient."""

import jax
import numpy as np
import optax
import oracles
import pytest
from helpers import assert_close, feed, moving, noise, split

import momentum_optax as mo

GRADIENTS = noise(40, 5)
GRADIENTS[5] = 0


@pytest.mark.parametrize("tx", [mo.heavy_ball(moving(0.1), moving(0.9)), optax.adam(0.1), mo.ema_momentum(0.1)])
def test_magnitudes_are_those_of_the_optimizer_and_signs_those_of_the_gradient(tx):
    found, states = feed(mo.grams(tx), GRADIENTS)
    plain, inner = feed(tx, GRADIENTS)
    assert_close(found[:5], (-np.abs(plain) * np.sign(GRADIENTS))[:5])
    assert np.all(found[5] == 0)
    assert_close(found[6:], (-np.abs(plain) * np.sign(GRADIENTS))[6:])
    for mine, theirs in zip(jax.tree.leaves(states.inner_state), jax.tree.leaves(inner), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-12)


def test_around_adam_it_is_the_paper_s():
    """Cao, Li and Song 2024, Algorithm 1: `-lr |m_hat / (sqrt(v_hat) + eps)| sign(g)`."""
    g = noise(40, 5, seed=7)
    m, v = oracles.ema(g, 0.9), oracles.ema(g**2, 0.999)
    assert_close(feed(mo.grams(mo.adam(0.1)), g)[0], -0.1 * np.abs(m / (np.sqrt(v) + 1e-8)) * np.sign(g))


def test_a_part_goes_up_the_gradient():
    tx = mo.grams(mo.trace({"w": 0.9, "b": moving(0.5)}), downhill=False)
    found, _ = feed(tx, split(GRADIENTS[6:]))
    g = GRADIENTS[6:]
    assert_close(found["w"], np.abs(oracles.trace(g[:, :3], 0.9)) * np.sign(g[:, :3]))
    assert_close(found["b"]["deep"], np.abs(oracles.trace(g[:, 3:], moving(0.5))) * np.sign(g[:, 3:]))


def test_a_complex_step_has_the_phase_of_the_gradient():
    z = noise(40, 5) + 1j * noise(40, 5, seed=1)
    found, plain = (feed(tx, z)[0] for tx in (mo.grams(mo.heavy_ball(0.1)), mo.heavy_ball(0.1)))
    assert_close(found, -np.abs(plain) * z / np.abs(z))
