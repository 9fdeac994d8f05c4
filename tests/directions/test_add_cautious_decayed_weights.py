"""Cautious weight decay."""

import jax.numpy as jnp
import numpy as np
import optax
import oracles_signs
import pytest
from helpers import assert_close, feed, moving, noise, split

import momentum_optax as mo

GRADIENTS, PARAMS = noise(30, 5), noise(30, 5, seed=1)


@pytest.mark.parametrize("decay", [0.3, moving(0.5), 0.0])
def test_it_is_the_paper_s(decay):
    gradients, params = GRADIENTS.copy(), PARAMS.copy()
    gradients[3], params[4] = 0, 0
    found, _ = feed(mo.add_cautious_decayed_weights(decay), gradients, params)
    at = np.array([decay(count) if callable(decay) else decay for count in range(30)])[:, None]
    assert_close(found, oracles_signs.cautious_weight_decay(gradients, params, at))


def test_mask_and_decay_may_differ_from_leaf_to_leaf():
    tx = mo.add_cautious_decayed_weights({"w": 0.3, "b": moving(0.5)}, {"w": False, "b": True})
    found, _ = feed(tx, split(GRADIENTS), split(PARAMS))
    assert np.array_equal(found["w"], GRADIENTS[:, :3])
    at = np.array([moving(0.5)(count) for count in range(30)])[:, None]
    assert_close(found["b"]["deep"], oracles_signs.cautious_weight_decay(GRADIENTS, PARAMS, at)[:, 3:])


def test_the_minimum_of_the_loss_stays_where_it_is():
    """Plain decay moves the minimum of (x - 1)^2 / 2 to 1 / (1 + decay); cautious decay does not."""

    def end(decay):
        tx, x = optax.chain(mo.ema(0.5), decay, mo.scale_by_learning_rate(0.1)), jnp.array(0.2)
        state = tx.init(x)
        for _ in range(200):
            u, state = tx.update(x - 1, state, x)
            x = x + u
        return float(x)

    assert end(mo.add_decayed_weights(0.5)) == pytest.approx(1 / 1.5, abs=1e-4)
    assert end(mo.add_cautious_decayed_weights(0.5)) == pytest.approx(1, abs=1e-4)


def test_numbers_whose_product_is_too_small_agree_or_do_not():
    p = jnp.array([1e-30, -1e-30])
    tx = mo.add_cautious_decayed_weights(1.0)
    found, _ = tx.update(jnp.full(2, 1e-30), tx.init(p), p)
    np.testing.assert_allclose(found, [2e-30, 1e-30], rtol=1e-6)


def test_bad_arguments():
    tx = mo.add_cautious_decayed_weights(0.1)
    with pytest.raises(ValueError, match="weight_decay needs the params"):
        tx.update(jnp.ones(2), tx.init(jnp.ones(2)))
    with pytest.raises(ValueError, match="weight_decay must be finite"):
        mo.add_cautious_decayed_weights(float("nan"))
    with pytest.raises(ValueError, match="mask is a tree that does not fit"):
        mo.add_cautious_decayed_weights(0.1, {"x": True}).init({"w": jnp.ones(2)})
