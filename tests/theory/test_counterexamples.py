"""Where heavy ball fails although every local rate is good, and Nesterov's method does not."""

import jax.numpy as jnp
import numpy as np
import pytest
from quadratics import descend

import momentum_optax as mo

LEAST, LARGEST = 1.0, 25.0
STEP, MOMENTUM = 1 / 9, 4 / 9  # Polyak's tuning for these curvatures


def lessard_recht_packard(x):
    """Slope 25, then 1, then 25: a convex function of condition 25 with its minimum at 0."""
    return jnp.where(x < 1, 25 * x, jnp.where(x < 2, x + 24, 25 * x - 24))


def test_heavy_ball_follows_the_published_path():
    x = descend(mo.heavy_ball(STEP, MOMENTUM), [1.0], 8, 3.3, lessard_recht_packard).params[:, 0]
    published = [3.3, -3.2, 2.8, 0.355556, -1.718519, 2.133333, 0.586008, -1.729492, 2.045542]
    np.testing.assert_allclose(x, published, atol=5e-7)


@pytest.mark.parametrize("start", [3.07, 3.3, 3.46])
def test_heavy_ball_tuned_for_quadratics_cycles_for_ever(start):
    x = descend(mo.heavy_ball(STEP, MOMENTUM), [1.0], 300, start, lessard_recht_packard).params[:, 0]
    cycle = np.array([792, -2208, 2592]) / 1225
    shift = np.argmin(np.abs(x[-1] - cycle))
    expected = cycle[(np.arange(-30, 0) + 1 + shift) % 3]
    np.testing.assert_allclose(x[-30:], expected, rtol=1e-12)


@pytest.mark.parametrize(
    "tx",
    [mo.nesterov(1 / LARGEST, 4 / 6), mo.heavy_ball(1 / LARGEST, 0.0), mo.qhm(0.06 / (1 - 0.36), 0.36, 0.36)],
    ids=["nesterov", "gradient descent", "qhm"],
)
def test_others_converge_on_the_same_function(tx):
    run = descend(tx, [1.0], 400, 3.3, lessard_recht_packard)
    assert abs(run.answers[-1, 0]) < 1e-6


def test_on_the_worst_function_news_travels_one_coordinate_a_step():
    """Nesterov's chain: after j steps from 0 only j coordinates have moved, and the error is at least q^j."""
    k, d = 30.0, 40
    A = (k - 1) / 4 * (2 * np.eye(d) - np.eye(d, k=1) - np.eye(d, k=-1)) + np.eye(d)
    b = np.zeros(d)
    b[0] = (k - 1) / 4
    q = (np.sqrt(k) - 1) / (np.sqrt(k) + 1)
    solution = q ** np.arange(1, d + 1.0)
    s = np.sqrt(k)
    for tx in (mo.heavy_ball(4 / (s + 1) ** 2, q**2), mo.nesterov(1 / k, q), mo.aggmo(1 / k, (0.0, 0.9))):
        x = descend(tx, np.ones(d), 15, 0.0, lambda x: A @ x - b).params
        for j in range(16):
            assert np.all(x[j, j:] == 0)
            assert j == 0 or x[j, j - 1] != 0
            assert np.max(np.abs(x[j] - solution)) >= q ** (j + 1) * (1 - 1e-12)
