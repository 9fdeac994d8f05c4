"""Answers to simple inputs, and to noise, in closed form."""

import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_close, feed
from quadratics import descend, transition
from scipy.special import j1

import momentum_optax as mo

T = np.arange(1.0, 41.0)


def displacement(tx, gradients):
    return np.cumsum(feed(tx, np.asarray(gradients, float))[0])


def test_under_a_constant_gradient_heavy_ball_falls_like_a_body_with_drag():
    a, b, g = 0.1, 0.9, 2.5
    expected = -a * g / (1 - b) * (T - b * (1 - b**T) / (1 - b))
    assert_close(displacement(mo.heavy_ball(a, b), np.full(40, g)), expected)


def test_under_a_constant_gradient_nesterov_is_ahead_of_heavy_ball_by_one_velocity():
    a, b = 0.1, 0.9
    theta = -a / (1 - b) * (T - b * (1 - b**T) / (1 - b))
    velocity = -a * (1 - b**T) / (1 - b)
    assert_close(displacement(mo.nesterov(a, b), np.ones(40)), theta + b * velocity)


def test_the_steps_of_a_debiased_average_do_not_depend_on_beta():
    for b in (0.0, 0.5, 0.999):
        assert_close(displacement(mo.ema_momentum(0.1, b, debias=True), np.full(40, 3.0)), -0.3 * T)


def test_under_a_constant_gradient_aggregated_momentum_ends_at_the_mean_of_the_gains():
    betas = np.array([0.0, 0.5, 0.9])
    steps = -np.diff(displacement(mo.aggmo(1.0, tuple(betas)), np.ones(400)))
    np.testing.assert_allclose(steps[-1], np.mean(1 / (1 - betas)), rtol=1e-12)


def test_under_a_constant_gradient_the_step_of_positive_negative_momentum_is_shorter_by_the_norm():
    for b0 in (0.0, 1.0, 3.0):
        steps = -np.diff(displacement(mo.pnm(1.0, 0.5, b0), np.ones(200)))
        np.testing.assert_allclose(steps[-1], 1 / np.hypot(1 + b0, b0), rtol=1e-12)


def test_a_controller_answers_a_ramp_with_all_three_terms():
    b, i, d = 0.8, 2.0, 3.0
    steps = -np.diff(displacement(mo.pid(1.0, b, i, d), np.arange(401.0)))
    present, total, trend = 400.0, 400 / (1 - b) - b / (1 - b) ** 2, 1.0
    np.testing.assert_allclose(steps[-1], present + i * total + d * trend, rtol=1e-12)


@pytest.mark.parametrize(("b", "nu"), [(0.9, 0.7), (0.99, 0.2), (0.5, 1.0), (0.5, 1.5)])
def test_qhm_answers_one_gradient_by_its_impulse_response(b, nu):
    impulse = np.zeros(40)
    impulse[0] = 1
    assert_close(displacement(mo.qhm(0.1, b, nu), impulse), -0.1 * (1 - nu * b**T))


def test_nesterov_follows_the_bessel_function_that_solves_its_differential_equation():
    """Su, Boyd and Candes: with beta = (j - 1) / (j + 2) and t = j sqrt(a), x'' + 3 / t x' + l x = 0 for small a."""
    curvatures, time, errors = np.array([1.0, 4.0]), 5.0, []

    def beta(count):
        return jnp.maximum(count - 1, 0) / (count + 2)

    for a in (1e-4, 1e-6):
        steps = round(time / np.sqrt(a))
        x = descend(mo.nesterov(a, beta), curvatures, steps).answers[1:]
        phase = np.sqrt(a * curvatures) * np.arange(1, steps + 1)[:, None]
        errors.append(np.max(np.abs(x - 2 * j1(phase) / phase)))
    np.testing.assert_allclose(x[-1, 0], -0.130714, atol=1e-6)
    np.testing.assert_allclose(2 * j1(time) / time, -0.131032, atol=1e-6)
    assert errors[1] < 2e-3
    np.testing.assert_allclose(errors[0] / errors[1], 10, rtol=0.1)  # it is of the order of sqrt(a)


def stationary(build, **numbers):
    """Covariance of (params, velocity) under gradient noise of variance 1 at curvature 1, from P = M P M' + n n'."""
    M = transition(build, curvature=1.0, **numbers)
    n = M[:, 0] - transition(build, curvature=0.0, **numbers)[:, 0]  # what a gradient of 1 adds
    return np.linalg.solve(np.eye(4) - np.kron(M, M), np.outer(n, n).ravel()).reshape(2, 2)


def test_noise_makes_heavy_ball_wander_as_the_lyapunov_equation_says():
    a, b = 0.1, 0.9
    P = stationary(mo.heavy_ball, learning_rate=a, beta=b)
    velocity = 2 / ((1 - b) * (2 * (1 + b) - a))
    expected = [a * (1 + b) / ((1 - b) * (2 * (1 + b) - a)), -a / 2 * velocity, velocity]
    np.testing.assert_allclose([P[0, 0], P[0, 1], P[1, 1]], expected, rtol=1e-11)
    np.testing.assert_allclose(expected, [0.513514, -0.270270, 5.405405], rtol=1e-5)


@pytest.mark.parametrize(("a", "b"), [(0.1, 0.9), (0.5, 0.5), (1.0, 0.0)])
def test_noise_makes_nesterov_wander_as_the_formula_says(a, b):
    P = stationary(mo.nesterov, learning_rate=a, beta=b)
    z = a
    theta = a**2 * (1 + b * (1 - z)) / (z * (1 - b * (1 - z)) * (2 * (1 + b) - (2 * b + 1) * z))
    # The velocity holds steps, and theta = params - beta * velocity.
    variance = P[0, 0] - 2 * b * P[0, 1] + b**2 * P[1, 1]
    np.testing.assert_allclose(variance, theta, rtol=1e-10)


@pytest.mark.parametrize(("b", "nu"), [(0.9, 0.7), (0.99, 0.3), (0.5, 1.0)])
def test_for_small_steps_the_noise_of_qhm_depends_on_neither_beta_nor_nu(b, nu):
    a = 1e-6
    P = stationary(mo.qhm, learning_rate=a, beta=b, nu=nu)
    np.testing.assert_allclose(P[0, 0], a / 2, rtol=1e-3)


@pytest.mark.parametrize("b", [0.5, 0.9])
def test_averaging_shrinks_noise_by_the_debiased_weights(b):
    """The variance of the average of white noise after t steps, from the impulse responses of the filter itself."""
    steps, power = 20, np.zeros(20)
    for s in range(steps):
        impulse = np.zeros((steps, 1))
        impulse[s] = 1
        power += feed(mo.ema(b), impulse)[0][:, 0] ** 2
    t = T[:steps]
    assert_close(power, (1 - b) * (1 + b**t) / ((1 + b) * (1 - b**t)))
