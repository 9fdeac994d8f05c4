"""Adam and its kin against their papers, recorded runs of torch, and their limits."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import oracles_adams as oracles
import pytest
from helpers import START, STEPS, assert_close, curved, descend, feed, moving, noise, per_leaf, split, table
from peers import load

import momentum_optax as mo

RATES = {"learning_rate": 0.1, "b1": 0.8, "b2": 0.95, "eps": 1e-3}


class Case(NamedTuple):
    """An optimizer, its reference, and all its numbers."""

    build: Callable[..., Any]
    oracle: Callable[..., np.ndarray]
    numbers: dict[str, float]


CASES = {
    "adam": Case(mo.adam, oracles.adamw, RATES | {"eps_root": 1e-4, "weight_decay": 0.1}),
    "adamw": Case(mo.adamw, oracles.adamw, RATES | {"eps_root": 1e-4, "weight_decay": 0.1}),
    "nadam": Case(
        mo.nadam, partial(oracles.adamw, nesterov=True), RATES | {"eps_root": 1e-4, "weight_decay": 0.1}
    ),
    "nadamw": Case(
        mo.nadamw, partial(oracles.adamw, nesterov=True), RATES | {"eps_root": 1e-4, "weight_decay": 0.1}
    ),
    "amsgrad": Case(mo.amsgrad, oracles.amsgrad, RATES | {"eps_root": 1e-4}),
    "amsgrad, as published": Case(
        partial(mo.amsgrad, bias_correction_mu=False, bias_correction_nu=False),
        partial(oracles.amsgrad, debias_mu=False, debias_nu=False),
        RATES,
    ),
    "adabelief": Case(mo.adabelief, oracles.adabelief, RATES | {"eps_root": 1e-3}),
    "adabelief, nesterov": Case(
        partial(mo.adabelief, nesterov=True), partial(oracles.adabelief, nesterov=True), RATES | {"eps_root": 1e-3}
    ),
    "yogi": Case(mo.yogi, oracles.yogi, RATES),
    "qhadam": Case(mo.qhadam, oracles.qhadam, RATES | {"nu1": 0.7, "nu2": 0.6, "eps_root": 1e-4}),
    "qhadam, nu2 = 1": Case(mo.qhadam, oracles.qhadam, RATES | {"nu1": 0.7}),
}  # fmt: skip

every_method = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


@every_method
def test_traced_constants_give_the_trajectory_of_the_paper(case):
    run = descend(case.build, case.numbers, traced=True)
    assert_close(run.params, case.oracle(curved, START, STEPS, **case.numbers))


@every_method
def test_schedules_of_every_number_give_the_trajectory_of_the_paper(case):
    numbers = {name: moving(value) for name, value in case.numbers.items()}
    run = descend(case.build, numbers)
    assert_close(run.params, case.oracle(curved, START, STEPS, **numbers))


@every_method
def test_a_number_per_leaf_gives_the_trajectory_of_the_paper(case):
    """A number for one leaf, a schedule for the other; the reference has a vector for both."""
    trees = {name: {"b": moving(value), "w": 0.8 * value} for name, value in case.numbers.items()}
    vectors = {
        name: (lambda count, value=value: per_leaf(0.8 * value, moving(value)(count)))
        for name, value in case.numbers.items()
    }
    run = descend(case.build, trees)
    assert_close(run.params, case.oracle(curved, START, STEPS, **vectors))


def coupled(learning_rate, b1, b2, weight_decay):
    return optax.chain(mo.add_decayed_weights(weight_decay), mo.adam(learning_rate, b1, b2))


def torch_amsgrad(learning_rate, b1, b2):
    """`Adam(amsgrad=True)` debiases the maximum; `amsgrad` takes the maximum of what is debiased."""
    direction = mo.divide(mo.ema(b1), by=mo.root_maximum(b2, raw_maximum=True))
    return optax.chain(direction, mo.scale_by_learning_rate(learning_rate))


TORCH = {
    "adam": mo.adam,
    "adam-eps": partial(mo.adam, eps=1e-2),
    "adam-coupled-decay": partial(coupled, weight_decay=0.05),
    "adamw": partial(mo.adamw, weight_decay=0.05),
    "amsgrad": torch_amsgrad,
    "nadam": mo.nadam,
    "nadamw": partial(mo.nadamw, weight_decay=0.05),
}
RECORDED = list(load.cases("torch_adams"))


@pytest.mark.parametrize("case", RECORDED, ids=[case.name for case in RECORDED])
def test_a_recorded_run_of_torch_is_replayed_step_by_step(case):
    with jax.enable_x64(True):
        build = TORCH[case.name.split("-", 1)[1]]
        tx = build(table(case.learning_rates), 0.8, 0.95)
        params, rows = jnp.asarray(case.trajectory[0]), [case.trajectory[0]]
        state, update = tx.init(params), jax.jit(tx.update)
        for _ in case.learning_rates:
            updates, state = update(load.gradient(case.problem, params), state, params)
            params = params + updates
            rows.append(np.asarray(params))
    # torch's NAdam keeps the product of its b1 in float32, also where the params are float64.
    assert_close(rows, case.trajectory, 1e-7 if "nadam" in case.name else 1e-12)


def test_every_recorded_kind_is_replayed():
    assert {case.name.split("-", 1)[1] for case in RECORDED} == set(TORCH)


# Limits.

GRADIENTS = noise(30, 5)


@pytest.mark.parametrize("b1", [0.9, moving(0.9)])
def test_quasi_hyperbolic_adam_with_only_averages_is_adam(b1):
    adam = feed(mo.adam(0.1, b1, moving(0.99)), GRADIENTS)[0]
    assert_close(feed(mo.qhadam(0.1, b1, moving(0.99), 1.0, 1.0), GRADIENTS)[0], adam, 1e-15)
    assert_close(feed(mo.qhadam(0.1, b1, moving(0.99), jnp.ones(()), jnp.ones(())), GRADIENTS)[0], adam, 1e-14)


def test_quasi_hyperbolic_adam_without_averages_is_the_sign():
    updates, state = feed(mo.qhadam(0.1, nu1=0.0, nu2=0.0, eps=0.0), GRADIENTS)
    assert_close(updates, -0.1 * np.sign(GRADIENTS), 1e-15)
    assert GRADIENTS.shape not in {x.shape for x in jax.tree.leaves(state)}, "nothing need be kept"


def test_nadam_without_the_look_ahead_is_adam():
    ours = feed(mo.nadam(0.1, moving(0.9), nesterov=False), GRADIENTS)[0]
    np.testing.assert_array_equal(ours, feed(mo.adam(0.1, moving(0.9)), GRADIENTS)[0])
    ahead = feed(mo.adam(0.1, moving(0.9), nesterov=True), GRADIENTS)[0]
    np.testing.assert_array_equal(ahead, feed(mo.nadam(0.1, moving(0.9)), GRADIENTS)[0])


@pytest.mark.parametrize("b2", [0.99, moving(0.99)])
def test_where_the_second_moment_only_grows_amsgrad_is_adam(b2):
    growing = GRADIENTS[:1] * 1.1 ** np.arange(30)[:, None]
    assert_close(feed(mo.amsgrad(0.1, b2=b2), growing)[0], feed(mo.adam(0.1, b2=b2), growing)[0], 1e-15)
    shrinking = growing[::-1].copy()
    assert np.any(feed(mo.amsgrad(0.1, b2=b2), shrinking)[0] != feed(mo.adam(0.1, b2=b2), shrinking)[0])


@pytest.mark.parametrize("b1", [0.0, np.zeros(())], ids=["plain", "array"])
def test_where_the_average_is_the_gradient_adabelief_has_nothing_but_its_eps(b1):
    """The geometric sum of eps_root over the weight is eps_root / (1 - b2) at every step."""
    updates, _ = feed(mo.adabelief(0.1, b1, 0.9, eps=0.5, eps_root=1e-2), GRADIENTS)
    assert_close(updates, -0.1 * GRADIENTS / (np.sqrt(1e-2 / 0.1) + 0.5), 1e-13)


def test_while_gradients_grow_yogi_adds_up_their_squares():
    growing = 1.0 + np.arange(30.0)[:, None]
    updates, _ = feed(mo.scale_by_yogi(0.0, 0.99, 0.0, initial_accumulator_value=0.25), growing)
    total = 0.25 + 0.01 * np.cumsum(growing**2, 0)
    weight = 1 - 0.99 ** np.arange(1.0, 31)[:, None]
    assert_close(updates, growing / np.sqrt(total / weight), 1e-13)


@pytest.mark.parametrize("build", [mo.adam, mo.amsgrad, mo.qhadam])
def test_a_constant_gradient_gives_a_constant_step_whatever_the_betas_do(build):
    jump = lambda count: jnp.where(count < 4, 0.5, 0.999)  # noqa: E731
    g = np.broadcast_to(GRADIENTS[0], (8, 5))
    updates, _ = feed(build(0.1, jump, jump, eps=0.0), g)
    assert_close(updates, np.broadcast_to(-0.1 * np.sign(GRADIENTS[0]), (8, 5)), 1e-13)


@pytest.mark.parametrize(("plain", "decayed"), [(mo.adam, mo.adamw), (mo.nadam, mo.nadamw)])
def test_twins_differ_by_their_default_decay(plain, decayed):
    params = noise(30, 5, seed=1)
    for decay in (None, 0.0):
        ours = feed(decayed(0.1, weight_decay=decay), GRADIENTS, params)[0]
        np.testing.assert_array_equal(ours, feed(plain(0.1), GRADIENTS)[0])
    mask = {"w": True, "b": False}
    ours, masked, bare = (
        feed(tx, split(GRADIENTS), split(params))[0]
        for tx in (decayed(0.1), plain(0.1, weight_decay=1e-4, mask=mask), plain(0.1))
    )
    np.testing.assert_array_equal(masked["w"], ours["w"])
    np.testing.assert_array_equal(masked["b"]["deep"], bare["b"]["deep"])
    assert np.all(ours["b"]["deep"] != bare["b"]["deep"])


# Precision, surgery, bad input.


@pytest.mark.parametrize("name", ["adam", "adamw", "nadam", "nadamw", "amsgrad"])
def test_the_first_moment_has_a_dtype_of_its_own(name):
    def dtypes(**kwargs):
        state = jax.eval_shape(getattr(mo, name)(0.1, **kwargs).init, jnp.ones(3))[0]
        return state.numerator.velocity.dtype, state.denominator.second_moment.dtype

    assert dtypes() == (jnp.float32, jnp.float32)
    assert dtypes(mu_dtype="bfloat16") == (jnp.bfloat16, jnp.float32)
    assert dtypes(state_dtype="bfloat16") == (jnp.bfloat16, jnp.bfloat16)
    assert dtypes(mu_dtype="float16", state_dtype="bfloat16") == (jnp.float16, jnp.bfloat16)
    with pytest.raises(TypeError, match="mu_dtype must be a floating dtype"):
        getattr(mo, name)(0.1, mu_dtype="int8")


@pytest.mark.parametrize("build", [mo.adam, mo.nadam, mo.amsgrad, mo.adabelief, mo.yogi, mo.qhadam])
def test_reset_forgets_the_average_and_keeps_the_second_moment(build):
    tx = build(0.1)
    state = tx.init(jnp.zeros(5))
    for g in GRADIENTS[:3]:
        _, state = tx.update(jnp.asarray(g, jnp.float32), state)
    after = mo.reset(state)[0]
    average = after.numerator.parts[-1] if build is mo.qhadam else after.numerator
    np.testing.assert_array_equal(average.velocity, np.zeros(5))
    assert average.weight == 0
    np.testing.assert_array_equal(after.denominator.second_moment, state[0].denominator.second_moment)
    everything = mo.reset(state, second_moments=True)[0].denominator
    np.testing.assert_array_equal(everything.second_moment, np.zeros(5))
    assert everything.weight == 0


@pytest.mark.parametrize("build", [mo.adam, mo.adamw, mo.nadam, mo.amsgrad, mo.adabelief, mo.yogi, mo.qhadam])
def test_numbers_out_of_range_are_refused_by_name(build):
    for name in ("b1", "b2"):
        with pytest.raises(ValueError, match=rf"{name} must be in \[0, 1\); got 1.0"):
            build(0.1, **{name: 1.0})
        with pytest.raises(ValueError, match=rf"{name} is a tree.*no such leaf for {name}\['x'\]"):
            build(0.1, **{name: {"x": 0.5, "w": 0.5}}).init({"w": jnp.ones(2)})
    with pytest.raises(ValueError, match="eps must be finite and at least 0; got -1"):
        build(0.1, eps=-1)


def test_what_only_one_method_takes_is_checked_too():
    with pytest.raises(ValueError, match=r"nu2 must be in \[0, 1\]; got 1.5"):
        mo.qhadam(0.1, nu2=1.5)
    with pytest.raises(ValueError, match="nu1 must be finite"):
        mo.qhadam(0.1, nu1=float("nan"))
    with pytest.raises(ValueError, match="initial_accumulator_value must be finite and at least 0; got -1"):
        mo.scale_by_yogi(initial_accumulator_value=-1)
    with pytest.raises(TypeError, match="initial_accumulator_value must be one number"):
        mo.scale_by_yogi(initial_accumulator_value={"w": 0.1})
