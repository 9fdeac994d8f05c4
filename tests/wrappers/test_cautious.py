"""Cautious optimizers: the authors' mask, around anything."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import oracles
import oracles_signs
import pytest
from helpers import assert_close, feed, moving, noise, split

import momentum_optax as mo

GRADIENTS = noise(40, 5)


def masked(updates, gradients, eps=1e-3):
    return np.array([oracles_signs.cautious(u, g, eps) for u, g in zip(updates, gradients, strict=True)])


@pytest.mark.parametrize("eps", [1e-3, 0.9])
@pytest.mark.parametrize(
    "tx", [mo.heavy_ball(moving(0.1), 0.9), mo.qhm(0.1, moving(0.9)), optax.adam(0.1), mo.lion(0.1, weight_decay=None)]
)
def test_each_leaf_is_masked_by_its_own_gradient(tx, eps):
    found, states = feed(mo.cautious(tx, eps), split(GRADIENTS))
    plain, inner = feed(tx, split(GRADIENTS))
    assert_close(found["w"], masked(plain["w"], GRADIENTS[:, :3], eps))
    assert_close(found["b"]["deep"], masked(plain["b"]["deep"], GRADIENTS[:, 3:], eps))
    for mine, theirs in zip(jax.tree.leaves(states.inner_state), jax.tree.leaves(inner), strict=True):
        np.testing.assert_allclose(
            mine, theirs, rtol=1e-12
        )  # what is remembered is not changed, nor what it is debiased by


def test_beta_may_be_that_of_each_leaf():
    tx = mo.cautious(mo.trace({"w": 0.9, "b": moving(0.5)}), downhill=False)
    found, _ = feed(tx, split(GRADIENTS))
    velocity = oracles.trace(GRADIENTS[:, :3], 0.9)
    assert_close(found["w"], -masked(-velocity, GRADIENTS[:, :3]))
    velocity = oracles.trace(GRADIENTS[:, 3:], moving(0.5))
    assert_close(found["b"]["deep"], -masked(-velocity, GRADIENTS[:, 3:]))


def test_the_published_order_has_the_decay_outside():
    params = noise(40, 5, seed=2)
    direction = mo.cautious(mo.scale_by_lion(0.9, 0.99), downhill=False)
    tx = optax.chain(direction, mo.add_decayed_weights(0.1), mo.scale_by_learning_rate(0.01))
    signs = oracles_signs.lion(GRADIENTS, 0.9, 0.99)
    assert_close(feed(tx, GRADIENTS, params)[0], -0.01 * (-masked(-signs, GRADIENTS) + 0.1 * params))


def test_no_step_goes_uphill():
    found, _ = feed(mo.cautious(mo.heavy_ball(0.1, 0.99)), GRADIENTS)
    assert np.all(found * GRADIENTS <= 0)
    assert np.mean(found == 0) > 0.2


def test_of_complex_numbers_both_parts_go_together():
    z = GRADIENTS + 1j * noise(40, 5, seed=1)
    found, plain = (feed(tx, z)[0] for tx in (mo.cautious(mo.heavy_ball(0.1)), mo.heavy_ball(0.1)))
    mask = (-plain * z.conj()).real > 0
    assert_close(found, plain * mask / np.maximum(mask.mean(-1, keepdims=True), 1e-3))


def test_where_nothing_agrees_nothing_moves():
    tx = mo.cautious(mo.heavy_ball(0.1, 0.9))
    state = tx.init(jnp.ones(3))
    for g, moves in ((1.0, True), (-0.1, False)):
        updates, state = tx.update(jnp.full(3, g), state)
        assert np.all((updates != 0) == moves)


def test_what_is_not_finite_is_not_hidden():
    tx = mo.cautious(mo.heavy_ball(0.1, 0.9))
    updates, _ = tx.update(jnp.array([jnp.nan, jnp.inf, 1.0]), tx.init(jnp.ones(3)))
    assert np.array_equal(np.isfinite(updates), [False, False, True])


def test_bad_arguments():
    with pytest.raises(ValueError, match="eps must be finite and above 0; got 0"):
        mo.cautious(mo.heavy_ball(0.1), 0)
    with pytest.raises(TypeError, match="eps must be one number"):
        mo.cautious(mo.heavy_ball(0.1), lambda count: 0.1)
