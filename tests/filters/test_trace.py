"""The decaying sum against its paper."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import oracles
import pytest
from flax.core import FrozenDict
from helpers import assert_close, feed, moving, noise, split

import momentum_optax as mo

GRADIENTS = noise(30, 5)


def linear_schedule(count):
    """`optax.linear_schedule(0.5, 0.99, 20)` in NumPy."""
    return 0.5 + 0.49 * min(count, 20) / 20


@pytest.mark.parametrize("dampening", [0.0, 0.3, 1.0, moving(0.4)])
@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("beta", [0.9, 0.0, moving(0.9)])
def test_trace_is_the_sum_in_the_papers(beta, nesterov, dampening):
    updates, _ = feed(mo.trace(beta, nesterov=nesterov, dampening=dampening), GRADIENTS)
    assert_close(updates, oracles.trace(GRADIENTS, beta, nesterov=nesterov, dampening=dampening))


@pytest.mark.parametrize("nesterov", [False, True])
def test_optax_schedules_are_exact_in_float64(nesterov):
    tx = mo.trace(optax.linear_schedule(0.5, 0.99, 20), nesterov=nesterov)
    expected = oracles.trace(GRADIENTS, linear_schedule, nesterov=nesterov)
    assert_close(feed(tx, GRADIENTS)[0], expected)


def test_nesterov_with_one_beta_in_both_places_would_differ():
    """The extrapolation is by the beta of the next step; this is what the other choice gives."""
    velocity, shared = oracles.trace(GRADIENTS, linear_schedule), []
    for count, (g, v) in enumerate(zip(GRADIENTS, velocity, strict=True)):
        shared.append(g + linear_schedule(count) * v)
    tx = mo.trace(optax.linear_schedule(0.5, 0.99, 20), nesterov=True)
    assert np.max(np.abs(feed(tx, GRADIENTS)[0] - shared)) > 1e-2


@pytest.mark.parametrize("nesterov", [False, True])
def test_trace_is_optax_trace_where_beta_is_constant(nesterov):
    ours, _ = feed(mo.trace(0.9, nesterov=nesterov), GRADIENTS)
    theirs, _ = feed(optax.trace(0.9, nesterov), GRADIENTS)
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("container", [dict, FrozenDict])
def test_a_plain_dict_of_betas_gives_each_leaf_its_own(container):
    gradients = container(split(GRADIENTS))
    betas = {"w": moving(0.9), "b": {"deep": 0.5}}
    updates, _ = feed(mo.trace(betas, dampening={"w": 0.2, "b": 0}), gradients)
    assert type(updates) is container
    assert_close(updates["w"], oracles.trace(GRADIENTS[:, :3], moving(0.9), dampening=0.2))
    assert_close(updates["b"]["deep"], oracles.trace(GRADIENTS[:, 3:], 0.5))


def test_an_array_for_beta_is_as_good_as_a_number():
    with jax.enable_x64(True):
        run = jax.jit(
            lambda beta, dampening: mo.trace(beta, dampening=dampening).update(
                jnp.ones(3), mo.trace(beta).init(jnp.ones(3))._replace(velocity=jnp.arange(3.0))
            )[0]
        )
        np.testing.assert_allclose(run(0.9, 0.25), 0.9 * np.arange(3) + 0.75, rtol=1e-15)


def test_real_and_imaginary_parts_are_remembered_apart():
    z = GRADIENTS + 1j * noise(30, 5, seed=1)
    updates, _ = feed(mo.trace(moving(0.9), nesterov=True), z)
    expected = [oracles.trace(part, moving(0.9), nesterov=True) for part in (z.real, z.imag)]
    assert_close(updates, expected[0] + 1j * expected[1])


def test_a_narrow_velocity_is_rounded_once_a_step_and_used_as_stored():
    updates, states = feed(mo.trace(0.5, state_dtype=np.float32), GRADIENTS)
    velocity, expected = np.zeros(5, np.float32), []
    for g in GRADIENTS:
        velocity = (0.5 * velocity.astype(np.float64) + g).astype(np.float32)
        expected.append(velocity)
    assert states.velocity.dtype == np.float32
    assert updates.dtype == np.float64
    np.testing.assert_array_equal(states.velocity, expected)
    np.testing.assert_array_equal(updates, states.velocity)


def test_a_beta_of_zero_or_none_keeps_nothing():
    for beta in (0, 0.0, None, np.float32(0)):
        state = mo.trace(beta).init(jnp.ones(3))
        assert [leaf.shape for leaf in jax.tree.leaves(state)] == [()]  # the count alone
    state = mo.trace({"w": 0.0, "b": 0.9}).init({"w": jnp.ones(3), "b": jnp.ones(2)})
    assert [leaf.shape for leaf in jax.tree.leaves(state.velocity)] == [(2,)]


def test_updates_of_another_structure_are_refused():
    tx = mo.trace(0.9)
    state = tx.init({"w": jnp.ones(3)})
    with pytest.raises(ValueError, match=r"structure of the state.*params that init saw"):
        tx.update({"w": jnp.ones(3), "b": jnp.ones(2)}, state)


def test_the_count_says_how_many_updates_there_were():
    _, states = feed(mo.trace(0.9), GRADIENTS)
    np.testing.assert_array_equal(states.count, np.arange(1, 31))
    assert states.count.dtype == np.int32
