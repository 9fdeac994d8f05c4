"""Torque-aware momentum."""

import jax.numpy as jnp
import numpy as np
import optax
import oracles_signs
import pytest
from helpers import assert_close, feed, moving, noise, split

import momentum_optax as mo

GRADIENTS = noise(40, 5) + 0.3


@pytest.mark.parametrize("numbers", [(0.9, 0.9, 1e-8), (0.5, 0.0, 0.1)])
def test_around_a_velocity_it_is_the_paper_s(numbers):
    beta, decay, eps = numbers
    found, _ = feed(mo.torque_aware(mo.heavy_ball(moving(0.1), beta), decay, eps), GRADIENTS)
    rate = np.array([moving(0.1)(count) for count in range(40)])[:, None]
    assert_close(found, -rate * oracles_signs.torque_aware_momentum(GRADIENTS, beta, decay, eps))


def test_each_leaf_has_its_own_angle_and_one_without_velocity_none():
    tree = {"w": GRADIENTS, "v": GRADIENTS[:, :2], "b": GRADIENTS[:, 3:]}
    found, states = feed(mo.torque_aware(mo.trace({"w": 0.9, "v": 0.8, "b": 0.0})), tree)
    assert_close(found["w"], oracles_signs.torque_aware_momentum(GRADIENTS, 0.9, 0.9, 1e-8))
    assert_close(found["v"], oracles_signs.torque_aware_momentum(GRADIENTS[:, :2], 0.8, 0.9, 1e-8))
    assert np.array_equal(found["b"], GRADIENTS[:, 3:])
    assert np.all(states.alignment["b"] == 0)


@pytest.mark.parametrize(
    ("tx", "downhill"),
    [
        (mo.ema_momentum(1.0, 0.9), False),
        (optax.sgd(0.1, momentum=0.9), False),
        (mo.heavy_ball(0.1, 0.9, lr_in_velocity=True), True),
        (optax.chain(optax.identity(), optax.masked(mo.heavy_ball(0.1, 0.9), True)), False),
    ],
)
def test_conventions_of_the_velocity_do_not_matter(tx, downhill):
    expected = -0.1 * oracles_signs.torque_aware_momentum(GRADIENTS, 0.9, 0.9, 1e-8)
    assert_close(feed(mo.torque_aware(tx, downhill=downhill), GRADIENTS)[0], expected)


def test_a_gradient_along_the_velocity_is_taken_in_and_one_against_it_is_not():
    tx = mo.torque_aware(mo.trace(0.5), decay=0.0, eps=0.0)
    along = feed(tx, np.array([[1.0, 0.0], [2.0, 0.0]]))[0]
    against = feed(tx, np.array([[1.0, 0.0], [-2.0, 0.0]]))[0]
    across = feed(tx, np.array([[1.0, 0.0], [0.0, 2.0]]))[0]
    np.testing.assert_allclose(along[1], [0.25 + 2.0, 0.0])
    np.testing.assert_allclose(against[1], [0.25, 0.0], atol=1e-15)
    np.testing.assert_allclose(across[1], [0.25, 1.0])


def test_what_is_debiased_stays_so():
    """Of a constant gradient, damped all alike once the alignment has settled."""
    found, _ = feed(mo.torque_aware(mo.ema(0.9), decay=0.0, eps=0.0), np.full((8, 3), 2.0))
    weights = 0.9 ** np.arange(8)
    first = 0.5 * weights[::1] * 0.1 / (0.1 * np.cumsum(weights))  # of the first gradient half was taken in
    np.testing.assert_allclose(found[:, 0], 2.0 * (1 - first), rtol=1e-12)


def test_several_velocities_are_added():
    blend = mo.blend((0.5, mo.trace(0.9)), (0.5, mo.trace(0.9)))
    found, alone = (feed(mo.torque_aware(tx), split(GRADIENTS))[0] for tx in (blend, mo.trace(0.9)))
    assert_close(found["w"], alone["w"])


def test_bad_arguments():
    with pytest.raises(ValueError, match="torque_aware found no velocity in the state of tx"):
        mo.torque_aware(optax.sgd(0.1)).init(jnp.ones(2))
    with pytest.raises(ValueError, match=r"decay must be in \[0, 1\); got 1"):
        mo.torque_aware(mo.trace(0.9), 1.0)
    with pytest.raises(ValueError, match="eps must be finite and at least 0"):
        mo.torque_aware(mo.trace(0.9), eps=-1.0)
