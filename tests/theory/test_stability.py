"""The largest stable step of each method, found by bisection on the library's own update."""

import numpy as np
import pytest
from quadratics import radius, transition

import momentum_optax as mo

LIMITS = {
    "heavy_ball": (mo.heavy_ball, {}, lambda b: 2 * (1 + b)),
    "ema_momentum": (mo.ema_momentum, {}, lambda b: 2 * (1 + b) / (1 - b)),
    "nesterov": (mo.nesterov, {}, lambda b: 2 * (1 + b) / (1 + 2 * b)),
    "qhm": (mo.qhm, {"nu": 0.7}, lambda b: 2 * (1 + b) / (1 + b * (1 - 2 * 0.7))),
    "qhm, nu=1": (mo.qhm, {"nu": 1.0}, lambda b: 2 * (1 + b) / (1 - b)),
    "qhm, nu=0.2": (mo.qhm, {"nu": 0.2}, lambda b: 2 * (1 + b) / (1 + b * 0.6)),
}


def limits(build, rest, betas, low=0.0, high=1e4):
    """For each beta the step at which the spectral radius passes 1, at curvature 1."""
    low, high = np.full(len(betas), low), np.full(len(betas), high)
    for _ in range(60):
        middle = (low + high) / 2
        radii = radius(transition(build, curvature=np.ones(len(betas)), learning_rate=middle, beta=betas, **rest))
        stable = radii < 1
        low, high = np.where(stable, middle, low), np.where(stable, high, middle)
    return low


@pytest.mark.parametrize("name", LIMITS)
def test_the_step_limit_is_that_of_the_theory(name):
    build, rest, formula = LIMITS[name]
    betas = np.array([0.0, 0.3, 0.5, 0.9, 0.99])
    np.testing.assert_allclose(limits(build, rest, betas), formula(betas), rtol=1e-6)


@pytest.mark.parametrize(
    ("build", "rest", "beta", "limit"),
    [
        (mo.nesterov, {}, 0.9, 1.357143),
        (mo.qhm, {"nu": 0.7}, 0.9, 5.9375),
        (mo.qhm, {"nu": 0.7}, 0.999, 6.658894),
    ],
)
def test_the_limits_are_the_numbers_in_the_table(build, rest, beta, limit):
    np.testing.assert_allclose(limits(build, rest, np.array([beta])), limit, rtol=1e-6)


def test_with_nu_of_beta_qhm_has_nesterovs_limit():
    betas = np.array([0.5, 0.9])
    found = [limits(mo.qhm, {"nu": b}, np.array([b]))[0] * (1 - b) for b in betas]
    np.testing.assert_allclose(found, limits(mo.nesterov, {}, betas), rtol=1e-6)
