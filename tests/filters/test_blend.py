"""Weighted sums of transformations."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import oracles
import pytest
from helpers import assert_close, feed, moving, noise, split

import momentum_optax as mo

GRADIENTS = noise(20, 5)


def test_blend_is_the_weighted_sum_of_its_parts():
    tx = mo.blend((0.5, mo.identity()), (moving(2.0), mo.trace(0.9)), (-1.5, mo.ema(0.5)), (3, mo.difference()))
    weights = np.array([moving(2.0)(count) for count in range(20)])[:, None]
    expected = (
        0.5 * GRADIENTS
        + weights * oracles.trace(GRADIENTS, 0.9)
        - 1.5 * oracles.ema(GRADIENTS, 0.5)
        + 3 * oracles.difference(GRADIENTS)
    )
    assert_close(feed(tx, GRADIENTS)[0], expected)


def test_identity_passes_the_gradient_on():
    np.testing.assert_array_equal(feed(mo.identity(), GRADIENTS)[0], GRADIENTS)


def test_a_tree_of_weights_blends_each_leaf_in_its_own_way():
    tx = mo.blend((1.0, mo.identity()), ({"w": 2.0, "b": {"deep": moving(0.5)}}, mo.trace(0.9)))
    updates, _ = feed(tx, split(GRADIENTS))
    velocity = oracles.trace(GRADIENTS, 0.9)
    weights = np.array([moving(0.5)(count) for count in range(20)])[:, None]
    assert_close(updates["w"], (GRADIENTS + 2 * velocity)[:, :3])
    assert_close(updates["b"]["deep"], (GRADIENTS + weights * velocity)[:, 3:])


def test_a_traced_weight_is_as_good_as_a_number():
    with jax.enable_x64(True):
        tx = lambda weight: mo.blend((weight, mo.identity()), (1 - weight, mo.ema(0.5)))  # noqa: E731
        outcome = jax.jit(lambda w: tx(w).update(jnp.full(2, 3.0), tx(w).init(jnp.zeros(2)))[0])(0.25)
    np.testing.assert_allclose(outcome, 3.0, rtol=1e-15)


def test_blends_nest_and_contain_chains():
    inner = mo.blend((0.5, optax.chain(mo.difference(), mo.trace(0.8))), (0.5, mo.identity()))
    updates, _ = feed(mo.blend((2.0, inner), (1.0, mo.ema(0.9))), GRADIENTS)
    expected = oracles.trace(oracles.difference(GRADIENTS), 0.8) + GRADIENTS + oracles.ema(GRADIENTS, 0.9)
    assert_close(updates, expected)


def test_a_part_with_a_plain_zero_weight_costs_nothing():
    state = mo.blend((1.0, mo.identity()), (0.0, mo.trace(0.9)), (0, mo.ema(0.9))).init(jnp.ones(3))
    assert [leaf.shape for leaf in jax.tree.leaves(state)] == [()]  # the count alone


def test_parts_are_not_rounded_before_the_sum():
    """What bfloat16 cannot tell from 1 is told apart from it, because only the sum is rounded."""
    tx = mo.blend((1.0, optax.scale(1 + 2.0**-10)), (-1.0, mo.identity()))
    g = jnp.ones(3, jnp.bfloat16)
    updates, _ = tx.update(g, tx.init(g))
    np.testing.assert_array_equal(updates, np.full(3, 2.0**-10))


def test_a_part_that_would_widen_its_state_is_held_to_its_dtype():
    params = jnp.ones(3, jnp.bfloat16)
    for tx in (mo.blend((1.0, optax.trace(0.9))), mo.divide(optax.trace(0.9), by=optax.trace(0.5))):
        state = tx.init(params)
        updates, after = tx.update(params, state, params)
        assert updates.dtype == jnp.bfloat16
        assert [x.dtype for x in jax.tree.leaves(after)] == [x.dtype for x in jax.tree.leaves(state)]


def test_a_sum_of_nothing_is_zero():
    updates, _ = feed(mo.blend((0.0, mo.trace(0.9))), GRADIENTS)
    np.testing.assert_array_equal(updates, np.zeros_like(GRADIENTS))


def test_params_and_extra_arguments_reach_the_parts():
    def update(updates, state, params=None, *, shout, **extra):
        return jax.tree.map(lambda p: p * shout, params), state

    needy = optax.GradientTransformationExtraArgs(lambda params: optax.EmptyState(), update)
    tx = mo.blend((2.0, needy), (1.0, mo.identity()))
    updates, _ = tx.update(jnp.ones(2), tx.init(jnp.zeros(2)), jnp.full(2, 3.0), shout=5.0, whisper=1.0)
    np.testing.assert_array_equal(updates, [31.0, 31.0])


def test_the_sum_is_rounded_once():
    """Each part alone would be lost in bfloat16, whose numbers are 2 ** -7 apart at 1."""
    tx = mo.blend((1.0, mo.identity()), *[(2.0**-9, mo.identity())] * 3)
    updates, _ = tx.update(jnp.ones((), jnp.bfloat16), tx.init(jnp.ones((), jnp.bfloat16)))
    assert updates.dtype == jnp.bfloat16
    assert float(updates) == 1 + 2.0**-7


@pytest.mark.parametrize(
    ("parts", "error", "message"),
    [
        ((), ValueError, "needs at least one part"),
        ((mo.identity(),), TypeError, r"part 0 of blend must be a pair \(weight, transformation\)"),
        (((1.0, mo.identity()), (1.0, 2.0)), TypeError, "part 1 of blend must be a pair"),
        (((1.0, mo.identity(), 3),), TypeError, "part 0 of blend must be a pair"),
        (((np.inf, mo.identity()),), ValueError, r"weight 0 of blend must be finite; got inf"),
        (((1.0, mo.identity()), ("a", mo.identity())), TypeError, "weight 1 of blend must be a number"),
    ],
)
def test_parts_that_cannot_be_right_are_refused(parts, error, message):
    with pytest.raises(error, match=message):
        mo.blend(*parts)


def test_a_tree_of_weights_must_fit_the_params():
    tx = mo.blend((1.0, mo.identity()), ({"w": 1.0}, mo.trace(0.9)))
    with pytest.raises(ValueError, match=r"weight 1 of blend is a tree.*no value for params\['b'\]"):
        tx.init({"w": jnp.ones(2), "b": jnp.ones(2)})
