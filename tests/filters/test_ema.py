"""The moving average, and what debiasing promises."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import oracles
import pytest
from helpers import assert_close, feed, moving, noise, split

import momentum_optax as mo

GRADIENTS = noise(30, 5)


def jump(count):
    """.5 for ten updates, .99 from then on; for NumPy and JAX."""
    return jnp.where(count < 10, 0.5, 0.99) if isinstance(count, jax.Array) else (0.5 if count < 10 else 0.99)


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("debias", [False, True])
@pytest.mark.parametrize("beta", [0.9, 0.0, moving(0.9), jump])
def test_ema_is_the_average_in_the_paper(beta, debias, nesterov):
    updates, _ = feed(mo.ema(beta, debias=debias, nesterov=nesterov), GRADIENTS)
    assert_close(updates, oracles.ema(GRADIENTS, beta, debias=debias, nesterov=nesterov))


@pytest.mark.parametrize("nesterov", [False, True])
def test_optax_schedules_are_exact_in_float64(nesterov):
    tx = mo.ema(optax.linear_schedule(0.5, 0.99, 20), nesterov=nesterov)
    expected = oracles.ema(GRADIENTS, lambda count: 0.5 + 0.49 * min(count, 20) / 20, nesterov=nesterov)
    assert_close(feed(tx, GRADIENTS)[0], expected)


@pytest.mark.parametrize("beta", [0.999999, moving(0.99), jump])
def test_the_average_of_a_constant_is_that_constant(beta):
    updates, _ = feed(mo.ema(beta), np.full((30, 2), 3.7))
    np.testing.assert_allclose(updates, 3.7, rtol=1e-14)


def test_dividing_by_a_power_of_beta_would_not_give_the_constant():
    """What debiasing by `1 - beta ** count` makes of a constant gradient after the jump."""
    updates, states = feed(mo.ema(jump), np.ones((30, 1)))
    naive = states.velocity[10] / (1 - 0.99**11)
    assert abs(naive - 1) > 1
    np.testing.assert_allclose(updates[10], 1, rtol=1e-14)


@pytest.mark.parametrize("beta", [0.9, moving(0.99), jump])
def test_the_weight_is_one_minus_the_product_of_betas(beta):
    _, states = feed(mo.ema(beta), GRADIENTS)
    betas = [float(beta(count) if callable(beta) else beta) for count in range(30)]
    np.testing.assert_allclose(states.weight, 1 - np.cumprod(betas), rtol=1e-13)


def test_the_weight_does_not_cancel_when_beta_is_close_to_one():
    """In float32 `1 - beta ** count` keeps two digits of this weight; the average of ones keeps all."""
    tx = mo.ema(1 - 2.0**-20)
    state = tx.init(jnp.zeros(()))
    _, state = tx.update(jnp.ones(()), state)
    np.testing.assert_allclose(state.weight, 2.0**-20, rtol=1e-7)


def test_ema_is_optax_ema_where_beta_is_constant():
    for debias in (False, True):
        ours, _ = feed(mo.ema(0.9, debias=debias), GRADIENTS)
        theirs, _ = feed(optax.ema(0.9, debias), GRADIENTS)
        assert_close(ours, theirs)


def test_the_nesterov_average_is_the_numerator_of_optax_nadam():
    """Divided by the same denominator, which `eps` makes all but constant."""
    ours, _ = feed(mo.ema(0.9, nesterov=True), GRADIENTS)
    theirs, _ = feed(optax.scale_by_adam(0.9, 0.999, eps=1e8, nesterov=True), GRADIENTS)
    assert_close(ours, 1e8 * theirs, 1e-7)


def test_each_leaf_has_the_beta_and_the_weight_of_its_name():
    betas = {"w": moving(0.9), "b": 0.5}
    updates, states = feed(mo.ema(betas, nesterov=True), split(GRADIENTS))
    assert_close(updates["w"], oracles.ema(GRADIENTS[:, :3], moving(0.9), nesterov=True))
    assert_close(updates["b"]["deep"], oracles.ema(GRADIENTS[:, 3:], 0.5, nesterov=True))
    np.testing.assert_allclose(states.weight["b"], 1 - 0.5 ** np.arange(1.0, 31), rtol=1e-14)


def test_a_leaf_that_sits_steps_out_is_debiased_by_its_own_steps():
    present = [False, True, True, False, False, True, False, True]
    g = noise(8, 2)
    with jax.enable_x64(True):
        tx = mo.ema({"often": 0.8, "rare": 0.9})
        state = tx.init({"often": jnp.zeros(2), "rare": jnp.zeros(2)})
        often, rare = [], []
        for t, here in enumerate(present):
            updates, state = tx.update({"often": jnp.asarray(g[t]), "rare": jnp.asarray(g[t]) if here else None}, state)
            often.append(updates["often"])
            if here:
                rare.append(updates["rare"])
            else:
                assert updates["rare"] is None
    assert_close(often, oracles.ema(g, 0.8))
    assert_close(rare, oracles.ema(g[present], 0.9))
    np.testing.assert_allclose(state.weight["rare"], 1 - 0.9 ** sum(present), rtol=1e-14)


def test_traced_betas_give_the_numbers_of_single_runs():
    betas = np.array([0.0, 0.5, 0.999])
    with jax.enable_x64(True):

        def last(beta):
            tx = mo.ema(beta, nesterov=True)
            body = lambda state, g: tx.update(g, state)[::-1]  # noqa: E731
            return jax.lax.scan(body, tx.init(jnp.zeros(5)), jnp.asarray(GRADIENTS))[1]

        swept = np.asarray(jax.jit(jax.vmap(last))(jnp.asarray(betas)))
    for lane, beta in zip(swept, betas, strict=True):
        assert_close(lane, oracles.ema(GRADIENTS, beta, nesterov=True))


def test_real_and_imaginary_parts_are_averaged_apart():
    z = GRADIENTS + 1j * noise(30, 5, seed=1)
    updates, _ = feed(mo.ema(0.9), z)
    assert_close(updates, oracles.ema(z.real, 0.9) + 1j * oracles.ema(z.imag, 0.9))


def test_a_narrow_velocity_is_rounded_once_a_step_and_used_as_stored():
    updates, states = feed(mo.ema(0.5, debias=False, state_dtype=np.float32), GRADIENTS)
    velocity, expected = np.zeros(5, np.float32), []
    for g in GRADIENTS:
        velocity = (0.5 * velocity.astype(np.float64) + 0.5 * g).astype(np.float32)
        expected.append(velocity)
    assert states.velocity.dtype == np.float32
    np.testing.assert_array_equal(states.velocity, expected)
    np.testing.assert_array_equal(updates, states.velocity)


def test_a_ramp_is_followed_with_the_lag_of_the_theory():
    t, b = np.arange(1.0, 31.0), 0.9
    updates, _ = feed(mo.ema(b), t[:, None])
    assert_close(updates[:, 0], t - (b / (1 - b) - t * b**t / (1 - b**t)))
