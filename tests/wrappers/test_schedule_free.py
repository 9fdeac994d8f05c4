"""Schedule-free learning against its authors' equations and code, Optax's, and the averages that it promises."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import oracles
import oracles_averaging
import pytest
from helpers import START, STEPS, assert_close, curved, descend, linear, moving, noise, per_leaf, split

import momentum_optax as mo
from momentum_optax import testing
from momentum_optax.wrappers.schedule_free import _step


def around_heavy_ball(learning_rate, b1, beta=0.5, **rest):
    return mo.schedule_free(mo.heavy_ball(learning_rate, beta), learning_rate, b1, **rest)


def velocity_step(learning_rate, beta=0.5):
    v = 0.0

    def step(g, y, k):
        nonlocal v
        v = oracles.at(beta, k) * v + g
        return -oracles.at(learning_rate, k) * v

    return step


NUMBERS = {"learning_rate": 0.05, "b1": 0.9}
MOVING = {name: moving(value) for name, value in NUMBERS.items()}
TREES = {name: {"w": value, "b": moving(0.7 * value)} for name, value in NUMBERS.items()}
VECTORS = {
    name: (lambda count, value=value: per_leaf(value, moving(0.7 * value)(count))) for name, value in NUMBERS.items()
}


@pytest.mark.parametrize(
    ("ours", "theirs", "traced"),
    [(NUMBERS, NUMBERS, False), (NUMBERS, NUMBERS, True), (MOVING, MOVING, False), (TREES, VECTORS, False)],
    ids=["numbers", "traced", "moving", "by leaf"],
)
@pytest.mark.parametrize(("power", "r"), [(2.0, 0.0), (0.0, 1.5)])
def test_params_and_averages_are_those_of_the_paper(ours, theirs, traced, power, r):
    step = velocity_step(theirs["learning_rate"])
    y, x, _ = oracles_averaging.schedule_free(step, curved, START, STEPS, **theirs, weight_lr_power=power, r=r)
    run = descend(lambda **h: around_heavy_ball(**h, weight_lr_power=power, r=r), ours, traced=traced)
    assert_close(run.params, y)
    assert_close(run.answers, x)


@pytest.mark.parametrize("warmup_steps", [None, 7])
@pytest.mark.parametrize("weight_decay", [0.0, 0.05])
def test_sgd_and_adamw_are_those_of_the_authors(warmup_steps, weight_decay):
    def theirs(step, learning_rate, b1):
        lr = learning_rate if warmup_steps is None else oracles_averaging.warmed_up(learning_rate, warmup_steps)
        return oracles_averaging.schedule_free(step(lr), curved, START, STEPS, lr, b1)

    options = {"warmup_steps": warmup_steps, "weight_decay": weight_decay}
    sgd = descend(lambda **h: mo.schedule_free_sgd(**h, **options), {"learning_rate": 0.1, "b1": 0.95})
    y, x, _ = theirs(lambda lr: oracles_averaging.sgd_step(lr, weight_decay), 0.1, 0.95)
    assert_close(sgd.params, y)
    assert_close(sgd.answers, x)
    numbers = {"learning_rate": 0.05, "b1": 0.9, "b2": 0.95, "eps": 1e-6}
    adamw = descend(lambda **h: mo.schedule_free_adamw(**h, **options), numbers)
    y, x, _ = theirs(lambda lr: oracles_averaging.adamw_step(lr, 0.95, 1e-6, weight_decay), 0.05, 0.9)
    assert_close(adamw.params, y)
    assert_close(adamw.answers, x)


RECORDED = json.loads((Path(__file__).parents[1] / "peers" / "schedulefree.json").read_text())


@pytest.mark.parametrize("case", RECORDED["cases"], ids=lambda case: case["name"])
def test_runs_of_the_published_package_are_reproduced(case):
    kwargs = dict(case["kwargs"])
    kwargs["learning_rate"] = kwargs.pop("lr")
    if case["optimizer"] == "SGDScheduleFree":
        build, kwargs["b1"] = mo.schedule_free_sgd, kwargs.pop("momentum")
    else:
        build, (kwargs["b1"], kwargs["b2"]) = mo.schedule_free_adamw, kwargs.pop("betas")
    run = descend(lambda: build(**kwargs), {}, linear, steps=len(case["params"]) - 1)
    assert_close(run.params, case["params"])
    assert_close(run.answers[1:], case["averages"][1:])


def published(y, z, x, u, share, b, ahead):
    """The three lines of the paper, in the order in which they stand there."""
    z = z + u
    x = (1 - share) * x + share * z
    return (1 - ahead) * z + ahead * x - y


@pytest.mark.parametrize("share", [1.0, 0.3, 1e-6])
@pytest.mark.parametrize(("b", "ahead"), [(0.9, 0.9), (0.1, 0.1), (0.9, 0.5), (0.5, 0.98), (0.7, 0.0), (0.0, 0.0)])
def test_the_update_from_the_new_z_is_the_published_one(share, b, ahead):
    """Also where a b1 is an array of 0, for which the average has no say."""
    z, x, u = noise(3, 50)
    y = (1 - b) * z + b * x
    with jax.enable_x64(True):
        numbers = [jnp.asarray(value) for value in (z + u, y, b, ahead, share)]
        actual = np.asarray(_step(None, jnp.asarray(u), *numbers))
    np.testing.assert_allclose(actual, published(y, z, x, u, share, b, ahead), rtol=0, atol=1e-14)


def test_with_b1_zero_it_is_the_average_of_polyak_and_ruppert():
    """The params are those of the inner optimizer, the answer is the mean of all of them but the start."""
    for b1 in (0.0, None):
        run = descend(lambda b1=b1: mo.schedule_free(mo.heavy_ball(0.02, 0.8), 0.02, b1), {})
        alone = oracles.heavy_ball(curved, START, STEPS, 0.02, 0.8)
        assert_close(run.params, alone)
        assert_close(run.answers[1:], np.cumsum(alone[1:], 0) / np.arange(1, STEPS + 1)[:, None])


def test_a_traced_b1_of_zero_gives_the_same_params_and_no_average():
    alone = oracles.heavy_ball(curved, START, STEPS, 0.02, 0.8)
    build = lambda b1: mo.schedule_free(mo.heavy_ball(0.02, 0.8), 0.02, b1)  # noqa: E731
    run = descend(build, {"b1": 0.0}, traced=True)
    assert_close(run.params, alone)
    np.testing.assert_array_equal(run.answers, run.params)


def test_an_average_begins_anew_after_a_b1_of_zero():
    run = descend(
        lambda: mo.schedule_free(mo.heavy_ball(0.02, 0.0), 0.02, lambda count: jnp.where(count < 5, 0.0, 0.9)), {}
    )
    np.testing.assert_array_equal(run.answers[:5], run.params[:5])
    assert np.all(np.isfinite(run.answers))
    assert np.all(np.any(run.answers[6:] != run.params[6:], -1))


def test_a_plain_zero_for_some_leaves_keeps_the_average_there_and_z_elsewhere():
    params = split(jnp.asarray(START, jnp.float32))
    tx = mo.schedule_free(mo.heavy_ball(0.1, 0.0), 0.1, {"w": 0.0, "b": 0.5})
    state = tx.init(params)
    assert jax.tree.leaves(state.z["w"]) == []
    assert jax.tree.leaves(state.x["b"]) == []
    for _ in range(3):
        before = mo.eval_params(state, params)
        updates, state = tx.update(params, state, params)
        params = mo.apply_updates(params, updates)
    after = mo.eval_params(state, params)
    # With equal weights the third point has a share of one third.
    np.testing.assert_allclose(after["w"], before["w"] + (params["w"] - before["w"]) / 3, rtol=1e-6)
    deep, z = after["b"]["deep"], state.z["b"]["deep"]
    np.testing.assert_allclose(deep, before["b"]["deep"] + (z - before["b"]["deep"]) / 3, rtol=1e-5)


def test_without_warm_up_it_is_that_of_optax():
    """With warm-up Optax's weights are one count ahead of its steps."""
    ours = descend(lambda: mo.schedule_free(optax.adam(0.05, b1=0.0), 0.05, 0.8), {})
    theirs = descend(lambda: optax.contrib.schedule_free(optax.adam(0.05, b1=0.0), 0.05, 0.8), {})
    assert_close(ours.params, theirs.params)
    assert_close(ours.answers, theirs.answers)  # `eval_params` knows Optax's state


def test_learning_rate_zero_weighs_nothing():
    run = descend(lambda: mo.schedule_free_sgd(lambda count: 0.1 * (count >= 3)), {})
    np.testing.assert_array_equal(run.answers[:4], np.broadcast_to(START, (4, 5)))
    assert np.all(np.isfinite(run.params))


def test_the_average_is_found_inside_wrappers():
    params = split(jnp.asarray(START, jnp.float32))
    inner = mo.schedule_free_sgd(0.1)
    labels = {"w": "ours", "b": "rest"}
    mask = {"w": True, "b": False}
    states = []
    for tx in (
        inner,
        optax.chain(optax.clip(1e6), optax.chain(inner)),
        optax.MultiSteps(inner, 1),
        optax.masked(inner, mask),
        optax.partition({"ours": inner, "rest": optax.set_to_zero()}, labels),
        mo.layerwise_chain({"w": inner}, default="freeze"),
        mo.wrappers.guard_finite(mo.track(inner)),
    ):
        p, state = params, tx.init(params)
        for _ in range(2):
            updates, state = tx.update(params, state, p)
            p = jax.tree.map(jnp.add, p, updates)
        answer = mo.eval_params(state, p)
        states.append(answer["w"])
        np.testing.assert_allclose(answer["w"], (1 - 0.15) * params["w"], rtol=1e-6)


def test_a_state_without_an_average_is_an_error():
    params = jnp.ones(2)
    with pytest.raises(ValueError, match=r"eval_params: no method .* got a state of TraceState"):
        mo.eval_params(mo.heavy_ball(0.1).init(params), params)
    with pytest.raises(ValueError, match="missing must be 'error' or 'params'; got 'raise'"):
        mo.eval_params(mo.heavy_ball(0.1).init(params), params, missing="raise")


def test_a_late_share_keeps_its_precision():
    """In float32, 1 - (1 - c) has lost most of a c of 1e-6."""
    tx = mo.schedule_free_sgd(1.0, b1=0.5)
    params = jnp.zeros(())
    state = tx.init(params)._replace(z=jnp.ones(()), weight_sum=jnp.float32(2e6 - 1))
    update, _ = tx.update(jnp.zeros(()), state, params)
    np.testing.assert_allclose(update, 5e-7, rtol=1e-6)


def test_a_reset_leaves_the_average_alone():
    params = jnp.ones(3)
    tx = mo.schedule_free(mo.heavy_ball(0.1), 0.1)
    _, state = tx.update(params, tx.init(params), params)
    after = mo.reset(state)
    np.testing.assert_array_equal(after.z, state.z)
    velocity = optax.tree.get(after, "velocity")
    np.testing.assert_array_equal(velocity, 0.0)
    assert np.any(np.asarray(optax.tree.get(state, "velocity")))


@pytest.mark.parametrize("state_dtype", [None, jnp.float32])
def test_in_bfloat16_params_and_average_stay_together(state_dtype):
    params = jnp.asarray(START, jnp.bfloat16)
    tx = mo.schedule_free_sgd(0.05, state_dtype=state_dtype)
    state = tx.init(params)
    assert state.z.dtype == (state_dtype or jnp.bfloat16)
    for _ in range(20):
        updates, state = tx.update(params, state, params)
        params = mo.apply_updates(params, updates)
        answer = mo.eval_params(state, params)
        assert updates.dtype == params.dtype == answer.dtype == jnp.bfloat16
    assert jnp.abs(answer - params).max() < 0.3
    assert jnp.abs(answer).max() < 2


def test_complex_leaves_work_in_adamw():
    numbers = {"learning_rate": 0.5, "b1": 0.9, "b2": 0.95, "eps": 1e-6}
    testing.LAWS["complex_leaves_work"].holds(testing.Case("adamw", mo.schedule_free_adamw, numbers))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"b1": 1.0}, ValueError, r"b1 must be in \[0, 1\)"),
        ({"learning_rate": -1.0}, ValueError, "learning_rate must be finite and at least 0"),
        ({"weight_lr_power": -1.0}, ValueError, "weight_lr_power must be finite and at least 0"),
        ({"weight_lr_power": {"a": 2.0}}, TypeError, "weight_lr_power must be one number"),
        ({"r": "late"}, TypeError, "r must be"),
        ({"tx": "sgd"}, TypeError, "tx must be a gradient transformation"),
    ],
)
def test_bad_arguments_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        mo.schedule_free(**{"tx": mo.heavy_ball(0.1), "learning_rate": 0.1, **arguments})


def test_params_are_needed_and_warmup_is_some_steps():
    tx = mo.schedule_free_sgd()
    with pytest.raises(ValueError, match="schedule_free needs the params"):
        tx.update(jnp.ones(()), tx.init(jnp.ones(())))
    with pytest.raises(ValueError, match="warmup_steps must be finite and at least 1; got 0"):
        mo.schedule_free_adamw(warmup_steps=0)
