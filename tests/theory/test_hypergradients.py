"""Derivatives of the outcome with respect to the hyperparameters, through the whole run."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import MATRIX, START, curved, descend, linear
from peers import load

import momentum_optax as mo

STEPS = 25


def value(x):
    return x @ MATRIX @ x / 2


def outcome(build, numbers, look=lambda state, params: params):
    """The loss after `STEPS` updates, for JAX to differentiate by the numbers."""
    tx = build(**numbers)

    def body(carry, _):
        x, state = carry
        updates, state = tx.update(linear(look(state, x)), state, x)
        return (x + updates, state), None

    x = jnp.asarray(START)
    (x, state), _ = jax.lax.scan(body, (x, tx.init(x)), None, STEPS)
    return value(mo.eval_params(state, x, missing="params"))


def test_the_derivatives_of_heavy_ball_are_those_of_the_recursion():
    """dv <- beta dv + v + A dx and dx <- dx - lr dv (- v for the learning rate), carried along in NumPy."""
    a, b = 0.003, 0.7
    x, v = START, np.zeros(5)
    by_lr, by_beta = [np.zeros(5), np.zeros(5)], [np.zeros(5), np.zeros(5)]
    for _ in range(STEPS):
        by_beta[1] = b * by_beta[1] + v + MATRIX @ by_beta[0]
        by_lr[1] = b * by_lr[1] + MATRIX @ by_lr[0]
        v = b * v + MATRIX @ x
        by_beta[0] = by_beta[0] - a * by_beta[1]
        by_lr[0] = by_lr[0] - a * by_lr[1] - v
        x = x - a * v
    with jax.enable_x64(True):
        slope = jax.jit(jax.grad(lambda n: outcome(mo.heavy_ball, n)))({"learning_rate": a, "beta": b})
    np.testing.assert_allclose(slope["beta"], (MATRIX @ x) @ by_beta[0], rtol=1e-11)
    np.testing.assert_allclose(slope["learning_rate"], (MATRIX @ x) @ by_lr[0], rtol=1e-11)


CASES = {
    "nesterov": (mo.nesterov, {"learning_rate": 0.02, "beta": 0.8}, {}),
    "nesterov_lookahead": (
        mo.nesterov_lookahead, {"learning_rate": 0.02, "beta": 0.8}, {"look": mo.lookahead_params}
    ),
    "ema_momentum, debias": (
        lambda **n: mo.ema_momentum(**n, debias=True), {"learning_rate": 0.02, "beta": 0.8}, {}
    ),
    "qhm": (mo.qhm, {"learning_rate": 0.05, "beta": 0.9, "nu": 0.7}, {}),
    "pid": (mo.pid, {"learning_rate": 0.005, "beta": 0.8, "integral": 2.0, "derivative": 3.0}, {}),
    "pnm": (mo.pnm, {"learning_rate": 0.02, "beta": 0.8, "beta0": 0.5}, {}),
    "acc_sgd": (mo.acc_sgd, {"learning_rate": 0.01, "kappa": 80.0, "xi": 5.0, "small_const": 0.7}, {}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_derivatives_by_every_number_agree_with_differences(name):
    build, numbers, rest = CASES[name]
    with jax.enable_x64(True):
        function = jax.jit(lambda n: outcome(build, n, **rest))
        slopes = jax.jit(jax.grad(lambda n: outcome(build, n, **rest)))(numbers)
        for key, number in numbers.items():
            h = 1e-5 * number
            ahead, behind = (float(function(numbers | {key: number + s * h})) for s in (1, -1))
            np.testing.assert_allclose(slopes[key], (ahead - behind) / (2 * h), rtol=1e-5)
            assert abs(slopes[key]) > 1e-9


def test_the_derivative_of_one_step_is_the_gradient_times_the_last_velocity():
    """d f(x_t) / d beta_t = -lr <g_t, v_{t-1}> and d f(x_t) / d lr_t = -<g_t, v_t>, if only the last step is moved."""
    a, b, steps = 0.02, 0.8, 6
    before = descend(mo.heavy_ball, {"learning_rate": a, "beta": b}, curved, steps=steps - 1).params
    gradients = np.array([curved(x) for x in before])
    velocities = [np.zeros(5)]
    for g in gradients:
        velocities.append(b * velocities[-1] + g)

    def loss(x):
        return x @ MATRIX @ x / 2 + 0.025 * jnp.sum(x**4)

    def last(numbers):
        tx = mo.heavy_ball(**numbers)
        x = jnp.asarray(before[-1])
        state = tx.init(x)
        state = (state[0]._replace(velocity=jnp.asarray(velocities[-2])), *state[1:])
        return loss(x + tx.update(curved(x), state, x)[0])

    with jax.enable_x64(True):
        slope = jax.grad(last)({"learning_rate": a, "beta": b})
    after = curved(before[-1] - a * velocities[-1])
    np.testing.assert_allclose(slope["beta"], -a * after @ velocities[-2], rtol=1e-11)
    np.testing.assert_allclose(slope["learning_rate"], -after @ velocities[-1], rtol=1e-11)


def test_the_problem_here_is_the_recorded_one():
    """Both have the eigenvalues 1 to 10 in the same reflected basis."""
    recorded = next(load.cases("torch_sgd")).problem
    np.testing.assert_allclose(recorded["matrix"], MATRIX, rtol=1e-12)
