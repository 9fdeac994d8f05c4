"""One coefficient for each layer, against a loop in NumPy and against Optax's partitions."""

import re
from typing import Any

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx, serialization
from flax.core import FrozenDict
from helpers import noise

import momentum_optax as mo
from momentum_optax._leafwise import NoMemory

STEPS = 4
SHAPES = {"embed": (3,), "layers/0/kernel": (2, 3), "layers/0/bias": (2,), "layers/1/kernel": (2, 3), "head": ()}
BETAS = {"embed": 0.0, "layers/0/kernel": 0.5, "layers/0/bias": 0.5, "layers/1/kernel": 0.8, "head": 0.95}
LAYERWISE = mo.layerwise({"embed": 0.0, "layers/0": 0.5, re.compile("1/kernel$"): 0.8}, default=0.95)
STREAMS = {path: noise(STEPS, *shape, seed=i).astype(np.float32) for i, (path, shape) in enumerate(SHAPES.items())}


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


def as_dict(leaf) -> dict[str, Any]:
    layers = [{"kernel": leaf("layers/0/kernel"), "bias": leaf("layers/0/bias")}, {"kernel": leaf("layers/1/kernel")}]
    return {"embed": leaf("embed"), "layers": layers, "head": leaf("head")}


def as_state(leaf) -> nnx.State:
    params = jax.tree.map(nnx.Param, as_dict(leaf))
    return nnx.State({**params, "layers": dict(enumerate(params["layers"]))})


def as_module(leaf) -> Model:
    tree = as_dict(leaf)
    return Model([Branch(b["kernel"], b.get("bias")) for b in tree["layers"]], tree["embed"], tree["head"])


CONTAINERS = {"dict": as_dict, "FrozenDict": lambda leaf: FrozenDict(as_dict(leaf)), "nnx": as_state, "eqx": as_module}


def zeros(path):
    return jnp.zeros(SHAPES[path])


def gradients(step, container=as_dict):
    return container(lambda path: jnp.asarray(STREAMS[path][step]))


def by_path(tree) -> dict[str, np.ndarray]:
    flat = jax.tree_util.tree_flatten_with_path(nnx.as_pure(tree))[0]
    name = lambda k: str(getattr(k, "key", getattr(k, "name", getattr(k, "idx", None))))  # noqa: E731
    return {"/".join(map(name, path)): np.asarray(leaf) for path, leaf in flat}


def run(tx, container=as_dict, steps=range(STEPS), params=None):
    params = container(zeros) if params is None else params
    state = tx.init(params)
    rows, update = [], jax.jit(tx.update)
    for step in steps:
        updates, state = update(gradients(step, container), state, params)
        rows.append(by_path(updates))
    return rows, state


def trace_in_numpy(betas=BETAS, debias=None):
    """The velocities, each leaf by itself; `debias=True` for a debiased average."""
    rows = []
    velocity, weight = dict.fromkeys(SHAPES, 0.0), dict.fromkeys(SHAPES, 0.0)
    for step in range(STEPS):
        for path in SHAPES:
            beta = betas[path](step) if callable(betas[path]) else betas[path]
            new = 1.0 if debias is None else 1 - beta
            velocity[path] = beta * velocity[path] + new * STREAMS[path][step].astype(np.float64)
            weight[path] = beta * weight[path] + (1 - beta)
        rows.append({path: velocity[path] / (weight[path] if debias else 1) for path in SHAPES})
    return rows


def assert_rows(actual, expected, rtol=1e-5):
    assert len(actual) == len(expected)
    for a, e in zip(actual, expected, strict=True):
        assert set(a) == set(e)
        for path in e:
            np.testing.assert_allclose(a[path], e[path], rtol=rtol, atol=1e-6, err_msg=path)


@pytest.mark.parametrize("container", CONTAINERS.values(), ids=CONTAINERS)
def test_every_leaf_has_its_own_beta_in_every_container(container):
    rows, state = run(mo.trace(LAYERWISE), container)
    assert_rows(rows, trace_in_numpy())
    assert set(by_path(state.velocity)) == set(SHAPES) - {"embed"}  # a beta of 0 keeps nothing
    assert any(isinstance(x, NoMemory) for x in jax.tree.leaves(state, is_leaf=lambda x: isinstance(x, NoMemory)))


def test_schedules_may_stand_beside_numbers():
    def rising(count):
        return 0.9 * count / (count + 1)

    beta = mo.layerwise({"embed": None, "layers": rising}, default=0.95)
    betas = {p: rising if p.startswith("layers") else BETAS[p] for p in SHAPES}
    assert_rows(run(mo.trace(beta))[0], trace_in_numpy(betas))


def test_averages_are_debiased_group_by_group():
    rows, state = run(mo.ema(LAYERWISE))
    assert_rows(rows, trace_in_numpy(debias=True))
    weights = by_path(state.weight)
    assert set(weights) == {"embed", "head", "layers/0", "layers/1"}
    for path, beta in {"embed": 0.0, "head": 0.95, "layers/0": 0.5, "layers/1": 0.8}.items():
        np.testing.assert_allclose(weights[path], 1 - beta**STEPS, rtol=1e-5)


def test_a_partition_of_optimizers_gives_the_same_and_takes_a_pass_for_each():
    labels = jax.tree.map(str, as_dict(BETAS.get))
    twin = optax.partition({str(b): optax.sgd(0.1, b) for b in BETAS.values()}, labels)
    assert_rows(run(mo.heavy_ball(0.1, LAYERWISE))[0], run(twin)[0])


def test_a_tree_of_betas_gives_the_same():
    tree = as_dict(BETAS.get)
    assert_rows(run(mo.nesterov(0.1, LAYERWISE))[0], run(mo.nesterov(0.1, tree))[0], rtol=1e-6)


def test_other_coefficients_are_layerwise_too():
    rates = {p: 0.1 * (i + 1) for i, p in enumerate(SHAPES)}
    rate = mo.layerwise(rates)
    rows = run(mo.heavy_ball(rate, LAYERWISE))[0]
    expected = [{p: -rates[p] * v for p, v in row.items()} for row in trace_in_numpy()]
    assert_rows(rows, expected)

    nus = {p: i / 10 for i, p in enumerate(SHAPES)}
    rows = run(mo.qhm(0.1, 0.9, mo.layerwise(nus)))[0]
    average = trace_in_numpy(dict.fromkeys(SHAPES, 0.9), debias=False)
    expected = [
        {p: -0.1 * ((1 - nus[p]) * STREAMS[p][i] + nus[p] * row[p]) for p in SHAPES} for i, row in enumerate(average)
    ]
    assert_rows(rows, expected)


def test_weight_decay_is_layerwise_and_the_mask_is_kept():
    decay = mo.layerwise({"layers": 0.5, "head": 0.25}, default=0.0)
    params = as_dict(lambda path: jnp.ones(SHAPES[path]))
    mask = {"embed": True, "layers": [True, False], "head": True}
    rows = run(mo.heavy_ball(0.1, LAYERWISE, weight_decay=decay, mask=mask), params=params)[0]
    amounts = {"embed": 0.0, "layers/0/kernel": 0.5, "layers/0/bias": 0.5, "layers/1/kernel": 0.0, "head": 0.25}
    assert_rows(rows, [{p: -0.1 * (v + amounts[p]) for p, v in row.items()} for row in trace_in_numpy()])


def test_a_rule_decides_for_its_group_from_its_group():
    rule = mo.rules.alignment(low=0.2, high=0.8, decay=0.5)
    rows, state = run(mo.heavy_ball(0.1, mo.layerwise({"layers": rule}, default=0.95)))
    alone = as_dict(zeros)["layers"]
    tx = mo.heavy_ball(0.1, rule)
    alone_state, expected = tx.init(alone), []
    for step in range(STEPS):
        updates, alone_state = tx.update(gradients(step)["layers"], alone_state, alone)
        expected.append({f"layers/{p}": u for p, u in by_path(updates).items()})
    assert_rows([{p: u for p, u in row.items() if p.startswith("layers")} for row in rows], expected)
    rest = [{p: -0.1 * v for p, v in row.items() if p == "head"} for row in trace_in_numpy()]
    assert_rows([{"head": row["head"]} for row in rows], rest)
    assert list(state.values) == ["beta[layers]"]


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


def test_missing_gradients_sit_out():
    tx, params = mo.ema(LAYERWISE), as_dict(zeros)
    _, state = tx.update(gradients(0), tx.init(params), params)
    hole = gradients(1)
    hole["layers"][0] = None
    updates, after = tx.update(hole, state, params)
    assert updates["layers"][0] is None
    before, now = by_path(state.velocity), by_path(after.velocity)
    np.testing.assert_array_equal(now["layers/0/kernel"], before["layers/0/kernel"])
    assert np.all(now["layers/1/kernel"] != before["layers/1/kernel"])
    assert by_path(after.weight)["layers/0"] == 0.5
    leaf = gradients(1)
    leaf["layers"][0]["bias"] = None
    updates, after = tx.update(leaf, state)  # a leaf is known by its path, also without the params
    np.testing.assert_array_equal(by_path(after.velocity)["layers/0/bias"], before["layers/0/bias"])
    assert jax.tree.structure(after) == jax.tree.structure(state)


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


@pytest.mark.parametrize("build", [mo.trace, mo.ema])
def test_empty_trees_and_bare_arrays_work(build):
    tx = build(LAYERWISE)
    assert tx.update({}, tx.init({}))[0] == {}
    bare = build(mo.layerwise({"*": 0.5}))
    updates, _ = bare.update(jnp.ones(2), bare.init(jnp.ones(2)))
    np.testing.assert_array_equal(updates, 1)


@pytest.mark.parametrize(
    ("coefficients", "default", "message"),
    [
        ({"embed": 0.1, "decoder/*": 0.2}, 0.5, "beta: no leaf is named by 'decoder/*'. The leaves are 'embed', "),
        ({"*/kernel": 0.1, "layers/0": 0.2}, 0.5, "'layers/0/kernel' by '*/kernel' and 'layers/0'"),
        ({"layers": 0.1}, "error", "nothing is said about 'embed', 'head' (give a default)"),
    ],
)
def test_what_does_not_fit_is_refused_at_init(coefficients, default, message):
    tx = mo.heavy_ball(0.1, mo.layerwise(coefficients, default=default))
    with pytest.raises(ValueError, match=re.escape(message)):
        tx.init(as_dict(zeros))


@pytest.mark.parametrize(
    ("coefficients", "error", "message"),
    [
        ([("a", 0.1)], TypeError, "mapping from globs"),
        ({}, ValueError, "at least one glob"),
        ({3: 0.1}, TypeError, "a key of layerwise must name leaves .* got 3 of type int"),
        ({"a": {"b": 0.1}}, TypeError, "number, schedule or rule for 'a'; got {'b': 0.1}"),
        ({"a": mo.layerwise({"b": 0.1})}, TypeError, "for 'a'; got layerwise"),
    ],
)
def test_bad_tables_are_refused_at_once(coefficients, error, message):
    with pytest.raises(error, match=message):
        mo.layerwise(coefficients)


@pytest.mark.parametrize(
    ("coefficients", "default", "error", "message"),
    [
        # Values that go by one name would be taken for one value.
        ({"default": 0.0}, 0.9, ValueError, "another name for each group; got \\['default'\\] and 'default'"),
        ({"a": 0.1}, {"b": 0.1}, TypeError, "for 'default'; got {'b': 0.1}"),
        ({"a": 0.1}, mo.layerwise({"b": 0.1}), TypeError, "for 'default'; got layerwise"),
    ],
)
def test_bad_defaults_are_refused_at_once(coefficients, default, error, message):
    with pytest.raises(error, match=message):
        mo.layerwise(coefficients, default)


@pytest.mark.parametrize(
    ("beta", "error", "message"),
    [
        (mo.layerwise({"a": 1.5}, default=0.5), ValueError, r"beta\['a'\] must be in \[0, 1\); got 1.5"),
        (mo.layerwise({"a": 0.5}, default=1.0), ValueError, r"beta\['default'\] must be in \[0, 1\); got 1.0"),
        (mo.layerwise({"a": "b"}), TypeError, r"beta\['a'\] must be a number .* got 'b' of type str"),
        (
            mo.layerwise({"a": lambda count: 1.0 + count}),
            ValueError,
            r"beta\['a'\] is a schedule that gives 1 at count 0",
        ),
        ({"a": mo.layerwise({"b": 0.1})}, TypeError, "beta: layerwise and by_depth stand for a whole coefficient"),
    ],
)
def test_bad_coefficients_are_refused_where_they_are_used(beta, error, message):
    with pytest.raises(error, match=message):
        mo.heavy_ball(0.1, beta)


def kernels(beta, leaves=40):
    """How many different fused kernels a compiled update of so many equal leaves has."""
    tx = mo.heavy_ball(0.1, beta)
    params = {f"layer_{i}": jnp.zeros((64, 64)) for i in range(leaves)}

    def step(params, state, g):
        updates, state = tx.update(g, state, params)
        return mo.apply_updates(params, updates), state

    text = jax.jit(step).lower(params, jax.eval_shape(tx.init, params), params).compile().as_text()
    bodies = re.findall(r"^%?fused_computation[^\n]*\{\n(.*?)^\}", text, re.MULTILINE | re.DOTALL)
    of_size = [body for body in bodies if "f32[64,64]" in body]
    assert of_size, "the program is not fused as this test expects"
    constants = [re.findall(r"constant\(([^)]*)\)", body) for body in of_size]
    return len({tuple(c) for c in constants})


def test_many_betas_share_the_kernels_of_one():
    many = mo.layerwise({f"layer_{i}": 0.5 + i / 100 for i in range(40)})
    assert kernels(many) == kernels(0.9)
