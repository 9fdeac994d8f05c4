"""Restarts against the papers: the exact counts of a long run, the first restart on a parabola, and trajectories."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import oracles_restarts
import pytest
from helpers import MATRIX, START, assert_close, descend, join, split, table

import momentum_optax as mo

EIGENVALUES = np.geomspace(1e-4, 1.0, 200)


FISTA = oracles_restarts.fista_betas(7000)


SU = oracles_restarts.su_betas(1000)


def quartic(x):
    return x @ MATRIX @ x / 2 + 0.025 * jnp.sum(x**4)


# The long run: condition 1e4, from a normal start, until the function is 1e-10 of what it was.


def known(learning_rate):
    root = np.sqrt(1e4)
    return mo.nesterov(learning_rate, (root - 1) / (root + 1))


RUNS = {
    "gradient descent": (lambda: mo.heavy_ball(1.0, 0), 49552),
    "no restart": (lambda: mo.nesterov(1.0, table(FISTA)), 6414),
    "function": (lambda: mo.wrappers.restart_when(mo.nesterov(1.0, table(FISTA)), "function"), 1351),
    "gradient": (lambda: mo.wrappers.restart_when(mo.nesterov(1.0, table(FISTA)), "gradient"), 1347),
    "every 769": (lambda: mo.wrappers.restart_every(mo.nesterov(1.0, table(FISTA)), 769), 1696),
    "known curvature": (lambda: known(1.0), 799),
}


def steps_needed(tx, eigenvalues, start, limit):
    """Updates until the function at the answer is 1e-10 of that at the start."""

    def value(x):
        return jnp.sum(eigenvalues * x**2) / 2

    def body(carry):
        params, state, n = carry
        loss, g = jax.value_and_grad(value)(params)
        updates, state = tx.update(g, state, params, value=loss)
        return mo.apply_updates(params, updates), state, n + 1

    def unfinished(carry):
        params, state, n = carry
        return (value(mo.eval_params(state, params, missing="params")) > 1e-10 * value(start)) & (n < limit)

    return jax.lax.while_loop(unfinished, body, (start, tx.init(start), 0))[2]


@pytest.mark.parametrize("name", RUNS)
def test_counts_of_the_long_run(name):
    build, expected = RUNS[name]
    start = np.random.default_rng(0).standard_normal(200)
    with jax.enable_x64(True):
        run = jax.jit(lambda start: steps_needed(build(), jnp.asarray(EIGENVALUES), start, 60_000))
        assert int(run(start)) == expected


# The first restart on a parabola, at the first zero of a Bessel function.


@functools.cache
def first_restart(when, z, min_steps):
    def body(carry):
        x, state, n = carry
        updates, state = tx.update(z * x, state, x, value=z * x * x / 2)
        return x + updates, state, n + 1

    with jax.enable_x64(True):
        tx = mo.wrappers.restart_when(mo.nesterov(1.0, table(SU)), when, min_steps=min_steps)
        x = jnp.ones(())
        return int(jax.lax.while_loop(lambda c: c[1].restarts == 0, body, (x, tx.init(x), 0))[2])


@pytest.mark.parametrize(
    ("when", "min_steps", "expected"),
    [("gradient", 1, 383), ("function", 1, 384), ("speed", None, 229), ("speed", 1, 2)],
)
def test_first_restart_on_a_parabola(when, min_steps, expected):
    assert first_restart(when, 1e-4, min_steps) == expected


@pytest.mark.parametrize(("when", "constant"), [("gradient", 3.8317), ("speed", 2.2999)])
def test_the_first_restart_scales_with_the_curvature(when, constant):
    for z in (1e-2, 1e-3):
        assert abs(first_restart(when, z, None) - constant / np.sqrt(z)) < 2


# Trajectories.


RULES = {
    "gradient": ({"when": "gradient"}, lambda n, g, step, last, rose: g @ step > 0),
    "gradient, rarely": ({"when": "gradient", "min_steps": 9}, None),
    "function": ({"when": "function"}, lambda n, g, step, last, rose: rose),
    "speed": ({"when": "speed", "min_steps": 3}, None),
    "at counts": (
        {"when": lambda count: (count == 5) | (count == 17), "counts": True},
        lambda n, g, step, last, rose: n in (5, 17),
    ),
}


def rarely(least, test):
    """A rule that holds its peace for some updates after a restart."""
    last_restart = 0

    def rule(n, g, step, last, rose):
        nonlocal last_restart
        fire = n - last_restart >= least and test(g, step, last)
        last_restart = n if fire else last_restart
        return fire

    return rule


def run_with_value(tx, x0, steps):
    def body(carry, _):
        params, state = carry
        value, g = jax.value_and_grad(lambda p: quartic(join(p)))(params)
        updates, state = tx.update(g, state, params, value=value)
        params = mo.apply_updates(params, updates)
        return (params, state), (join(params), join(mo.eval_params(state, params, missing="params")), state.restarts)

    params = split(jnp.asarray(x0))
    return jax.lax.scan(body, (params, tx.init(params)), None, steps)[1]


@pytest.mark.parametrize("name", RULES)
def test_trajectories_are_those_of_the_paper(name):
    arguments, rule = RULES[name]
    rule = rule or {
        "gradient, rarely": rarely(9, lambda g, step, last: g @ step > 0),
        "speed": rarely(3, lambda g, step, last: np.linalg.norm(step) < np.linalg.norm(last)),
    }[name]  # fmt: skip
    xs, ys, restarts = oracles_restarts.restarted(
        lambda x: MATRIX @ x + 0.1 * x**3, START, 60, 0.02, SU, rule, lambda x: float(quartic(x))
    )
    assert len(restarts) >= 2, "the rule is not put to the test"
    with jax.enable_x64(True):
        tx = mo.wrappers.restart_when(mo.nesterov(0.02, table(SU)), **arguments)
        params, answers, count = jax.jit(lambda: run_with_value(tx, START, 60))()
        assert_close(params, ys[1:], 1e-11)
        assert_close(answers, xs[1:], 1e-11)
        assert [int(np.searchsorted(count, i + 1)) + 1 for i in range(len(restarts))] == restarts


def test_restart_every_is_the_method_begun_again():
    """Each stretch is a run of its own from where the last one ended."""
    plain = {"learning_rate": 0.02, "beta": table(SU)}

    def build(**numbers):
        return mo.wrappers.restart_every(mo.nesterov(**numbers), 8)

    whole = descend(build, plain, steps=24)
    start = START
    for stretch in range(3):
        part = descend(mo.nesterov, plain, x0=start, steps=8)
        assert_close(whole.answers[8 * stretch + 1 : 8 * stretch + 9], part.answers[1:])
        start = part.answers[-1]


def test_every_lane_restarts_on_its_own():
    """Several learning rates under `vmap`, each the same as alone; none agrees with another about when."""

    def run(learning_rate):
        tx = mo.wrappers.restart_when(mo.nesterov(learning_rate, table(SU)), "gradient")
        return run_with_value(tx, START, 40)

    with jax.enable_x64(True):
        rates = jnp.array([0.005, 0.02, 0.05])
        params, _, restarts = jax.jit(jax.vmap(run))(rates)
        alone = jax.jit(run)
        for lane, rate in enumerate(rates):
            expected, _, count = alone(rate)
            np.testing.assert_allclose(params[lane], expected, rtol=1e-10, atol=1e-12)
            np.testing.assert_array_equal(restarts[lane], count)
    assert len({tuple(lane.tolist()) for lane in np.asarray(restarts)}) == 3


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: mo.wrappers.restart_when(mo.trace(0.9), "often"), "when must be one of 'gradient'.*'often'"),
        (lambda: mo.wrappers.restart_when(mo.trace(0.9), 3), "when must be one of.*3"),
        (lambda: mo.wrappers.restart_when(mo.trace(0.9), lambda count: count / 2), "when must be.*float32"),
        (lambda: mo.wrappers.restart_when(mo.trace(0.9), "speed", min_steps=0), "min_steps must be .* at least 1"),
        (lambda: mo.wrappers.restart_every(mo.trace(0.9), 0), "period must be finite and at least 1; got 0"),
        (lambda: mo.wrappers.restart_every(mo.trace(0.9), {"a": 3}), "period must be one number"),
        (lambda: mo.wrappers.restart_every(mo.trace(0.9), 3, keep=1.5), r"keep must be in \[0, 1\]; got 1.5"),
        (lambda: mo.wrappers.restart_every(0.9, 3), "tx must be a gradient transformation; got 0.9"),
        (
            lambda: mo.wrappers.restart_every(optax.sgd(0.1), 3).init(jnp.ones(2)),
            "tx holds no velocity; among its parts are EmptyState",
        ),
    ],
)
def test_refused(build, message):
    with pytest.raises((TypeError, ValueError), match=message):
        build()


def test_a_missing_value_is_named():
    tx = mo.wrappers.restart_when(mo.trace(0.9), "function")
    with pytest.raises(ValueError, match="value=loss"):
        tx.update(jnp.ones(2), tx.init(jnp.ones(2)))


def test_missing_params_are_named():
    tx = mo.wrappers.restart_every(mo.nesterov(0.1), 3)
    with pytest.raises(ValueError, match="needs the params"):
        tx.update(jnp.ones(2), tx.init(jnp.ones(2)))
