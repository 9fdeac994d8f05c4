"""Every optimizer against its paper: constants, schedules, traced numbers, a number per leaf, complex params."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import optax
import oracles
import pytest
from flax.core import FrozenDict
from helpers import START, STEPS, assert_close, curved, descend, feed, linear, moving, noise, per_leaf, split

import momentum_optax as mo


def aggmo(learning_rate, beta1, beta2, **rest):
    return mo.aggmo(learning_rate, (0.0, beta1, beta2), **rest)


def aggmo_oracle(gradient_fn, x0, steps, learning_rate, beta1, beta2):
    return oracles.aggmo(gradient_fn, x0, steps, learning_rate, (0.0, beta1, beta2))


def ahead(*arguments, **numbers):
    return oracles.nesterov(*arguments, **numbers)[1]


def theta(*arguments, **numbers):
    return oracles.nesterov_lookahead(*arguments, **numbers)[0]


class Case(NamedTuple):
    """An optimizer, its reference, and numbers at which neither diverges."""

    build: Callable[..., Any]
    oracle: Callable[..., np.ndarray]
    numbers: dict[str, float]
    look: Callable[..., Any] = lambda state, params: params


CASES = {
    "heavy_ball": Case(mo.heavy_ball, oracles.heavy_ball, {"learning_rate": 0.02, "beta": 0.9}),
    "heavy_ball, lr_in_velocity": Case(
        partial(mo.heavy_ball, lr_in_velocity=True),
        partial(oracles.heavy_ball, lr_in_velocity=True),
        {"learning_rate": 0.02, "beta": 0.9},
    ),
    "ema_momentum": Case(mo.ema_momentum, oracles.ema_momentum, {"learning_rate": 0.2, "beta": 0.9}),
    "ema_momentum, debias": Case(
        partial(mo.ema_momentum, debias=True),
        partial(oracles.ema_momentum, debias=True),
        {"learning_rate": 0.15, "beta": 0.8},
    ),
    "nesterov": Case(mo.nesterov, ahead, {"learning_rate": 0.02, "beta": 0.9}),
    "nesterov_lookahead": Case(
        mo.nesterov_lookahead, theta, {"learning_rate": 0.02, "beta": 0.9}, mo.lookahead_params
    ),
    "qhm": Case(mo.qhm, oracles.qhm, {"learning_rate": 0.1, "beta": 0.95, "nu": 0.7}),
    "aggmo": Case(aggmo, aggmo_oracle, {"learning_rate": 0.03, "beta1": 0.8, "beta2": 0.95}),
    "acc_sgd": Case(
        mo.acc_sgd, oracles.acc_sgd, {"learning_rate": 0.01, "kappa": 80.0, "xi": 5.0, "small_const": 0.7}
    ),
    "pid": Case(
        mo.pid, oracles.pid, {"learning_rate": 0.005, "beta": 0.9, "integral": 3.0, "derivative": 5.0}
    ),
    "pnm": Case(mo.pnm, oracles.pnm, {"learning_rate": 0.05, "beta": 0.9, "beta0": 0.8}),
}  # fmt: skip

every_method = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


@every_method
def test_constants_give_the_trajectory_of_the_paper(case):
    run = descend(case.build, case.numbers, look=case.look)
    assert_close(run.params, case.oracle(curved, START, STEPS, **case.numbers))


@every_method
def test_a_scheduled_learning_rate_gives_the_trajectory_of_the_paper(case):
    numbers = case.numbers | {"learning_rate": moving(case.numbers["learning_rate"])}
    run = descend(case.build, numbers, look=case.look)
    assert_close(run.params, case.oracle(curved, START, STEPS, **numbers))


@every_method
def test_schedules_of_every_number_give_the_trajectory_of_the_paper(case):
    numbers = {name: moving(value) for name, value in case.numbers.items()}
    run = descend(case.build, numbers, look=case.look)
    assert_close(run.params, case.oracle(curved, START, STEPS, **numbers))


@every_method
def test_traced_numbers_give_the_trajectory_of_the_paper(case):
    run = descend(case.build, case.numbers, look=case.look, traced=True)
    assert_close(run.params, case.oracle(curved, START, STEPS, **case.numbers))


@every_method
def test_a_number_per_leaf_gives_the_trajectory_of_the_paper(case):
    """A number for one leaf, a schedule for the other; the reference has a vector for both."""
    trees = {name: {"b": moving(value), "w": 0.8 * value} for name, value in case.numbers.items()}
    vectors = {
        name: (lambda count, value=value: per_leaf(0.8 * value, moving(value)(count)))
        for name, value in case.numbers.items()
    }
    run = descend(case.build, trees, look=case.look)
    assert_close(run.params, case.oracle(curved, START, STEPS, **vectors))


@every_method
def test_complex_params_move_like_their_two_parts(case):
    start = START + 1j * START[::-1]
    run = descend(case.build, case.numbers, linear, start, look=case.look)
    real, imag = (case.oracle(linear, part, STEPS, **case.numbers) for part in (start.real, start.imag))
    assert_close(run.params, real + 1j * imag)


@every_method
def test_a_narrow_state_bends_the_trajectory_only_by_its_rounding(case):
    narrow = partial(case.build, state_dtype=np.float32)
    run = descend(narrow, case.numbers, look=case.look)
    expected = case.oracle(curved, START, STEPS, **case.numbers)
    assert_close(run.params[:12], expected[:12], 1e-5)
    assert np.any(run.params[1:] != expected[1:])


def test_an_optax_schedule_of_beta_is_exact():
    numbers = {"learning_rate": 0.02, "beta": optax.linear_schedule(0.5, 0.99, 20)}
    by_hand = {"learning_rate": 0.02, "beta": lambda count: 0.5 + 0.49 * min(count, 20) / 20}
    for name in ("heavy_ball", "nesterov", "qhm"):
        case = CASES[name]
        run = descend(case.build, numbers, look=case.look)
        assert_close(run.params, case.oracle(curved, START, STEPS, **by_hand))


def test_a_plain_dict_of_betas_fits_a_frozen_dict_of_params():
    gradients = FrozenDict(split(noise(10, 5)))
    ours, _ = feed(mo.heavy_ball({"w": 0.1, "b": 0.2}, {"b": {"deep": 0.5}, "w": 0.9}), gradients)
    assert isinstance(ours, FrozenDict)
    assert_close(ours["w"], -0.1 * oracles.trace(gradients["w"], 0.9))
    assert_close(ours["b"]["deep"], -0.2 * oracles.trace(gradients["b"]["deep"], 0.5))


@pytest.mark.parametrize("name", ["kappa", "xi", "small_const"])
def test_acc_sgd_refuses_constants_that_are_not_above_zero(name):
    with pytest.raises(ValueError, match=f"{name} must be finite and above 0; got 0"):
        mo.acc_sgd(0.1, **{name: 0})


@pytest.mark.parametrize("betas", [0.9, None, "abc"])
def test_aggmo_wants_a_sequence_of_betas(betas):
    with pytest.raises(TypeError, match="betas must be a sequence"):
        mo.aggmo(0.1, betas)


def test_aggmo_wants_at_least_one_beta_and_names_a_wrong_one():
    with pytest.raises(ValueError, match="betas must hold at least one"):
        mo.aggmo(0.1, ())
    with pytest.raises(ValueError, match=r"betas\[1\] must be in \[0, 1\); got 1.5"):
        mo.aggmo(0.1, (0.9, 1.5))
