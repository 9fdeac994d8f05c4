"""`lazy` against row-by-row loops in NumPy, and against dense training."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import assert_close, feed, moving, noise

import momentum_optax as mo
from momentum_optax.wrappers.lazy import lazy

STEPS, ROWS = 20, 6
SEEN = np.random.default_rng(5).random((STEPS, ROWS)) < 0.4
SEEN[:, 0], SEEN[3:, 1] = True, False
GRADIENTS = noise(STEPS, ROWS, 3, seed=6) * SEEN[..., None]


def heavy_ball(learning_rate, beta, mode):
    """Row by row: only a row that is seen is touched, with all the betas that it missed at once."""
    updates = np.zeros_like(GRADIENTS)
    for row in range(ROWS):
        velocity, last = np.zeros(3), -1
        for t in np.flatnonzero(SEEN[:, row]):
            missed = [beta(s) for s in range(last + 1, t)]
            powers = np.cumprod(missed)
            if mode == "catch_up":
                updates[t, row] = -sum(learning_rate(last + 1 + i) * p for i, p in enumerate(powers)) * velocity
            if mode != "freeze":
                velocity = np.prod(missed) * velocity
            velocity = beta(t) * velocity + GRADIENTS[t, row]
            updates[t, row] -= learning_rate(t) * velocity
            last = t
    return updates


@pytest.mark.parametrize("mode", ["freeze", "decay", "catch_up"])
def test_rows_are_caught_up_exactly_under_schedules(mode):
    learning_rate, beta = moving(0.1), moving(0.9)
    updates, _ = feed(lazy(mo.heavy_ball(learning_rate, beta), mode=mode), GRADIENTS)
    assert_close(updates, heavy_ball(learning_rate, beta, mode))
    assert not updates[~SEEN].any()


@pytest.mark.parametrize("tx", [mo.nesterov(0.1), optax.adam(0.1), mo.qhm(0.1)], ids=["nesterov", "adam", "qhm"])
def test_a_row_that_is_back_is_where_dense_training_put_it(tx):
    lazily, _ = feed(lazy(tx, mode="catch_up"), GRADIENTS)
    dense, _ = feed(tx, GRADIENTS)
    ours, theirs = np.cumsum(lazily, 0), np.cumsum(dense, 0)
    np.testing.assert_allclose(ours[SEEN], theirs[SEEN], rtol=1e-10, atol=1e-14)
    assert np.abs(ours - theirs).max() > 1e-4


def test_a_mask_says_what_zeros_cannot():
    """A row that was used and has a gradient of 0 moves on; one that was not used does not, whatever its gradient."""
    tx = lazy(mo.heavy_ball(1.0, 0.5), "table")
    params = {"table": jnp.zeros((3, 2)), "dense": jnp.zeros((3, 2))}
    gradients = {"table": jnp.array([[1.0, 1.0], [0, 0], [1, 0]]), "dense": jnp.zeros((3, 2)).at[0].set(1.0)}
    state = tx.init(params)
    _, state = tx.update(jax.tree.map(jnp.ones_like, params), state, params)
    for mask, rows in (
        ({"table": jnp.array([True, True, False])}, [-1.5, -0.5, 0.0]),
        ({"table": None}, [-1.5, 0.0, -1.5]),
        (None, [-1.5, 0.0, -1.5]),
    ):
        updates, _ = jax.jit(tx.update)(gradients, state, params, row_mask=mask)
        np.testing.assert_allclose(updates["table"][:, 0], rows)
        np.testing.assert_allclose(updates["dense"][:, 0], [-1.5, -0.5, -0.5])


def test_rows_may_lie_along_another_axis():
    turned = GRADIENTS.swapaxes(1, 2)
    for axis in (1, -1):
        updates, _ = feed(lazy(mo.heavy_ball(0.1, 0.9), axis=axis), turned)
        expected = heavy_ball(lambda count: 0.1, lambda count: 0.9, "decay")
        assert_close(updates.swapaxes(1, 2), expected)


def test_what_is_frozen_of_adam():
    _, states = feed(lazy(optax.adam(0.1), mode="freeze"), GRADIENTS)
    for memory in (states.inner_state[0].mu, states.inner_state[0].nu):
        still = np.all(memory[1:] == memory[:-1], axis=-1)
        assert np.array_equal(still, ~SEEN[1:])


def test_only_catch_up_adds_to_the_state():
    params = {"table": jnp.ones((4, 3)), "bias": jnp.ones(3)}
    size = lambda state: sum(x.nbytes for x in jax.tree.leaves(state))  # noqa: E731
    tx = mo.heavy_ball(0.1)
    for mode, more in (("freeze", 0), ("decay", 0), ("catch_up", 48)):
        assert size(lazy(tx, mode=mode).init(params)) == size(tx.init(params)) + more


def test_lanes_have_their_own_masks():
    tx = lazy(mo.heavy_ball(1.0, 0.5))
    state = tx.init(jnp.zeros((2, 1)))
    _, state = tx.update(jnp.ones((2, 1)), state)
    masks = jnp.array([[True, False], [False, True]])
    updates = jax.vmap(lambda mask: tx.update(jnp.ones((2, 1)), state, row_mask=mask)[0])(masks)
    np.testing.assert_allclose(updates[..., 0], [[-1.5, 0], [0, -1.5]])


def test_bad_arguments():
    params = {"table": jnp.ones((4, 3)), "bias": jnp.ones(3)}
    for arguments, error, message in (
        ({"mode": "thaw"}, ValueError, "mode"),
        ({"axis": 0.0}, TypeError, "axis"),
        ({"axis": 2}, ValueError, "axis"),
        ({"where": 3}, TypeError, "where"),
        ({"where": ["table", "tabel"]}, ValueError, "'tabel'.*'table'"),
    ):
        with pytest.raises(error, match=message):
            lazy(mo.heavy_ball(0.1), **arguments).init(params)
    with pytest.raises(ValueError, match="'table' in its shape"):
        lazy(optax.adafactor(0.1, min_dim_size_to_factor=2), mode="freeze").init({"table": jnp.ones((4, 3))})
    tx = lazy(mo.heavy_ball(0.1))
    for mask, message in (
        ({"table": jnp.ones(3, bool)}, "4 bools"),
        ({"table": jnp.ones(4)}, "float32"),
        ({"tabel": jnp.ones(4, bool)}, "tabel"),
    ):
        with pytest.raises(ValueError, match=message):
            tx.update(params, tx.init(params), params, row_mask=mask)
