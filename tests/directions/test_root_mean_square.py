"""Adam's denominator."""

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
from helpers import assert_close, feed, moving, noise, split

import momentum_optax as mo

GRADIENTS = noise(30, 5)


@pytest.mark.parametrize("debias", [True, False])
@pytest.mark.parametrize("b2", [0.999, 0.0, moving(0.99)])
@pytest.mark.parametrize("eps_root", [0.0, 1e-3])
def test_root_mean_square_is_the_denominator_in_the_paper(b2, debias, eps_root):
    updates, _ = feed(mo.root_mean_square(b2, 1e-4, eps_root, debias=debias), GRADIENTS)
    assert_close(updates, oracles.root_mean_square(GRADIENTS, b2, 1e-4, eps_root=eps_root, debias=debias))


def test_each_leaf_has_its_own_numbers():
    tx = mo.root_mean_square({"w": 0.9, "b": moving(0.99)}, {"w": 1e-3, "b": 0.1}, {"w": moving(0.1), "b": 0})
    updates, _ = feed(tx, split(GRADIENTS))
    w, b = GRADIENTS[:, :3], GRADIENTS[:, 3:]
    inside = np.array([moving(0.1)(count) for count in range(30)])[:, None]
    assert_close(updates["w"], np.sqrt(oracles.ema(w**2, 0.9) + inside) + 1e-3)
    assert_close(updates["b"]["deep"], oracles.root_mean_square(b, moving(0.99), 0.1))


def test_the_root_mean_square_of_a_constant_is_its_size():
    updates, _ = feed(mo.root_mean_square(moving(0.999), 0.0), np.full((30, 2), -2.5))
    np.testing.assert_allclose(updates, 2.5, rtol=1e-14)


def test_a_complex_gradient_counts_by_its_magnitude():
    z = GRADIENTS + 1j * noise(30, 5, seed=1)
    updates, states = feed(mo.root_mean_square(0.9, 0.0), z)
    assert states.second_moment.dtype == np.float64
    assert updates.dtype == np.complex128
    np.testing.assert_array_equal(updates.imag, 0)
    assert_close(updates.real, np.sqrt(oracles.ema(z.real**2 + z.imag**2, 0.9)))


def test_the_derivative_is_finite_at_a_zero_gradient():
    tx = mo.root_mean_square(0.9)
    slope = jax.grad(lambda g: tx.update(g, tx.init(jnp.zeros(())))[0])(jnp.zeros(()))
    assert float(slope) == 0.0


def test_numbers_out_of_range_are_refused_by_name():
    with pytest.raises(ValueError, match=r"b2 must be in \[0, 1\); got 1.0"):
        mo.root_mean_square(1.0)
    with pytest.raises(ValueError, match="eps must be finite and at least 0; got -1e-08"):
        mo.root_mean_square(0.9, -1e-8)
    with pytest.raises(ValueError, match="eps_root must be finite and at least 0; got inf"):
        mo.root_mean_square(0.9, 0.0, float("inf"))
    with pytest.raises(ValueError, match=r"eps_root is a tree.*no such leaf for eps_root\['x'\]"):
        mo.root_mean_square(0.9, 0.0, {"x": 0.1, "w": 0.1}).init({"w": jnp.ones(2)})
