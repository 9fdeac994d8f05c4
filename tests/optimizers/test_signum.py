"""Signum: the sign of an average."""

import jax.numpy as jnp
import numpy as np
import optax
import oracles_signs
import pytest
from helpers import assert_close, feed, moving, noise, per_leaf, split

import momentum_optax as mo

GRADIENTS = noise(40, 5)
PARAMS = noise(40, 5, seed=8)


@pytest.mark.parametrize("beta", [0.9, 0.0, moving(0.95)])
def test_it_is_the_published_method(beta):
    steps, _ = feed(mo.signum(moving(0.1), beta, weight_decay=0.3), GRADIENTS, PARAMS)
    rate = np.array([moving(0.1)(count) for count in range(40)])[:, None]
    assert_close(steps, -rate * (oracles_signs.signum(GRADIENTS, beta) + 0.3 * PARAMS))


def test_each_leaf_has_its_own_beta():
    signs, _ = feed(mo.scale_by_signum({"w": 0.0, "b": moving(0.9)}), split(GRADIENTS))
    expected = split(oracles_signs.signum(GRADIENTS, lambda count: per_leaf(0.0, moving(0.9)(count))))
    assert np.array_equal(signs["w"], expected["w"])
    assert np.array_equal(signs["b"]["deep"], expected["b"]["deep"])


def test_it_is_optax_signum():
    for args in ((0.1,), (0.1, 0.8), (0.1, 0.8, jnp.float64)):
        assert_close(feed(mo.signum(*args), GRADIENTS)[0], feed(optax.signum(*args), GRADIENTS)[0])


def test_a_velocity_too_small_for_the_gradient_s_dtype_has_a_sign():
    """The sign is taken before anything is rounded to float16, where 1e-8 is 0."""
    tx = mo.scale_by_signum(0.9, state_dtype=jnp.float32)
    gradient = jnp.asarray([6e-8, -6e-8], jnp.float16)
    update, _ = tx.update(gradient, tx.init(gradient))
    assert np.array_equal(update, [1.0, -1.0])
    assert update.dtype == jnp.float16


def test_a_wrong_dtype_is_refused_by_name():
    with pytest.raises(TypeError, match="accumulator_dtype must be a floating dtype"):
        mo.signum(0.1, 0.9, jnp.int8)
