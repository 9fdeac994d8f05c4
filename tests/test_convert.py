"""One heavy ball in four spellings."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
from helpers import START, STEPS, assert_close, curved, descend, moving

import momentum_optax as mo

FOLLOWS = {"trace": mo.heavy_ball, "velocity": mo.heavy_ball, "ema": mo.ema_momentum, "qhm": mo.qhm}
PAIRS = list(itertools.product(FOLLOWS, FOLLOWS))


def reference(convention, learning_rate, beta):
    """The docstring's two lines per convention, in NumPy."""
    x, velocity, xs = START, np.zeros(5), [START]
    for count in range(STEPS):
        lr = learning_rate(count) if callable(learning_rate) else learning_rate
        b = beta(count) if callable(beta) else beta
        gain = {"trace": 1.0, "velocity": lr, "ema": 1 - b, "qhm": 1 - b}[convention]
        velocity = b * velocity + gain * curved(x)
        x = x - (1.0 if convention == "velocity" else lr) * velocity
        xs.append(x)
    return np.array(xs)


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_the_trajectory_survives_every_change_of_convention(source, target):
    learning_rate, beta = (0.02, 0.9) if source in ("trace", "velocity") else (0.2, 0.9)
    spelled = mo.convert(learning_rate, beta, source=source, target=target)
    assert_close(descend(FOLLOWS[target], spelled).params, reference(source, learning_rate, beta))


@pytest.mark.parametrize(("source", "target"), [(s, t) for s, t in PAIRS if (s == "velocity") == (t == "velocity")])
def test_a_scheduled_learning_rate_survives_where_both_sides_forget_it(source, target):
    learning_rate = moving(0.02 if source in ("trace", "velocity") else 0.2)
    spelled = mo.convert(learning_rate, 0.9, source=source, target=target)
    assert_close(descend(FOLLOWS[target], spelled).params, reference(source, learning_rate, 0.9))


@pytest.mark.parametrize(
    ("source", "target"),
    [("trace", "trace"), ("trace", "velocity"), ("velocity", "trace"), ("ema", "qhm"), ("qhm", "ema"), ("ema", "ema")],
)
def test_a_scheduled_beta_survives_between_conventions_of_one_scale(source, target):
    learning_rate = 0.02 if source in ("trace", "velocity") else 0.2
    spelled = mo.convert(learning_rate, moving(0.9), source=source, target=target)
    assert_close(descend(FOLLOWS[target], spelled).params, reference(source, learning_rate, moving(0.9)))


@pytest.mark.parametrize(
    ("source", "target"),
    [(s, t) for s, t in PAIRS if (s in ("ema", "qhm")) != (t in ("ema", "qhm"))],
)
def test_a_scheduled_beta_between_two_scales_has_no_equivalent(source, target):
    with pytest.raises(ValueError, match=f"beta is a schedule: '{source}' and '{target}' differ.*constant beta"):
        mo.convert(0.1, moving(0.9), source=source, target=target)


@pytest.mark.parametrize(("source", "target"), [("velocity", "trace"), ("ema", "velocity"), ("velocity", "qhm")])
def test_a_scheduled_learning_rate_into_or_out_of_the_velocity_has_no_equivalent(source, target):
    with pytest.raises(ValueError, match=f"learning_rate is a schedule: '{source}' and '{target}' do not both"):
        mo.convert(moving(0.1), 0.9, source=source, target=target)


def test_there_and_back_is_where_one_started():
    for source, target in PAIRS:
        there = mo.convert(0.3, 0.8, source=source, target=target)
        back = mo.convert(there["learning_rate"], there["beta"], source=target, target=source)
        np.testing.assert_allclose(back["learning_rate"], 0.3, rtol=1e-15)
        assert back["beta"] == 0.8


def test_numbers_of_each_leaf_are_converted_apart():
    rates = mo.convert({"w": 0.1, "b": 0.2}, 0.5, source="trace", target="ema")["learning_rate"]
    assert rates == {"w": 0.2, "b": 0.4}
    rates = mo.convert(0.1, {"w": 0.5, "b": 0.75}, source="trace", target="ema")["learning_rate"]
    assert rates == {"w": 0.2, "b": 0.4}
    rates = mo.convert({"w": 0.1, "b": 0.2}, {"w": 0.5, "b": 0.75}, source="trace", target="ema")["learning_rate"]
    assert rates == {"w": 0.2, "b": 0.8}


def test_traced_numbers_are_converted():
    rate = jax.jit(lambda lr, b: mo.convert(lr, b, source="ema", target="velocity")["learning_rate"])(2.0, 0.75)
    np.testing.assert_allclose(rate, 0.5)
    assert isinstance(rate, jnp.ndarray)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"source": "tensor"}, ValueError, "source must be one of trace, velocity, ema, qhm; got 'tensor'"),
        ({"target": None}, ValueError, "target must be one of trace, velocity, ema, qhm; got None"),
        ({"beta": 1.0}, ValueError, r"beta must be in \[0, 1\); got 1.0"),
        ({"learning_rate": -1}, ValueError, "learning_rate must be finite and at least 0; got -1"),
        ({"learning_rate": "fast"}, TypeError, "learning_rate must be a number .*got 'fast' of type str"),
    ],
)
def test_what_cannot_be_right_is_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        mo.convert(**({"learning_rate": 0.1, "beta": 0.9, "source": "trace", "target": "ema"} | arguments))


def test_an_oracle_agrees_that_the_references_here_are_heavy_balls():
    for inside, convention in ((False, "trace"), (True, "velocity")):
        expected = oracles.heavy_ball(curved, START, STEPS, moving(0.02), 0.9, lr_in_velocity=inside)
        assert_close(reference(convention, moving(0.02), 0.9), expected)
