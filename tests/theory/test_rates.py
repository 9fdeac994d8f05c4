"""How fast the methods are on quadratics: exact rates, from errors and not from eigenvalues of defective matrices."""

import numpy as np
import pytest
from helpers import assert_close, table
from quadratics import descend, radius, transition

import momentum_optax as mo

CONDITIONS = [10.0, 100.0, 1000.0]
every_condition = pytest.mark.parametrize("k", CONDITIONS)


def polyak(k):
    """Rate, step and momentum of heavy ball tuned for curvatures from 1 to k."""
    s = np.sqrt(k)
    return (s - 1) / (s + 1), 4 / (s + 1) ** 2, ((s - 1) / (s + 1)) ** 2


@every_condition
def test_heavy_ball_in_polyaks_tuning_follows_the_double_roots(k):
    """The roots at both ends are double: rho^j (1 + j (1 - rho)) at the least curvature, alternating at the largest."""
    rho, a, b = polyak(k)
    j = np.arange(41.0)
    x = descend(mo.heavy_ball(a, b), [1.0, k], 40).params
    assert_close(x[:, 0], rho**j * (1 + j * (1 - rho)), 1e-11)
    assert_close(x[:, 1], (-rho) ** j * (1 + j * (1 + rho)), 1e-10)


@every_condition
def test_polyaks_rate_holds_for_every_curvature_between(k):
    rho, a, b = polyak(k)
    j = np.arange(201.0)[:, None]
    x = descend(mo.heavy_ball(a, b), np.geomspace(1, k, 33), 200).params
    assert np.all(np.abs(x) <= rho**j * (1 + j * (1 + rho)) * (1 + 1e-9))


def test_polyaks_numbers_at_condition_100():
    rho, a, b = polyak(100.0)
    np.testing.assert_allclose([rho, a, b], [9 / 11, 4 / 121, 81 / 121], rtol=1e-15)
    table_of_rates = {10: 0.519494, 100: 0.818182, 1000: 0.938693, 1e4: 0.980198}
    for k, rate in table_of_rates.items():
        assert abs(polyak(k)[0] - rate) < 5e-7


@every_condition
def test_no_step_and_momentum_beat_polyaks(k):
    rho, a, b = polyak(k)
    rng = np.random.default_rng(0)
    steps = a * np.exp(0.2 * rng.standard_normal((200, 1)))
    betas = np.clip(b + 0.1 * rng.standard_normal((200, 1)), 0, 0.9999)
    radii = radius(transition(mo.heavy_ball, curvature=np.array([[1.0, k]]), learning_rate=steps, beta=betas))
    assert np.all(radii.max(-1) >= rho - 1e-6)


@every_condition
def test_nesterov_contracts_at_one_minus_one_over_root_k(k):
    """At the least curvature its root is double too: theta_j = r^j (1 + j / s)."""
    s = np.sqrt(k)
    j = np.arange(101.0)
    run = descend(mo.nesterov(1 / k, (s - 1) / (s + 1)), np.geomspace(1, k, 17), 100)
    assert_close(run.answers[:, 0], (1 - 1 / s) ** j * (1 + j / s), 1e-11)
    assert np.all(np.abs(run.answers) <= ((1 - 1 / s) ** j * (1 + j / s))[:, None] * (1 + 1e-9) + 1e-15)


@every_condition
def test_nesterov_tuned_for_quadratics_contracts_at_one_minus_two_over_q(k):
    q = np.sqrt(3 * k + 1)
    rate = 1 - 2 / q
    assert abs(rate - {10: 0.640789, 100: 0.884722, 1000: 0.963491}[k]) < 5e-7
    j = np.arange(61.0)
    theta = descend(mo.nesterov(4 / (3 * k + 1), (q - 2) / (q + 2)), [1.0, k], 60).answers
    assert_close(theta[:, 0], rate**j * (1 + j * 2 / q), 1e-11)
    # At the largest curvature -rate is a simple root and the other one is smaller.
    np.testing.assert_allclose(theta[-1, 1] / theta[-2, 1], -rate, rtol=1e-6)


@every_condition
def test_gradient_descent_contracts_as_it_should(k):
    x = descend(mo.heavy_ball(2 / (k + 1), 0.0), [1.0, k], 20).params
    rate = (k - 1) / (k + 1)
    assert_close(x, np.stack([rate ** np.arange(21.0), (-rate) ** np.arange(21.0)], 1), 1e-11)
    x = descend(mo.heavy_ball(1 / k, None), [1.0, k], 20).params
    assert_close(x[:, 0], (1 - 1 / k) ** np.arange(21.0))


@pytest.mark.parametrize(
    ("k", "betas", "rate", "step"),
    [(100.0, (0.0, 0.9), 0.94257, 2.570), (100.0, (0.0, 0.9, 0.99), 0.96907, 2.934)],
)
def test_aggregated_momentum_has_its_best_rate_where_the_theory_says(k, betas, rate, step):
    def build(learning_rate):
        return mo.aggmo(learning_rate, betas)

    steps = np.append(step, np.geomspace(0.05, 6, 60)) / k
    spectrum = np.geomspace(1, k, 200)
    radii = radius(transition(build, curvature=spectrum[None], learning_rate=steps[:, None])).max(-1)
    assert abs(radii[0] - rate) < 2e-5
    assert np.all(radii[1:] >= rate - 1e-5)


@pytest.mark.parametrize("z", [0.01, 0.1, 0.5])
def test_beyond_critical_damping_the_rate_is_the_root_of_beta(z):
    critical = (1 - np.sqrt(z)) ** 2
    beyond = np.linspace(critical, 1, 12)[1:-1]
    radii = radius(transition(mo.heavy_ball, curvature=np.ones(10), learning_rate=np.full(10, z), beta=beyond))
    np.testing.assert_allclose(radii, np.sqrt(beyond), rtol=1e-12)
    x = descend(mo.heavy_ball(z, critical), [1.0], 30).params[:, 0]
    r, j = 1 - np.sqrt(z), np.arange(31.0)
    assert_close(x, r**j * (1 + j * np.sqrt(z)), 1e-10)


def test_the_slow_root_expands_as_the_modified_equation_says():
    z, b = 1e-5, 0.9
    slow = radius(transition(mo.heavy_ball, curvature=1.0, learning_rate=z, beta=b))
    expansion = z / (1 - b) + (1 + b) * z**2 / (2 * (1 - b) ** 3)
    np.testing.assert_allclose(-np.log(slow), expansion, rtol=5e-6)  # O(z^3)
    assert abs(-np.log(slow) - z / (1 - b)) > 1e-4 * expansion  # the second term is seen


def test_heavy_ball_with_moving_coefficients_is_the_chebyshev_semi_iteration():
    """The learning rate inside makes it Polyak's recursion, whose best coefficients give T_j(c(x)) / T_j(c(0))."""
    low, high, steps = 1.0, 30.0, 20
    centre, half = (high + low) / 2, (high - low) / 2
    rates, betas, ratio = [], [], 0.0
    for j in range(steps):
        if j == 0:
            rate, ratio = 1 / centre, half / centre  # ratio = T_j / T_{j+1} at centre / half
        else:
            ratio = 1 / (2 * centre / half - ratio)
            rate = 2 * ratio / half
        rates.append(rate)
        betas.append(rate * centre - 1)
    betas[0] = 0.0
    spectrum = np.linspace(low, high, 9)
    tx = mo.heavy_ball(table(rates), table(betas), lr_in_velocity=True)
    x = descend(tx, spectrum, steps).params

    def chebyshev(j, t):
        return np.cos(j * np.arccos(t)) if np.all(np.abs(t) <= 1) else np.cosh(j * np.arccosh(t))

    expected = [chebyshev(j, (centre - spectrum) / half) / chebyshev(j, centre / half) for j in range(steps + 1)]
    assert_close(x, expected, 1e-10)
    np.testing.assert_allclose([rates[-1], betas[-1]], polyak(30.0)[1:], rtol=1e-5)
