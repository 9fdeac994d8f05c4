"""Momentum correction: a velocity of steps and one of gradients take the same path when the learning rate changes."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import MATRIX, START

import momentum_optax as mo


def stages(build, rates, *, correct):
    """Four updates at each learning rate; the velocity is corrected between them or not."""
    with jax.enable_x64(True):
        x, state, previous = jnp.asarray(START), None, None
        for rate in rates:
            tx = build(rate)
            state = tx.init(x) if state is None else state
            if correct and previous is not None:
                state = mo.rescale(state, rate / previous)
            for _ in range(4):
                updates, state = tx.update(MATRIX @ x, state, x)
                x = x + updates
            previous = rate
        return np.asarray(x)


@pytest.mark.parametrize("rates", [(0.05, 0.005), (0.01, 0.05, 0.02)])
def test_the_correction_makes_the_two_conventions_one(rates):
    def inside(rate):
        return mo.heavy_ball(rate, lr_in_velocity=True)

    outside = stages(mo.heavy_ball, rates, correct=False)
    np.testing.assert_allclose(stages(inside, rates, correct=True), outside, rtol=1e-12)
    assert np.abs(stages(inside, rates, correct=False) - outside).max() > 1e-3


def test_a_debiased_average_is_a_factor_of_what_it_was():
    tx = mo.ema(0.9)
    _, state = tx.update(jnp.ones(2), tx.init(jnp.ones(2)))
    weight = state.weight
    state = mo.rescale(state, -0.5)
    np.testing.assert_array_equal(state.weight, weight)
    np.testing.assert_allclose(state.velocity / state.weight, -0.5, rtol=1e-6)


def test_leaves_groups_and_lanes():
    params = {"a": jnp.ones(2), "b": jnp.ones(2)}
    tx = optax.partition({"x": optax.adam(0.1), "y": optax.sgd(0.1, momentum=0.9)}, {"a": "x", "b": "y"})
    _, state = tx.update(params, tx.init(params), params)

    def velocities(state):
        return state.inner_states["x"].inner_state[0].mu["a"][0], state.inner_states["y"].inner_state[0].trace["b"][0]

    np.testing.assert_allclose(velocities(mo.rescale(state, 2.0)), [0.2, 2.0], rtol=1e-6)
    np.testing.assert_allclose(velocities(mo.rescale(state, 2.0, "b")), [0.1, 2.0], rtol=1e-6)
    np.testing.assert_allclose(velocities(mo.rescale(state, 2.0, group="x")), [0.2, 1.0], rtol=1e-6)
    lanes = jax.jit(jax.vmap(lambda f: velocities(mo.rescale(state, f))))(jnp.array([0.0, 3.0]))
    np.testing.assert_allclose(lanes[1], [0.0, 3.0], rtol=1e-6)


def test_a_narrow_velocity_stays_finite():
    tx = mo.heavy_ball(0.1)
    params = jnp.ones(2, jnp.float16)
    _, state = tx.update(params * 1000, tx.init(params))
    state = mo.rescale(state, 1000.0)
    assert state[0].velocity.dtype == jnp.float16
    assert np.isfinite(state[0].velocity).all()


@pytest.mark.parametrize(
    ("factor", "message"),
    [(float("nan"), "factor must be finite"), ("half", "factor must be a number"), ({"a": 2.0}, "must be one number")],
)
def test_refused(factor, message):
    state = mo.heavy_ball(0.1).init({"a": jnp.ones(2)})
    with pytest.raises((TypeError, ValueError), match=message):
        mo.rescale(state, factor)
    with pytest.raises(ValueError, match="no velocity"):
        mo.rescale(optax.sgd(0.1).init(jnp.ones(2)), 2.0)
