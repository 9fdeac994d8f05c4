"""Whole transformations for each group of leaves, against Optax's partition."""

import re
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from helpers import noise

import momentum_optax as mo

STEPS = 4
PARAMS = {"body": {"w": jnp.ones((2, 3)), "b": jnp.ones(3)}, "embed": jnp.ones(4), "head": jnp.ones(())}
STREAM = jax.tree.map(lambda p: jnp.asarray(noise(STEPS, *p.shape, seed=p.size), jnp.float32), PARAMS)
LABELS = {"body": {"w": "body", "b": "bias"}, "embed": "rest", "head": "head"}


def gradients(step):
    return jax.tree.map(lambda g: g[step], STREAM)


def run(tx, params=PARAMS):
    state, rows, update = tx.init(params), [], jax.jit(tx.update)
    for step in range(STEPS):
        updates, state = update(gradients(step), state, params)
        rows.append(updates)
    return rows, state


def assert_trees(actual, expected, rtol=1e-6):
    for a, e in zip(actual, expected, strict=True):
        jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=rtol, atol=1e-7), a, e)


def heads():
    return {"body/w": mo.qhm(0.1), re.compile("b$"): mo.nesterov(0.05, 0.9), "head": optax.adam(0.01)}


def test_each_group_has_its_method_as_in_a_partition():
    rest = mo.heavy_ball(0.2, 0.8, weight_decay=0.1)
    labels = jax.tree.map(lambda label: {"body": "body/w", "bias": "bias"}.get(label, label), LABELS)
    parts = {"body/w": mo.qhm(0.1), "bias": mo.nesterov(0.05, 0.9), "head": optax.adam(0.01), "rest": rest}
    expected = run(optax.partition(parts, labels))[0]
    assert_trees(run(mo.layerwise_chain(heads(), default=rest))[0], expected)
    assert_trees(run(mo.layerwise_chain(heads() | {"embed": rest}))[0], expected)


def test_nothing_passes_as_it_came():
    """What `optax.masked` lets through reaches the params as it is; here it cannot."""
    leaky = optax.masked(mo.heavy_ball(0.1), {"body": True, "embed": False, "head": True})
    assert_trees([run(leaky)[0][0]["embed"]], [gradients(0)["embed"]])
    with pytest.raises(ValueError, match="layerwise_chain: nothing is said about 'embed'"):
        mo.layerwise_chain({"body": mo.heavy_ball(0.1), "head": mo.heavy_ball(0.1)}).init(PARAMS)
    frozen = mo.layerwise_chain({"body": mo.heavy_ball(0.1), "head": mo.heavy_ball(0.1)}, default="freeze")
    for row, raw in zip(run(frozen)[0], range(STEPS), strict=True):
        np.testing.assert_array_equal(row["embed"], 0)
        assert not np.any(row["body"]["w"] == gradients(raw)["body"]["w"])


def test_frozen_leaves_keep_no_array():
    tx = mo.layerwise_chain({"head": mo.heavy_ball(0.1, 0.9)}, default="freeze")
    rows, state = run(tx)
    arrays = [leaf for leaf in jax.tree.leaves(state) if leaf.shape or jnp.issubdtype(leaf.dtype, jnp.inexact)]
    assert [leaf.shape for leaf in arrays] == [PARAMS["head"].shape]
    velocity = state[0].inner_state[0].velocity
    assert len(jax.tree.leaves(velocity)) == 1
    assert not jax.tree.leaves(state[1])
    for row in rows:
        assert not np.any(row["embed"])
        assert not np.any(row["body"]["w"])
        assert row["head"] != 0


def test_a_frozen_leaf_stays_where_it_is_even_when_its_gradient_is_nan():
    tx = mo.layerwise_chain({"head": mo.heavy_ball(0.1)}, default="freeze")
    g = gradients(0) | {"embed": jnp.full(4, jnp.nan)}
    updates, _ = tx.update(g, tx.init(PARAMS), PARAMS)
    np.testing.assert_array_equal(mo.apply_updates(PARAMS, updates)["embed"], PARAMS["embed"])


@pytest.mark.parametrize("with_params", [True, False])
@pytest.mark.parametrize("hole", ["leaf", "branch", "frozen"])
def test_missing_gradients_sit_out(hole, with_params):
    chain = {"body/w": mo.ema_momentum(0.1), "body/b": mo.heavy_ball(0.1, 0.5), "head": mo.qhm(0.1)}
    tx, params = mo.layerwise_chain(chain, default="freeze"), PARAMS if with_params else None
    _, state = tx.update(gradients(0), tx.init(PARAMS), params)
    complete, _ = tx.update(gradients(1), state, params)
    g = gradients(1)
    if hole == "leaf":
        g["body"]["w"] = None
    else:
        g["body" if hole == "branch" else "embed"] = None
    updates, after = tx.update(g, state, params)
    assert jax.tree.structure(after) == jax.tree.structure(state)
    missing = {"leaf": updates["body"] and updates["body"]["w"], "branch": updates["body"], "frozen": updates["embed"]}
    assert missing[hole] is None
    np.testing.assert_array_equal(updates["head"], complete["head"])
    if hole == "leaf":
        np.testing.assert_array_equal(updates["body"]["b"], complete["body"]["b"])
    if hole != "frozen":
        np.testing.assert_array_equal(
            after[0].inner_state[0].velocity["body"]["w"], state[0].inner_state[0].velocity["body"]["w"]
        )


class Seen(NamedTuple):
    """State of a transformation that keeps what it was told."""

    value: jax.Array


def listener():
    def update(updates, state, params=None, *, value, **extra):
        return updates, Seen(jnp.asarray(value))

    return optax.GradientTransformationExtraArgs(lambda params: Seen(jnp.zeros(())), update)


def test_extra_arguments_reach_those_that_listen():
    tx = mo.layerwise_chain({"head": listener()}, default=mo.heavy_ball(0.1))
    _, state = tx.update(gradients(0), tx.init(PARAMS), PARAMS, value=3.0)
    assert state[0].inner_state.value == 3


def test_layerwise_coefficients_work_inside_and_wrappers_outside():
    inner = mo.heavy_ball(0.1, mo.layerwise({"body/w": 0.5, "body/b": 0.0}))
    rest = mo.heavy_ball(0.1, 0.9)
    tx = mo.layerwise_chain({"body": inner}, default=rest)
    flat = mo.heavy_ball(0.1, {"body": {"w": 0.5, "b": 0.0}, "embed": 0.9, "head": 0.9})
    expected = run(flat)[0]
    assert_trees(run(tx)[0], expected)
    assert_trees(run(optax.MultiSteps(tx, 1).gradient_transformation())[0], expected)
    half = optax.partition({"a": tx, "b": rest}, {"body": "a", "embed": "a", "head": "b"})
    assert_trees(run(half)[0], expected)


def test_sweeps_map_over_what_is_inside():
    @jax.jit
    @jax.vmap
    def last(beta):
        tx = mo.layerwise_chain({"head": mo.heavy_ball(0.1, beta)}, default="freeze")
        _, state = tx.update(gradients(0), tx.init(PARAMS), PARAMS)
        return tx.update(gradients(1), state, PARAMS)[0]["head"]

    betas = jnp.array([0.0, 0.5, 0.9])
    expected = -0.1 * (betas * gradients(0)["head"] + gradients(1)["head"])
    np.testing.assert_allclose(last(betas), expected, rtol=1e-6)


def test_nnx_optimizers_train_one_layer():
    model = nnx.Sequential(nnx.Linear(3, 2, rngs=nnx.Rngs(0)), nnx.Linear(2, 1, rngs=nnx.Rngs(1)))
    start = jax.tree.map(jnp.copy, nnx.as_pure(nnx.state(model, nnx.Param)))
    tx = mo.layerwise_chain({"layers/1": mo.heavy_ball(0.1)}, default="freeze")
    optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)

    @nnx.jit
    def step(model, optimizer):
        optimizer.update(model, nnx.grad(lambda m: jnp.sum(m(jnp.ones((1, 3)))))(model))

    step(model, optimizer)
    end = nnx.as_pure(nnx.state(model, nnx.Param))
    jax.tree.map(np.testing.assert_array_equal, end["layers"][0], start["layers"][0])
    np.testing.assert_allclose(end["layers"][1]["bias"], start["layers"][1]["bias"] - 0.1, rtol=1e-6)


@pytest.mark.parametrize(
    ("transforms", "default", "message"),
    [
        (
            {"body": optax.sgd(0.1), "tail": optax.sgd(0.1)},
            "freeze",
            "layerwise_chain: no leaf is named by 'tail'. The",
        ),
        ({"body": optax.sgd(0.1), "*/w": optax.sgd(0.1)}, "freeze", "named twice: 'body/w' by 'body' and '*/w'"),
        ({"body": optax.sgd(0.1)}, "error", "nothing is said about 'embed', 'head' (give a default)"),
    ],
)
def test_what_does_not_fit_is_refused_at_init(transforms, default, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        mo.layerwise_chain(transforms, default=default).init(PARAMS)


@pytest.mark.parametrize(
    ("transforms", "default", "error", "message"),
    [
        ([("a", optax.sgd(0.1))], "error", TypeError, "mapping from globs"),
        ({}, "freeze", ValueError, "at least one glob"),
        ({1: optax.sgd(0.1)}, "error", TypeError, "a key of layerwise_chain must name leaves"),
        ({"a": 0.5}, "error", TypeError, "needs a transformation for 'a'; got 0.5"),
        ({"a": {}}, "error", TypeError, "needs a transformation for 'a'; got {}"),
        ({"a": optax.sgd(0.1)}, "frozen", ValueError, "default must be a transformation, 'error' or 'freeze'"),
        ({"a": optax.sgd(0.1)}, 0.1, ValueError, "default must be a transformation"),
        ({"default": optax.sgd(0.1)}, "freeze", ValueError, "needs another name for each group"),
    ],
)
def test_bad_arguments_are_refused_at_once(transforms, default, error, message):
    with pytest.raises(error, match=message):
        mo.layerwise_chain(transforms, default=default)
