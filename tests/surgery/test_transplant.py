"""A method that takes over the velocity of another goes on as the other would have."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import MATRIX, START, join, split

import momentum_optax as mo

BETA, LR = 0.9, 0.03


def trace():
    return mo.heavy_ball(LR, BETA)


def steps():
    return mo.heavy_ball(LR, BETA, lr_in_velocity=True)


def average():
    return mo.ema_momentum(LR / (1 - BETA), BETA)


# Pairs that take the same path once their velocities are in one convention.
SAME = {
    "optax.sgd to heavy_ball": (lambda: optax.sgd(LR, BETA), trace, 1.0),
    "heavy_ball to optax.sgd": (trace, lambda: optax.sgd(LR, BETA), 1.0),
    "trace to ema": (trace, average, 1 - BETA),
    "ema to trace": (average, trace, 1 / (1 - BETA)),
    "trace to steps": (trace, steps, -LR),
    "steps to trace": (steps, trace, -1 / LR),
    "optax.sgd to nesterov": (lambda: optax.sgd(LR, BETA, nesterov=True), lambda: mo.nesterov(LR, BETA), -LR),
    "adam to adam": (
        lambda: mo.divide(mo.ema(0.9), by=mo.root_mean_square(0.99)),
        lambda: mo.divide(mo.ema(0.9), by=mo.root_mean_square(0.99)),
        1.0,
    ),
    "ours to optax.adam": (
        lambda: optax.chain(mo.divide(mo.ema(0.9), by=mo.root_mean_square(0.999)), optax.scale(-LR)),
        lambda: optax.adam(LR),
        1.0,
    ),
    "optax.adam to ours": (
        lambda: optax.adam(LR),
        lambda: optax.chain(mo.divide(mo.ema(0.9), by=mo.root_mean_square(0.999)), optax.scale(-LR)),
        1.0,
    ),
    "aggmo to aggmo": (lambda: mo.aggmo(LR), lambda: mo.aggmo(LR), 1.0),
    "into wrappers": (
        lambda: optax.chain(optax.clip(1e6), optax.sgd(LR, BETA)),
        lambda: mo.wrappers.restart_every(optax.apply_if_finite(trace(), 3), 100),
        1.0,
    ),
    "into a partition": (
        trace,
        lambda: optax.partition({"x": trace(), "y": optax.sgd(LR, BETA)}, {"w": "x", "b": "y"}),
        1.0,
    ),
}


def path(tx, params, state, count):
    out = []
    for _ in range(count):
        updates, state = tx.update(split(MATRIX @ join(params)), state, params)
        params = mo.apply_updates(params, updates)
        out.append(join(params))
    return params, state, np.array(out)


@pytest.mark.parametrize("name", SAME)
def test_the_path_goes_on(name):
    make_source, make_target, scale = SAME[name]
    options = {}
    if "adam" in name:
        options = {"second_moments": True, "counts": True}
    if name == "optax.adam to ours":
        options |= {"weight": 1 - 0.9**6, "second_moment_weight": 1 - 0.999**6}
    with jax.enable_x64(True):
        source, target = make_source(), make_target()
        params = split(jnp.asarray(START))
        params, state, _ = path(source, params, source.init(params), 6)
        moved = mo.transplant(state, target.init(params), scale=scale, **options)
        assert jax.tree.structure(moved) == jax.tree.structure(target.init(params))
        _, _, expected = path(source, params, state, 6)
        _, _, actual = path(target, params, moved, 6)
        _, _, without = path(target, params, target.init(params), 6)
        if name == "optax.adam to ours" or name == "ours to optax.adam":
            np.testing.assert_allclose(actual, expected, rtol=1e-5)  # eps is elsewhere, counts are float32 there
        else:
            np.testing.assert_allclose(actual, expected, rtol=1e-10)
    assert np.abs(without - expected).max() > 1e-3


def test_a_sum_that_becomes_a_debiased_average_is_not_amplified():
    """1 in every gradient: the sum is near 1 / (1 - beta), the average of it 1, from the first update on."""
    sgd, ema = optax.sgd(0.1, momentum=0.5), mo.ema(0.5)
    params = {"a": jnp.zeros(2)}
    ones, state = {"a": jnp.ones(2)}, sgd.init(params)
    for _ in range(30):
        _, state = sgd.update(ones, state)
    updates, moved = ema.update(ones, mo.transplant(state, ema.init(params), scale=0.5))
    np.testing.assert_allclose(updates["a"], 1.0, rtol=1e-6)
    np.testing.assert_allclose(moved.weight, 1.0)


def test_weights_of_a_source_are_kept():
    """After one update the average weighs 1 - beta; the next method goes on debiasing from there."""
    one, other = mo.ema(0.9), mo.ema_momentum(1.0, 0.9, debias=True)
    g = {"a": jnp.ones(2)}
    _, state = one.update(g, one.init(g))
    moved = mo.transplant(state, other.init(g))
    np.testing.assert_allclose(moved[0].weight, 0.1, rtol=1e-6)
    np.testing.assert_allclose(other.update(g, moved, g)[0]["a"], -1.0, rtol=1e-6)


def test_from_adam_to_heavy_ball():
    adam, g = optax.adam(0.1), {"a": jnp.full(2, 2.0), "b": jnp.ones(3)}
    _, state = adam.update(g, adam.init(g))
    moved = jax.jit(mo.transplant)(state, trace().init(g), scale=10.0)
    np.testing.assert_allclose(moved[0].velocity["a"], 2.0, rtol=1e-6)
    assert int(moved[0].count) == 0
    counted = mo.transplant(state, trace().init(g), scale=10.0, counts=True)
    assert int(counted[0].count) == 1
    assert counted[0].count.dtype == jnp.int32


def test_a_new_head_begins_without():
    old, new = {"body": jnp.ones(2)}, {"body": jnp.ones(2), "head": jnp.ones(3)}
    _, state = trace().update(old, trace().init(old))
    moved = mo.transplant(state, trace().init(new), missing="zero")
    np.testing.assert_array_equal(moved[0].velocity["body"], 1)
    np.testing.assert_array_equal(moved[0].velocity["head"], 0)
    with pytest.raises(ValueError, match="source holds no velocity for 'head'; it has 'body'"):
        mo.transplant(state, trace().init(new))


def test_dtypes_are_those_of_the_target():
    g = {"a": jnp.full(2, 3e4)}
    _, state = trace().update(g, trace().init(g))
    moved = mo.transplant(state, mo.heavy_ball(0.1, state_dtype="float16").init(g), scale=100.0)
    assert moved[0].velocity["a"].dtype == jnp.float16
    assert np.isfinite(moved[0].velocity["a"]).all()


PARAMS = {"a": jnp.ones(2), "b": jnp.ones(3)}


@pytest.mark.parametrize(
    ("source", "target", "options", "message"),
    [
        (optax.sgd(0.1), trace(), {}, "source holds no velocity"),
        (trace(), optax.sgd(0.1), {}, "target holds no velocity"),
        (mo.aggmo(0.1), trace(), {}, "target keeps 1 and source 2 .*'a'"),
        (trace(), optax.adam(0.1), {}, "debiases by its count.*counts=True, second_moments=True"),
        (trace(), optax.ema(0.9), {}, "Pass counts=True, or"),
        (optax.sgd(0.1, 0.9), trace(), {"counts": True}, "keeps no count beside its velocity"),
        (mo.ema({"a": 0.9, "b": 0.5}), mo.ema(0.9), {}, "by one weight, and the source by several"),
        (trace(), trace(), {"scale": float("inf")}, "scale must be finite"),
        (trace(), trace(), {"weight": 2.0}, r"weight must be in \[0, 1\]"),
        (trace(), trace(), {"missing": "fresh"}, "missing must be one of 'error', 'zero'; got 'fresh'"),
    ],
)
def test_refused(source, target, options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        mo.transplant(source.init(PARAMS), target.init(PARAMS), **options)


def test_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"'a' has shape \(3,\) in the source and \(2,\) in the target"):
        mo.transplant(trace().init({"a": jnp.ones(3)}), trace().init({"a": jnp.ones(2)}))
