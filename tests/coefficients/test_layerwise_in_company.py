"""One coefficient for each layer in the containers of Flax and equinox, in Optax's wrappers, and compiled."""

import re
from typing import Any

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from compiling import AS_FOR_USERS
from flax import nnx, serialization
from flax.core import FrozenDict
from layers import (
    BETAS,
    LAYERWISE,
    SHAPES,
    STEPS,
    STREAMS,
    as_dict,
    assert_rows,
    by_path,
    gradients,
    run,
    trace_in_numpy,
    zeros,
)

import momentum_optax as mo
from momentum_optax._leafwise import NoMemory


class Branch(eqx.Module):
    kernel: Any
    bias: Any


class Model(eqx.Module):
    layers: list[Branch]
    embed: Any
    head: Any


class Linen(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(1, name="head")(nn.relu(nn.Dense(4)(nn.relu(nn.Dense(4)(x)))))


def as_state(leaf) -> nnx.State:
    params = jax.tree.map(nnx.Param, as_dict(leaf))
    return nnx.State({**params, "layers": dict(enumerate(params["layers"]))})


def as_module(leaf) -> Model:
    tree = as_dict(leaf)
    return Model([Branch(b["kernel"], b.get("bias")) for b in tree["layers"]], tree["embed"], tree["head"])


CONTAINERS = {"dict": as_dict, "FrozenDict": lambda leaf: FrozenDict(as_dict(leaf)), "nnx": as_state, "eqx": as_module}


@pytest.mark.parametrize("container", CONTAINERS.values(), ids=CONTAINERS)
def test_every_leaf_has_its_own_beta_in_every_container(container):
    rows, state = run(mo.trace(LAYERWISE), container)
    assert_rows(rows, trace_in_numpy())
    assert set(by_path(state.velocity)) == set(SHAPES) - {"embed"}  # a beta of 0 keeps nothing
    assert any(isinstance(x, NoMemory) for x in jax.tree.leaves(state, is_leaf=lambda x: isinstance(x, NoMemory)))


def test_linen_params_are_named_by_their_modules():
    model, x = Linen(), jnp.ones((2, 3))
    params = model.init(jax.random.key(0), x)["params"]
    tx = mo.heavy_ball(0.1, mo.layerwise({"Dense_*": 0.5}, default=0.0))
    state = tx.init(params)
    assert isinstance(state[0].velocity["head"]["kernel"], NoMemory)
    g = jax.grad(lambda p: jnp.sum(model.apply({"params": p}, x)))(params)
    for factor in (1.0, 1.5):
        updates, state = tx.update(g, state, params)
        np.testing.assert_allclose(updates["Dense_1"]["bias"], -0.1 * factor * g["Dense_1"]["bias"], rtol=1e-6)
        np.testing.assert_allclose(updates["head"]["bias"], -0.1 * g["head"]["bias"], rtol=1e-6)


def test_nnx_models_train_with_their_optimizer():
    model = nnx.Sequential(nnx.Linear(3, 2, rngs=nnx.Rngs(0)), nnx.Linear(2, 1, rngs=nnx.Rngs(1)))
    tx = mo.heavy_ball(0.1, mo.layerwise({"layers/0": 0.5, "layers/1": 0.0}))
    optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)
    start = by_path(nnx.state(model, nnx.Param))
    g = jax.tree.map(jnp.ones_like, nnx.state(model, nnx.Param))

    @nnx.jit
    def step(model, optimizer):
        optimizer.update(model, g)

    step(model, optimizer)
    step(model, optimizer)
    end = by_path(nnx.state(model, nnx.Param))
    for path, moved in {"layers/0/kernel": 0.25, "layers/0/bias": 0.25, "layers/1/kernel": 0.2}.items():
        np.testing.assert_allclose(start[path] - end[path], moved, rtol=1e-5)
    assert len(jax.tree.leaves(optimizer.opt_state[0].velocity)) == 2  # the second layer has none


def test_masked_leaves_need_no_coefficient():
    mask = {"embed": False, "layers": True, "head": False}
    tx = optax.masked(mo.trace(mo.layerwise({"layers/0": 0.5, "layers/1": 0.8})), mask)
    expected = trace_in_numpy()
    for row, raw in zip(expected, range(STEPS), strict=True):
        row |= {p: STREAMS[p][raw] for p in ("embed", "head")}
    assert_rows(run(tx)[0], expected)


def test_it_goes_through_the_wrappers_of_optax():
    expected = run(mo.heavy_ball(0.1, LAYERWISE))[0]
    labels = {"embed": "a", "layers": "b", "head": "a"}
    parts = {
        "a": mo.heavy_ball(0.1, mo.layerwise({"embed": 0.0}, default=0.95)),
        "b": mo.heavy_ball(0.1, mo.layerwise({"layers/0": 0.5, "layers/1/kernel": 0.8})),
    }
    assert_rows(run(optax.partition(parts, labels))[0], expected)
    twice = run(optax.MultiSteps(mo.heavy_ball(0.1, LAYERWISE), 1).gradient_transformation())[0]
    assert_rows(twice, expected)

    @optax.inject_hyperparams
    def injected(learning_rate, early):
        return mo.heavy_ball(learning_rate, mo.layerwise({"embed": 0.0, "layers/0": early, "*1*": 0.8}, default=0.95))

    rows, state = run(injected(0.1, early=0.5))
    assert_rows(rows, expected)
    assert set(state.hyperparams) == {"learning_rate", "early"}


def test_betas_are_mapped_and_nothing_is_traced_again():
    params, traced = as_dict(zeros), []

    @jax.jit
    @jax.vmap
    def last(early, late):
        traced.append(1)
        tx = mo.trace(mo.layerwise({"embed": 0.0, "layers/0": early, "layers/1": 0.8, "head": late}))
        state = tx.init(params)
        for step in range(STEPS):
            updates, state = tx.update(gradients(step), state)
        return updates

    early, late = jnp.array([0.5, 0.2, 0.0]), jnp.array([0.95, 0.9, 0.1])
    result = by_path(last(early, late))
    last(late, early)
    assert len(traced) == 1
    for lane in range(3):
        own = BETAS | {"layers/0/kernel": early[lane], "layers/0/bias": early[lane], "head": late[lane]}
        expected = trace_in_numpy({p: float(b) for p, b in own.items()})[-1]
        assert_rows([{p: u[lane] for p, u in result.items()}], [expected])


def test_an_update_is_compiled_once():
    tx, params, traced = mo.heavy_ball(0.1, LAYERWISE), as_dict(zeros), []

    @jax.jit
    def update(g, state):
        traced.append(1)
        return tx.update(g, state, params)

    state = tx.init(params)
    for step in range(3):
        _, state = update(gradients(step), state)
    assert len(traced) == 1


def test_a_checkpoint_goes_on_where_it_was():
    tx, params = mo.ema(LAYERWISE), as_dict(zeros)
    _, state = run(tx, steps=range(2))
    restored = serialization.from_bytes(tx.init(params), serialization.to_bytes(state))
    for step in (2, 3):
        expected, state = tx.update(gradients(step), state, params)
        updates, restored = tx.update(gradients(step), restored, params)
        jax.tree.map(np.testing.assert_array_equal, updates, expected)


def kernels(beta, leaves=40):
    """How many different fused kernels a compiled update of so many equal leaves has."""
    tx = mo.heavy_ball(0.1, beta)
    params = {f"layer_{i}": jnp.zeros((64, 64)) for i in range(leaves)}

    def step(params, state, g):
        updates, state = tx.update(g, state, params)
        return mo.apply_updates(params, updates), state

    lowered = jax.jit(step).lower(params, jax.eval_shape(tx.init, params), params)
    text = lowered.compile(AS_FOR_USERS).as_text()
    bodies = re.findall(r"^%?fused_computation[^\n]*\{\n(.*?)^\}", text, re.MULTILINE | re.DOTALL)
    of_size = [body for body in bodies if "f32[64,64]" in body]
    assert of_size, "the program is not fused as this test expects"
    constants = [re.findall(r"constant\(([^)]*)\)", body) for body in of_size]
    return len({tuple(c) for c in constants})


def test_many_betas_share_the_kernels_of_one():
    many = mo.layerwise({f"layer_{i}": 0.5 + i / 100 for i in range(40)})
    assert kernels(many) == kernels(0.9)
