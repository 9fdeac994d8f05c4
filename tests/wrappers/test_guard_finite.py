"""`guard_finite` against a loop in NumPy that leaves the bad gradients out."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import assert_close, feed, noise

import momentum_optax as mo
from momentum_optax.wrappers.guard_finite import guard_finite

STEPS = 12


def heavy_ball(gradients, bad, learning_rate, beta):
    """Polyak's recurrence, in which step t does not happen where bad[t]."""
    velocity, out = np.zeros(gradients.shape[1:]), []
    for g, skip in zip(gradients, bad, strict=True):
        velocity = velocity if skip else beta * velocity + g
        out.append(0 * velocity if skip else -learning_rate * velocity)
    return np.array(out)


def spoiled():
    w, b = noise(STEPS, 3, seed=1), noise(STEPS, 2, seed=2)
    bad_w, bad_b = np.zeros(STEPS, bool), np.zeros(STEPS, bool)
    bad_w[[0, 4, 5, 9]], bad_b[[5, 7]] = True, True
    return (
        {
            "w": np.where(bad_w[:, None], [np.nan, 1.0, np.inf], w),
            "b": np.where(bad_b[:, None], [-np.inf, 1.0], b),
        },
        bad_w,
        bad_b,
    )


def test_bad_steps_leave_no_trace():
    gradients, bad_w, bad_b = spoiled()
    updates, states = feed(guard_finite(mo.heavy_ball(0.1, 0.9)), gradients)
    bad = bad_w | bad_b
    for name in gradients:
        assert_close(updates[name], heavy_ball(gradients[name], bad, 0.1, 0.9))
    assert states.total_notfinite.tolist() == np.cumsum(bad).tolist()
    assert states.consecutive.tolist() == [1, 0, 0, 0, 1, 2, 0, 1, 0, 1, 0, 0]
    assert states.inner_state[0].count[-1] == STEPS - bad.sum()


def test_per_leaf_only_the_bad_leaf_sits_out():
    gradients, bad_w, bad_b = spoiled()
    updates, states = feed(guard_finite(mo.heavy_ball(0.1, 0.9), per_leaf=True), gradients)
    assert_close(updates["w"], heavy_ball(gradients["w"], bad_w, 0.1, 0.9))
    assert_close(updates["b"], heavy_ball(gradients["b"], bad_b, 0.1, 0.9))
    assert states.inner_state[0].count[-1] == STEPS - (bad_w & bad_b).sum()
    assert states.total_notfinite[-1] == (bad_w | bad_b).sum()


def test_per_leaf_keeps_everything_that_is_remembered_about_the_leaf():
    gradients, bad_w, _ = spoiled()
    tx = optax.chain(optax.scale_by_adam(), optax.masked(mo.difference(), {"w": True, "b": False}))
    _, states = feed(guard_finite(tx, per_leaf=True), gradients)
    adam, masked = states.inner_state
    for memory in (adam.mu["w"], adam.nu["w"], masked.inner_state.previous["w"]):
        still = np.all(memory[1:] == memory[:-1], axis=-1)
        assert still.tolist() == bad_w[1:].tolist()
    assert np.isfinite(adam.nu["b"]).all()


def test_the_streak_goes_through_when_it_is_too_long():
    gradients = np.array([1.0, np.nan, np.nan, np.nan, np.nan])
    tx = guard_finite(optax.identity(), max_consecutive=2)
    updates, states = feed(tx, gradients)
    assert np.isnan(updates).tolist() == [False, False, False, True, True]
    assert states.consecutive.tolist() == [0, 1, 2, 3, 4]


def test_optax_lets_the_same_streak_through():
    gradients = np.array([1.0, np.nan, np.nan, np.nan, 2.0, np.inf, 3.0])
    theirs, _ = feed(optax.apply_if_finite(optax.trace(0.5), 3), gradients)
    ours, _ = feed(guard_finite(optax.trace(0.5), max_consecutive=3), gradients)
    np.testing.assert_array_equal(ours, theirs)


def test_a_loss_that_is_not_finite_skips_the_step():
    tx = guard_finite(mo.heavy_ball(0.1, 0.9), check_value=True, per_leaf=True)
    params = {"w": jnp.ones(3)}
    state = tx.init(params)
    _, state = tx.update(params, state, params, value=jnp.asarray(1.0))
    updates, after = tx.update(params, state, params, value=jnp.asarray(jnp.nan))
    assert not updates["w"].any()
    assert after.consecutive == after.total_notfinite == 1
    jax.tree.map(np.testing.assert_array_equal, after.inner_state, state.inner_state)
    with pytest.raises(ValueError, match="value=loss"):
        tx.update(params, state, params)


def test_each_lane_is_guarded_on_its_own():
    tx = guard_finite(mo.heavy_ball(1.0, 0.5))

    def run(gradients):
        def body(state, g):
            updates, state = tx.update(g, state)
            return state, updates

        return jax.lax.scan(body, tx.init(jnp.zeros(())), gradients)

    gradients = np.ones((3, 4))
    gradients[1, 2] = np.nan
    states, updates = jax.vmap(run)(jnp.asarray(gradients))
    np.testing.assert_array_equal(updates[0], [-1, -1.5, -1.75, -1.875])
    np.testing.assert_array_equal(updates[1], [-1, -1.5, 0, -1.75])
    assert states.total_notfinite.tolist() == [0, 1, 0]


def test_derivatives_through_a_guarded_step_are_finite():
    def last(beta, g):
        tx = guard_finite(mo.heavy_ball(0.1, beta), per_leaf=True)
        params = {"w": jnp.ones(()), "b": jnp.ones(())}
        state = tx.init(params)
        for bad in (g, jnp.nan, g):
            updates, state = tx.update({"w": bad, "b": g}, state)
        return updates["w"] + updates["b"]

    derivative = jax.grad(last, argnums=(0, 1))(0.5, 1.0)
    np.testing.assert_allclose(derivative, (-0.1 * (1 + 2), -0.1 * (1.5 + 1.75)), rtol=1e-6)


@pytest.mark.parametrize("per_leaf", [False, True])
def test_the_other_gradient_of_the_batch_is_guarded_too(per_leaf):
    tx, params = guard_finite(mo.storm(0.1), per_leaf=per_leaf), {"a": jnp.ones(2), "b": jnp.ones(2)}
    state = tx.init(params)
    _, state = tx.update(params, state, params, previous_gradient=params)
    spoilt = {"a": jnp.array([1.0, jnp.nan]), "b": jnp.ones(2)}
    updates, after = tx.update(params, state, params, previous_gradient=spoilt)
    assert int(after.total_notfinite) == 1
    np.testing.assert_array_equal(updates["a"], 0)
    assert np.any(updates["b"]) == per_leaf
    updates, _ = tx.update(params, after, params, previous_gradient=params)
    assert all(np.isfinite(u).all() and np.any(u) for u in updates.values())


def test_bad_arguments():
    with pytest.raises(ValueError, match="max_consecutive"):
        guard_finite(mo.heavy_ball(0.1), max_consecutive=-1)
    with pytest.raises(TypeError, match="max_consecutive"):
        guard_finite(mo.heavy_ball(0.1), max_consecutive=lambda count: count)
