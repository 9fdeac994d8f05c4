"""YellowFin: its single step against numbers and direct minimisation, the tuner against the authors' code in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import oracles_rules
import pytest
from helpers import START, assert_close, curved, descend

import momentum_optax as mo
from momentum_optax.rules.yellowfin import single_step

# Variance, distance, smallest and largest curvature; beta and learning rate to six digits.
WORKED = [
    ((1.0, 1.0, 1.0, 1.0), (0.168301, 0.347810)),
    ((1.0, 2.0, 0.5, 50.0), (0.669421, 0.0661157)),
    ((10.0, 1.0, 0.1, 0.2), (0.851429, 0.0597076)),
    ((0.1, 3.0, 1.0, 1000.0), (0.881145, 0.00375853)),
]


@pytest.mark.parametrize(("given", "worked"), WORKED)
def test_the_single_step_gives_the_worked_numbers(given, worked):
    with jax.enable_x64(True):
        found = single_step(*map(jnp.asarray, given))
    np.testing.assert_allclose(found, worked, rtol=3e-6)  # what six digits leave open
    np.testing.assert_allclose(found, oracles_rules.single_step(*given), rtol=1e-13)


def test_the_single_step_is_the_minimum():
    """Of beta D^2 + (1 - sqrt beta)^4 C / h_min^2, on a grid of all betas that contract every curvature alike."""
    rng = np.random.default_rng(0)
    roots = np.linspace(0, 1, 200_001)[:-1]
    for _ in range(10):
        variance, distance, h_min, spread = np.exp(rng.normal(0, 1.5, 4))
        h_max = h_min * (1 + spread)
        smallest = (np.sqrt(h_max / h_min) - 1) / (np.sqrt(h_max / h_min) + 1)
        allowed = roots[roots >= smallest]
        best = allowed[np.argmin(allowed**2 * distance**2 + (1 - allowed) ** 4 * variance / h_min**2)]
        with jax.enable_x64(True):
            beta, _ = single_step(*map(jnp.asarray, (variance, distance, h_min, h_max)))
        np.testing.assert_allclose(np.sqrt(beta), best, atol=1.1e-5)


def test_the_single_step_is_as_good_in_float32():
    """From noise without end to none at all, and to any spread of curvatures."""
    ratios = np.geomspace(1e-8, 1e8, 200)  # distance * h_min / sqrt(2 * variance)
    found = jax.vmap(lambda r: single_step(jnp.float32(0.5), r, jnp.float32(1), jnp.float32(1)))(
        jnp.asarray(ratios, jnp.float32)
    )
    with jax.enable_x64(True):
        exact = jax.vmap(lambda r: single_step(0.5 + 0 * r, r, 1 + 0 * r, 1 + 0 * r))(jnp.asarray(ratios))
    within = (ratios > 1e-6) & (ratios < 1e5)
    gaps = np.sqrt(np.asarray(exact[1]))
    np.testing.assert_allclose(gaps[within] ** 3, (ratios[within] ** 2) * (1 - gaps[within]), rtol=1e-4)
    np.testing.assert_allclose(found[1], exact[1], rtol=2e-5, atol=1e-11)
    np.testing.assert_allclose(found[0], exact[0], rtol=2e-6, atol=1e-7)
    assert np.all(np.asarray(found[0]) < 1)


def test_the_single_step_stays_finite_and_differentiable_everywhere():
    extremes = jnp.asarray([1e-15, 1e-8, 1.0, 1e8, 1e15], jnp.float32)
    grid = jnp.stack(jnp.meshgrid(*[extremes] * 3), -1).reshape(-1, 3)

    def both(row, which):
        return single_step(row[0], row[1], row[2], row[2] * 10)[which]

    for which in (0, 1):
        assert np.all(np.isfinite(jax.vmap(lambda row, w=which: both(row, w))(grid)))
    slopes = jax.vmap(jax.grad(lambda row: both(row, 0)))(grid)
    assert not np.any(np.isnan(slopes))


@pytest.mark.parametrize("width", [3, 20])
def test_the_run_is_that_of_the_authors(width):
    numbers = {"decay": 0.95, "eps": 1e-6}

    def build(**numbers):
        tuner = mo.rules.yellowfin(1e-3, window=width, **numbers)
        return mo.heavy_ball(tuner.learning_rate, tuner.beta)

    expected, rates, betas = oracles_rules.yellowfin(curved, START, 60, 1e-3, width=width, **numbers)
    assert_close(descend(build, numbers, steps=60, traced=True).params, expected, 1e-9)
    assert np.ptp(np.log(betas[5:])) > 1
    assert rates[0] == 1e-3
    assert betas[0] == 0


def test_each_step_is_exact():
    """Both coefficients, and their state, after every update of a stream of gradients; 1e-12 without a run's growth."""
    stream = np.random.default_rng(1).normal(size=(40, 5)) * np.linspace(2, 0.5, 40)[:, None]
    feed = iter(stream)
    _, rates, betas = oracles_rules.yellowfin(lambda x: next(feed), np.zeros(5), 40, 1e-3, 0.9, 5)
    with jax.enable_x64(True):
        tuner = mo.rules.yellowfin(1e-3, decay=0.9, window=5)
        tx = mo.heavy_ball(tuner.learning_rate, tuner.beta)

        def body(state, g):
            _, state = tx.update(g, state)
            return state, state.values

        values = jax.lax.scan(body, tx.init(jnp.zeros(5)), jnp.asarray(stream))[1]
    np.testing.assert_allclose(values["learning_rate"], rates, rtol=1e-12)
    np.testing.assert_allclose(values["beta"], betas, rtol=1e-12)


def test_one_coefficient_may_be_used_alone_and_the_tuner_stands_for_beta():
    tuner = mo.rules.yellowfin(decay=0.9)
    whole = mo.heavy_ball(tuner.learning_rate, tuner)
    state = mo.heavy_ball(0.1, tuner.beta).init(jnp.zeros(2))
    assert set(state.values) == {"beta"}
    assert set(whole.init(jnp.zeros(2)).values) == {"learning_rate", "beta"}
    assert len(whole.init(jnp.zeros(2)).rules) == 1  # one tuner at work, not two
    assert repr(tuner.beta) == "rules.yellowfin(decay=0.9, window=20).beta"


def test_bad_numbers_are_refused():
    with pytest.raises(ValueError, match="window must be an integer of at least 1; got 0"):
        mo.rules.yellowfin(window=0)
    with pytest.raises(TypeError, match="window must be an integer"):
        mo.rules.yellowfin(window=2.5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="eps must be finite and above 0"):
        mo.rules.yellowfin(eps=0.0)
