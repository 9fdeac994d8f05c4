"""`polyak_heavy_ball` against the paper: its algorithm, and its theorem that the params are projections."""

import jax
import jax.numpy as jnp
import numpy as np
import oracles_outer
import pytest
from helpers import MATRIX, START, assert_close, curved, join, linear, noise, split

import momentum_optax as mo

LONG = np.diag(np.linspace(1.0, 10.0, 25))


def quadratic(x):
    return x @ MATRIX @ x / 2


def quartic(x):
    return x @ MATRIX @ x / 2 + 0.025 * (x**4).sum()


def descend(tx, loss, x0, steps):
    """Minimises with the loss passed on, in float64: the params after each update."""
    with jax.enable_x64(True):

        def body(carry, _):
            params, state = carry
            value, g = jax.value_and_grad(loss)(params)
            updates, state = tx.update(split(g), state, split(params), value=value)
            params = join(mo.apply_updates(split(params), updates))
            return (params, state), params

        x0 = jnp.asarray(x0)
        _, rows = jax.jit(lambda: jax.lax.scan(body, (x0, tx.init(split(x0))), None, steps))()
        return np.concatenate([np.asarray(x0)[None], np.asarray(rows)])


@pytest.mark.parametrize("f_star", [0.0, lambda count: -1.0 / (1 + count)], ids=["number", "schedule"])
@pytest.mark.parametrize(("loss", "gradient"), [(quadratic, linear), (quartic, curved)], ids=["quadratic", "quartic"])
def test_it_is_the_algorithm_of_the_paper(loss, gradient, f_star):
    expected = oracles_outer.polyak_heavy_ball(gradient, loss, START, 4, f_star)
    assert_close(descend(mo.polyak_heavy_ball(f_star), loss, START, 4), expected, 1e-11)


def projections(matrix, x0, steps):
    """The minimiser, 0, projected on x0 + span of the gradients so far: a Krylov space, by QR."""
    points, basis, power = [x0], np.zeros((len(x0), 0)), matrix @ x0
    for _ in range(steps):
        fresh = power / np.linalg.norm(power)
        for _ in range(3):
            fresh = fresh - basis @ (basis.T @ fresh)
        basis = np.column_stack([basis, fresh / np.linalg.norm(fresh)])
        power = matrix @ basis[:, -1]
        points.append(x0 - basis @ (basis.T @ x0))
    return np.array(points)


def test_params_are_the_projections_of_the_minimiser():
    expected = projections(MATRIX, START, 4)
    actual = descend(mo.polyak_heavy_ball(), quadratic, START, 4)
    np.testing.assert_allclose(actual, expected, atol=1e-11)


def test_five_steps_solve_five_dimensions():
    actual = descend(mo.polyak_heavy_ball(), quadratic, START, 5)
    distances = np.linalg.norm(actual, axis=-1)
    assert distances[4] > 1e-3
    assert distances[5] < 1e-10


def test_the_distance_falls_at_every_step_and_as_fast_as_chebyshev():
    start = noise(25)
    actual = descend(mo.polyak_heavy_ball(), lambda x: x @ LONG @ x / 2, start, 24)
    distances = np.linalg.norm(actual, axis=-1) / np.linalg.norm(start)
    rate = (np.sqrt(10) - 1) / (np.sqrt(10) + 1)
    t = np.arange(25)
    assert np.all(np.diff(distances) < 0)
    assert np.all(distances <= 2 / (rate**t + rate**-t) * (1 + 1e-9))


def test_the_minimum_may_be_anywhere():
    expected = descend(mo.polyak_heavy_ball(), quadratic, START, 4)
    actual = descend(mo.polyak_heavy_ball(jnp.float32(3.0)), lambda x: quadratic(x) + 3.0, START, 4)
    np.testing.assert_allclose(actual, expected, atol=1e-9)


def one_update(gradients, value, f_star=0.0, steps=1):
    tx = mo.polyak_heavy_ball(f_star)
    state, updates = tx.init(jax.tree.map(jnp.zeros_like, gradients)), None
    for _ in range(steps):
        updates, state = tx.update(gradients, state, value=value)
    return updates, state


def test_the_first_step_is_twice_polyaks():
    updates, _ = one_update({"a": jnp.array([3.0, 0.0]), "b": jnp.array(4.0)}, 5.0, 1.0)
    np.testing.assert_allclose(updates["a"], [-3 * 2 * 4 / 25, 0], rtol=1e-6)
    np.testing.assert_allclose(updates["b"], -4 * 2 * 4 / 25, rtol=1e-6)


@pytest.mark.parametrize("value", [0.5, 1.0])
def test_at_or_below_the_minimum_it_rests(value):
    updates, _ = one_update(jnp.array([3.0, 4.0]), value, 1.0, steps=3)
    np.testing.assert_array_equal(updates, 0.0)


def test_after_the_minimum_nothing_is_divided_by_zero():
    tx = mo.polyak_heavy_ball()
    state = tx.init(jnp.zeros(2))
    for g, value in ((jnp.ones(2), 1.0), (jnp.zeros(2), 0.0), (jnp.ones(2), 1.0), (-jnp.ones(2), 1.0)):
        updates, state = tx.update(g, state, value=value)
        assert np.all(np.isfinite(updates))
    np.testing.assert_allclose(updates, 1.0)  # r = -1: no momentum, and the step -h g


def test_after_a_reset_it_is_as_fresh():
    """The gradient before would give the next step a momentum that is not there."""
    tx, x = mo.polyak_heavy_ball(), jnp.array([3.0, 1.0])
    state = tx.init(x)
    for g in (jnp.array([3.0, 4.0]), jnp.array([2.0, 3.0])):
        _, state = tx.update(g, state, value=1.0)
    actual, _ = tx.update(g, mo.reset(state), value=1.0)
    expected, _ = tx.update(g, tx.init(x), value=1.0)
    np.testing.assert_allclose(actual, expected, rtol=1e-6)


def test_a_loss_that_is_no_number_shows():
    updates, _ = one_update(jnp.ones(2), jnp.nan)
    assert np.all(np.isnan(updates))
    updates, _ = one_update({"a": jnp.ones(2), "b": jnp.array(jnp.nan)}, 1.0)
    assert np.all(np.isnan(updates["a"]))


def test_leaves_without_gradient_are_not_counted():
    tx = mo.polyak_heavy_ball()
    params = {"a": jnp.ones(2), "b": jnp.ones(2)}
    state = tx.init(params)
    updates, after = tx.update({"a": jnp.ones(2), "b": None}, state, value=1.0)
    assert updates["b"] is None
    np.testing.assert_allclose(updates["a"], -1.0)
    np.testing.assert_array_equal(after.gradient["b"], 0.0)


def test_the_loss_is_asked_for():
    tx = mo.polyak_heavy_ball()
    with pytest.raises(ValueError, match="value="):
        tx.update(jnp.ones(()), tx.init(jnp.ones(())), jnp.ones(()))


@pytest.mark.parametrize(("f_star", "error"), [(jnp.inf, ValueError), ("low", TypeError), ({"a": 0.0}, TypeError)])
def test_bad_arguments_are_refused(f_star, error):
    with pytest.raises(error, match="f_star"):
        mo.polyak_heavy_ball(f_star)
