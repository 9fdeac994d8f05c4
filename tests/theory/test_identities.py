"""Methods that are one another in disguise, along whole trajectories of a function that is no quadratic."""

import numpy as np
import optax
import oracles
import pytest
from helpers import MATRIX, START, STEPS, assert_close, curved, descend, feed, linear, noise

import momentum_optax as mo

A, B = 0.02, 0.9


def params(build, gradient_fn=curved, **numbers):
    return descend(build, numbers, gradient_fn).params


IDENTITIES = {
    "qhm with nu of beta is nesterov": (
        lambda: params(mo.qhm, learning_rate=A / (1 - B), beta=B, nu=B),
        lambda: params(mo.nesterov, learning_rate=A, beta=B),
    ),
    "qhm with nu 1 is heavy ball": (
        lambda: params(mo.qhm, learning_rate=A / (1 - B), beta=B, nu=1.0),
        lambda: params(mo.heavy_ball, learning_rate=A, beta=B),
    ),
    "qhm with nu 0 is gradient descent": (
        lambda: params(mo.qhm, learning_rate=A, beta=B, nu=0.0),
        lambda: params(optax.sgd, learning_rate=A),
    ),
    "the average without debiasing is heavy ball": (
        lambda: params(mo.ema_momentum, learning_rate=A / (1 - B), beta=B),
        lambda: params(mo.heavy_ball, learning_rate=A, beta=B),
    ),
    "aggregated momentum of 0 and beta is qhm": (
        lambda: params(mo.aggmo, learning_rate=A, betas=(0.0, B)),
        lambda: params(mo.qhm, learning_rate=A * (2 - B) / (2 * (1 - B)), beta=B, nu=1 / (2 - B)),
    ),
    "aggregated momentum of one beta is heavy ball": (
        lambda: params(mo.aggmo, learning_rate=A, betas=(B,)),
        lambda: params(mo.heavy_ball, learning_rate=A, beta=B),
    ),
    "a controller without derivative is qhm": (
        lambda: params(mo.pid, learning_rate=0.005, beta=B, integral=3.0, derivative=0.0),
        lambda: params(mo.qhm, learning_rate=0.005 * (1 + 3.0 / (1 - B)), beta=B, nu=3.0 / (1 - B + 3.0)),
    ),
    "a controller of the present alone is gradient descent": (
        lambda: params(mo.pid, learning_rate=A, beta=B, integral=0.0, derivative=0),
        lambda: params(optax.sgd, learning_rate=A),
    ),
    "positive-negative momentum with beta 0 contrasts two gradients": (
        lambda: params(mo.pnm, learning_rate=A, beta=0.0, beta0=0.0),
        lambda: params(optax.sgd, learning_rate=A),
    ),
    "heavy ball is Optax's sgd": (
        lambda: params(mo.heavy_ball, learning_rate=A, beta=B),
        lambda: params(optax.sgd, learning_rate=A, momentum=B),
    ),
    "nesterov with constants is Optax's": (
        lambda: params(mo.nesterov, learning_rate=A, beta=B),
        lambda: params(lambda **n: optax.sgd(**n, nesterov=True), learning_rate=A, momentum=B),
    ),
    "AdEMAMix without the slow average is Adam": (
        lambda: params(mo.ademamix, learning_rate=A, b1=B, alpha=0.0),
        lambda: params(mo.adam, learning_rate=A, b1=B),
    ),
    "quasi-hyperbolic Adam of averages alone is Adam": (
        lambda: params(mo.qhadam, learning_rate=A, b1=B, b2=0.999, nu1=1.0, nu2=1.0),
        lambda: params(mo.adam, learning_rate=A, b1=B),
    ),
    "Adan that does not look ahead is Adam": (
        lambda: params(mo.adan, learning_rate=A, b1=B, b2=0.0, b3=0.999, eps_root=0.0),
        lambda: params(mo.adam, learning_rate=A, b1=B),
    ),
    "NAdam with constants is Optax's": (
        lambda: params(mo.nadam, learning_rate=A, b1=B),
        lambda: params(optax.nadam, learning_rate=A, b1=B),
    ),
    "LaProp without an average is RMSProp with debiased squares": (
        lambda: params(mo.laprop, learning_rate=A, b1=0.0, b2=B, eps=1e-8),
        lambda: params(mo.rmsprop, learning_rate=A, decay=B, eps_in_sqrt=False, bias_correction=True),
    ),
    "simplified AdEMAMix of the gradient alone is RMSProp, too": (
        lambda: params(mo.simplified_ademamix, learning_rate=A / 3, b1=0.0, b2=B, alpha=2.0),
        lambda: params(mo.rmsprop, learning_rate=A, decay=B, eps_in_sqrt=False, bias_correction=True),
    ),
    "Lion with equal decays is Signum": (
        lambda: params(mo.lion, learning_rate=A, b1=B, b2=B, weight_decay=0.0),
        lambda: params(mo.signum, learning_rate=A, beta=B),
    ),
    "a lookahead along the last step is nesterov": (
        lambda: params(lambda **n: mo.ema_nesterov(mo.heavy_ball(A, beta=0.0), **n), beta=B, gamma=0.0),
        lambda: params(mo.nesterov, learning_rate=A, beta=B),
    ),
    "a schedule-free method that trains at z is the inner one": (
        lambda: params(mo.schedule_free_sgd, learning_rate=A, b1=0.0),
        lambda: params(optax.sgd, learning_rate=A),
    ),
}


@pytest.mark.parametrize("name", IDENTITIES)
def test_one_method_is_another(name):
    one, other = IDENTITIES[name]
    assert_close(one(), other())


@pytest.mark.parametrize(("kappa", "xi", "eps"), [(80.0, 5.0, 0.7), (1000.0, 10.0, 0.7), (20.0, 2.0, 0.5)])
def test_acc_sgd_is_qhm_from_the_first_step_on(kappa, xi, eps):
    ours = params(mo.acc_sgd, learning_rate=0.01, kappa=kappa, xi=xi, small_const=eps)
    learning_rate = 0.01 * eps * (1 + xi) / (1 + eps)
    beta, nu = (kappa - eps**2 * xi) / (kappa + eps * xi), (eps * xi - 1) / (eps * (1 + xi))
    assert_close(ours, params(mo.qhm, learning_rate=learning_rate, beta=beta, nu=nu), 1e-11)


@pytest.mark.parametrize("nu", [0.7, 0.3])
def test_a_controller_of_the_position_is_qhm(nu):
    """Recht's gains act on the position; `pid` is another controller."""
    a = 0.1
    gains = (-a * nu * B / (1 - B), a, a * nu * B**2 / (1 - B) ** 2)
    assert_close(params(mo.qhm, learning_rate=a, beta=B, nu=nu), oracles.recht_pid(curved, START, STEPS, *gains), 1e-11)


def test_the_triple_momentum_method_is_qhm():
    """Van Scoy, Freeman and Lynch, with the numbers for the condition 10 of the linear problem."""
    k, L = 10.0, 10.0
    r = 1 - 1 / np.sqrt(k)
    a, b, gamma = (1 + r) / L, r**2 / (2 - r), r**2 / ((1 + r) * (2 - r))
    # Gradients are taken at y = xi + gamma (xi - xi'), and xi moves by b (xi - xi') - a g.
    xi, before, ys = START, START, []
    for _ in range(STEPS + 1):
        ys.append(xi + gamma * (xi - before))
        xi, before = xi + b * (xi - before) - a * linear(ys[-1]), xi
    # One gradient moves y at once by a (1 + gamma), and then by this, which decays with b.
    impulse = [a * (1 + gamma)] + [a * (b**t + gamma * (b**t - b ** (t - 1))) for t in range(1, 4)]
    # One gradient moves the params of qhm by lr (1 - nu b), and then by lr nu (1 - b) b^t.
    learning_rate = a / (1 - b)
    nu = 1 - (impulse[0] / learning_rate - (1 - b)) / b
    np.testing.assert_allclose(learning_rate * nu * (1 - b) * b ** np.arange(1, 4), impulse[1:], rtol=1e-12)
    assert_close(params(mo.qhm, linear, learning_rate=learning_rate, beta=b, nu=nu), ys, 1e-11)


def test_nesterov_is_heavy_ball_corrected_by_the_change_of_the_gradient():
    """y_{t+1} = y_t - a g_t + b (y_t - y_{t-1}) - a b (g_t - g_{t-1}), on no quadratic too."""
    y = params(mo.nesterov, learning_rate=A, beta=B)
    g = np.array([curved(row) for row in y])
    expected = y[1:-1] - A * g[1:-1] + B * (y[1:-1] - y[:-2]) - A * B * (g[1:-1] - g[:-2])
    assert_close(y[2:], expected)
    without = y[1:-1] - A * g[1:-1] + B * (y[1:-1] - y[:-2])
    assert np.max(np.abs(y[2:] - without)) > 1e-2


def test_on_a_quadratic_that_correction_is_the_hessian_times_the_movement():
    y = params(mo.nesterov, linear, learning_rate=A, beta=B)
    movement = y[1:-1] - y[:-2]
    expected = y[1:-1] - A * y[1:-1] @ MATRIX + B * movement - A * B * movement @ MATRIX
    assert_close(y[2:], expected, 1e-11)


def test_theta_is_the_params_moved_on_by_the_velocity():
    """x_{t+1} = y_{t+1} + a b v_{t+1}: what torch trains is y, and this leads back."""
    run = descend(mo.nesterov, {"learning_rate": A, "beta": B})
    g = np.array([curved(row) for row in run.params[:-1]])
    velocity = oracles.trace(g, B)
    assert_close(run.answers[1:], run.params[1:] + A * B * velocity)


def test_adam_of_a_constant_gradient_steps_by_the_learning_rate():
    tx = optax.chain(mo.divide(mo.ema(B), by=mo.root_mean_square(0.999, 0.0)), mo.scale_by_learning_rate(0.1))
    np.testing.assert_allclose(feed(tx, np.full((50, 2), [3.0, -7.0]))[0], np.full((50, 2), [-0.1, 0.1]), rtol=1e-13)


def test_heavy_ball_is_symplectic_euler_of_a_body_with_drag():
    """x'' = -c x' - g(x): first the speed over a time h, then the place at the new speed."""
    h, c = 0.15, 0.8
    x, speed, path = START, np.zeros(5), [START]
    for _ in range(STEPS):
        speed = speed + h * (-c * speed - curved(x))
        x = x + h * speed
        path.append(x)
    assert_close(params(mo.heavy_ball, learning_rate=h**2, beta=1 - h * c), path)


def test_dampening_by_beta_is_the_average():
    g = noise(20, 5)
    assert_close(feed(mo.trace(B, dampening=B), g)[0], feed(mo.ema(B, debias=False), g)[0])
