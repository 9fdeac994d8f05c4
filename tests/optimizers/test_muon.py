"""Muon, NorMuon and Scion against exact arithmetic, against torch, Keras and Optax, and on many devices."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import oracles_matrices as oracles
import pytest
from helpers import moving, noise
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import momentum_optax as mo
from momentum_optax import wrappers

LEFT, RIGHT = noise(4, 4, seed=7) / 4 + np.eye(4), noise(6, 6, seed=8) / 6 + np.eye(6)
START = noise(4, 6, seed=9)
STEPS = 12


def gradient(w):
    """Of a quadratic of the weights (outputs, inputs), for NumPy and JAX."""
    return LEFT @ w @ RIGHT


def descend(tx, start=START, steps=STEPS, name="w", back=lambda w: w, gradient_fn=gradient):
    """The params after each step, in float64; `back` turns the leaf into what the oracle calls it, and back."""
    with jax.enable_x64(True):

        def body(carry, _):
            params, state = carry
            updates, state = tx.update({name: back(gradient_fn(back(params[name])))}, state, params)
            params = mo.apply_updates(params, updates)
            return (params, state), back(params[name])

        def run(start):
            params = {name: back(start)}
            return jax.lax.scan(body, (params, tx.init(params)), None, steps)[1]

        return np.concatenate([start[None], jax.jit(run)(jnp.asarray(start))])


@pytest.mark.parametrize("nesterov", [True, False])
@pytest.mark.parametrize("rates", [(0.05, 0.9), (moving(0.05), moving(0.9))], ids=["constant", "scheduled"])
def test_muon_is_that_of_its_authors(rates, nesterov):
    learning_rate, beta = rates
    tx = mo.muon(learning_rate, beta=beta, weight_decay=0.1, eps=1e-3, nesterov=nesterov)
    expected = oracles.muon(
        gradient, START, STEPS, learning_rate, beta, 1e-3, 0.1, nesterov, factor=np.sqrt(max(1, 4 / 6))
    )
    np.testing.assert_allclose(descend(tx, back=lambda w: w.T), expected, rtol=1e-10, atol=1e-12)
    tx = mo.muon(learning_rate, beta=beta, weight_decay=0.1, eps=1e-3, nesterov=nesterov, layout="oi")
    np.testing.assert_allclose(descend(tx), expected, rtol=1e-10, atol=1e-12)


def test_muon_with_a_number_for_each_leaf():
    tx = mo.muon({"w": 0.05, "bias": 0.1}, beta=mo.layerwise({"w": 0.8, "bias": 0.5}), adam_b1=0.0, adam_b2=0.0)
    with jax.enable_x64(True):
        params = {"w": jnp.asarray(START.T), "bias": jnp.ones(3)}
        state = tx.init(params)
        for _ in range(2):
            updates, state = tx.update({"w": gradient(params["w"].T).T, "bias": jnp.full(3, 7.0)}, state, params)
            params = mo.apply_updates(params, updates)
    np.testing.assert_allclose(params["w"].T, oracles.muon(gradient, START, 2, 0.05, 0.8)[-1], atol=1e-12)
    np.testing.assert_allclose(params["bias"], 0.8, atol=1e-8)  # Adam's sign, twice


@pytest.mark.parametrize("paper", [False, True])
def test_normuon_is_that_of_its_authors(paper):
    tx = mo.normuon(moving(0.05), beta=0.9, b2=0.8, **({"nesterov": False, "shape_factor": "rms"} if paper else {}))
    expected = oracles.normuon(gradient, START, STEPS, moving(0.05), 0.9, 0.8, paper=paper)
    np.testing.assert_allclose(descend(tx, back=lambda w: w.T), expected, rtol=1e-9, atol=1e-10)


def test_normuon_keeps_a_number_for_each_neuron_which_reset_finds():
    tx = mo.normuon(0.1)
    params = {"kernel": jnp.ones((3, 3, 2, 5)), "bias": jnp.ones(5)}
    _, state = tx.update(params, tx.init(params), params)
    (memory,) = [x for x in jax.tree.leaves(state) if x.shape == (1, 1, 1, 5)]
    squares = np.mean(oracles.orthogonalize(np.ones((18, 5))) ** 2, 0)
    np.testing.assert_allclose(memory[0, 0, 0], 0.05 * squares, rtol=1e-3)
    cleared = jax.tree.leaves(mo.reset(state, second_moments=True))
    assert not any(np.any(x) for x in cleared if x.ndim)


@pytest.mark.parametrize("constrained", [True, False])
@pytest.mark.parametrize("kind", ["spectral", "rms", "sign"])
def test_scion_is_that_of_its_authors(kind, constrained):
    name = {"spectral": "w", "rms": "bias", "sign": "head"}[kind]
    start, f = (START[:, 0], lambda x: LEFT @ x) if kind == "rms" else (START, gradient)
    tx = mo.scion(
        moving(0.05), 0.8, 3.0, 9.0 if kind == "sign" else 1.0, matrices=lambda p: {k: k == "w" for k in p},
        weight_decay=1.0 if constrained else None,
    )  # fmt: skip
    expected = oracles.scion(
        f, start, STEPS, moving(0.05), 0.8, 9.0 if kind == "sign" else 3.0, kind, constrained=constrained
    )
    actual = descend(tx, start, name=name, back=lambda w: w.T, gradient_fn=f)
    np.testing.assert_allclose(actual, expected, rtol=1e-9, atol=1e-10)


def test_scion_takes_the_features_of_an_embedding_for_its_inputs():
    params = {"embed": jnp.ones((7, 4)), "w": jnp.ones((4, 4))}
    tx = mo.scale_by_scion(rest_radius=8.0)
    updates, _ = tx.update(params, tx.init(params))
    np.testing.assert_allclose(updates["embed"], 2.0)


def recorded():
    record = json.loads((Path(__file__).parents[1] / "peers" / "muon.json").read_text())
    for case in record["cases"]:
        yield pytest.param(case, record["learning_rate"], id=f"{case['peer']}-{case['shape']}-{case['kwargs']}")


@pytest.mark.parametrize(("case", "learning_rate"), list(recorded()))
def test_muon_is_torchs_and_kerass(case, learning_rate):
    """As nearly as torch's products in bfloat16 allow; Keras multiplies in float64."""
    torch, kwargs = case["peer"] == "torch", dict(case["kwargs"])
    factor = kwargs.pop("adjust_lr_fn", "torch") if torch else kwargs.pop("rms_rate", "keras")
    arguments = {"ns_steps": kwargs.pop("ns_steps", 5), "beta": kwargs.pop("momentum", 0.95), **kwargs}
    layout = "oi" if torch else "io"
    tx = mo.muon(learning_rate, eps=1e-7, matrices=["w"], shape_factor=factor, layout=layout, **arguments)
    shape, expected = tuple(case["shape"]), np.asarray(case["trajectory"])
    gradients = np.random.default_rng(sum(shape) + shape[0]).standard_normal(expected.shape)
    with jax.enable_x64(True):
        params = {"w": jnp.ones(shape)}
        state, step = tx.init(params), jax.jit(tx.update)
        for g, after in zip(gradients, expected, strict=True):
            updates, state = step({"w": jnp.asarray(g)}, state, params)
            params = mo.apply_updates(params, updates)
            np.testing.assert_allclose(params["w"], after, atol=0.02 if torch else 1e-6)


def test_torch_names_the_factor_of_torchs_default():
    """`adjust_lr_fn="original"`, sqrt(max(1, rows / columns)) of (out, in); of (in, out) here."""
    for shape, size in (((3, 12), 2.0), ((12, 3), 1.0)):
        steps = [
            tx.update(params, tx.init(params))[0]["w"]
            for params in ({"w": jnp.asarray(noise(*shape), jnp.float32)},)
            for tx in (mo.orthogonal_factor(shape_factor=name) for name in ("torch", None))
        ]
        np.testing.assert_allclose(steps[0], size * steps[1], rtol=1e-6)


def test_coefficients_may_be_arrays_as_in_optax():
    one, rows = (3.0, -3.2, 1.2), ((4.0, -6.9, 2.9), (2.8, -3.1, 1.2))
    params = {"w": jnp.asarray(noise(4, 6), jnp.float32)}

    def step(method, coefficients, steps):
        tx = method(0.1, coefficients, steps, nesterov=False)
        return jax.jit(tx.update)(params, tx.init(params), params)[0]["w"]

    for plain, steps in ((one, 3), (rows, 2)):
        arrays = [as_array(plain, np.float32) for as_array in (jnp.asarray, np.asarray)]
        for given in (*arrays, tuple(map(jnp.asarray, plain))):
            np.testing.assert_allclose(step(mo.muon, given, steps), step(mo.muon, plain, steps), rtol=1e-5)
            np.testing.assert_allclose(
                step(mo.muon, given, steps), step(optax.contrib.muon, arrays[0], steps), rtol=1e-3
            )


def test_muon_is_optaxs_without_nesterov():
    """With it Optax debiases the two terms of the sum by different counts."""
    params = {"a": jnp.asarray(noise(4, 6), jnp.float32), "b": jnp.ones(3), "c": jnp.asarray(noise(5, 3), jnp.float32)}
    gradients = jax.tree.map(lambda p: jnp.asarray(noise(6, *p.shape, seed=3), p.dtype), params)
    numbers = {"learning_rate": 0.1, "ns_steps": 4, "beta": 0.9, "eps": 1e-6, "weight_decay": 0.1, "nesterov": False}
    numbers |= {"adam_b1": 0.8, "adam_b2": 0.95, "adam_weight_decay": 0.2, "adam_learning_rate": 0.01}
    for more, theirs in (({}, {}), ({"shape_factor": 0.3}, {"consistent_rms": 0.3})):

        def run(tx):
            def body(state, g):
                updates, state = tx.update(g, state, params)
                return state, updates

            return jax.jit(lambda g: jax.lax.scan(body, tx.init(params), g)[1])(gradients)

        expected = run(optax.contrib.muon(**numbers, **theirs))
        actual = run(mo.muon(**numbers, **more))
        for name in params:
            np.testing.assert_allclose(actual[name], expected[name], rtol=1e-4, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("method", [mo.muon, mo.normuon])
def test_injected_hyperparameters_change_nothing_but_the_rounding(method):
    params = {"w": jnp.asarray(noise(3, 2), jnp.float32)}
    plain, injected = method(0.02, beta=0.95), optax.inject_hyperparams(method)(0.02, beta=0.95)
    updates = [tx.update(params, tx.init(params), params)[0]["w"] for tx in (plain, injected)]
    np.testing.assert_allclose(*updates, rtol=0, atol=1e-5 * np.max(np.abs(updates[0])))


# Which leaves are matrices.

MODEL = {
    "Embed_0": {"embedding": (7, 4)}, "wte": (7, 4),
    "MultiHeadAttention_0": {"query": {"kernel": (4, 4), "bias": (4,)}},
    "Conv_0": {"kernel": (3, 3, 2, 4)}, "LayerNorm_0": {"scale": (4,)}, "proj": (4, 4), "head": {"kernel": (4, 3)},
    "lm_head": (4, 7), "s": (),
}  # fmt: skip
MATRICES = {"MultiHeadAttention_0/query/kernel", "Conv_0/kernel", "proj"}


def model():
    return jax.tree.map(jnp.ones, MODEL, is_leaf=lambda x: isinstance(x, tuple))


def chosen(params, *arguments, **named):
    tx = wrappers.for_matrices(optax.scale(2.0), optax.scale(3.0), *arguments, **named)
    updates, _ = tx.update(params, tx.init(params), params)
    flat = jax.tree_util.tree_flatten_with_path(updates)[0]
    assert {float(jnp.max(u)) for _, u in flat} <= {2.0, 3.0}, "a leaf has both, or none"
    return {"/".join(k.key for k in path) for path, u in flat if u.ravel()[0] == 2.0}


def test_matrices_are_found_by_shape_and_name():
    assert chosen(model()) == MATRICES
    assert chosen(model(), exclude=()) == MATRICES | {"Embed_0/embedding", "wte", "head/kernel", "lm_head"}
    assert chosen(model(), exclude=["*/kernel"]) == {"proj", "wte", "lm_head", "Embed_0/embedding"}


def test_matrices_can_be_named():
    assert chosen(model(), ["wte", "*/query"]) == {
        "wte",
        "MultiHeadAttention_0/query/kernel",
        "MultiHeadAttention_0/query/bias",
    }
    assert chosen(model(), lambda p: {k: k == "wte" for k in p}) == {"wte"}
    assert chosen(model(), {k: k == "lm_head" for k in MODEL}) == {"lm_head"}
    assert chosen(model(), lambda p: False) == set()


def test_no_matrices_and_bad_names_are_refused():
    vectors = {"bias": jnp.ones(3), "embed": jnp.ones((3, 2))}
    for match, tx in (
        ("no leaf is a matrix.*'bias', 'embed'", mo.muon(0.1)),
        ("no leaf is a matrix.*'bias', 'embed'", mo.scion(0.1, matrices={"bias": False, "embed": False})),
        (r"no leaf is named by 'kernel'", mo.normuon(0.1, matrices=["kernel"])),
        ("named twice", mo.muon(0.1, matrices=["embed", "em*"])),
        ("'bias' has 1 axes", mo.muon(0.1, matrices=["bias"])),
    ):
        with pytest.raises(ValueError, match=match):
            tx.init(vectors)
    with pytest.raises(ValueError, match="at least one"):
        mo.muon(0.1, matrices=[])
    for arguments in ({"matrices": "kernel"}, {"exclude": "kernel"}, {"exclude": [3]}, {"rest": 3}):
        with pytest.raises(TypeError, match=next(iter(arguments))):
            mo.muon(0.1, **arguments)
    with pytest.raises(TypeError, match="matrices"):
        mo.muon(0.1, matrices={"bias": 1, "embed": 2}).init(vectors)


def test_the_rest_may_be_anything():
    params = {"w": jnp.eye(2), "b": jnp.ones(2)}
    tx = mo.muon(0.1, rest=mo.heavy_ball(0.5))
    updates, _ = tx.update(params, tx.init(params), params)
    np.testing.assert_allclose(updates["b"], -0.5)


# On many devices.

SHARDED = {
    "rows": ((16, 8), ("x",)), "columns": ((8, 16), (None, "x")), "long": ((4, 32), (None, "x")),
    "tall": ((32, 4), ("x",)), "both": ((8, 8), ("x", "y")), "conv": ((2, 2, 4, 8), (None, None, None, "x")),
    "more": ((16, 8), ("x",)), "third": ((16, 8), ("x",)), "bias": ((8,), ("x",)),
}  # fmt: skip


@pytest.mark.parametrize("axes", [AxisType.Auto, AxisType.Explicit], ids=str)
@pytest.mark.parametrize("arguments", [{"strategy": "leaf"}, {"strategy": "stacked"}, {"stack_axis": "x"}], ids=str)
def test_sharded_matrices_get_the_same_steps_and_stay_sharded(axes, arguments):
    values = {k: np.asarray(noise(*s, seed=i), np.float32) for i, (k, (s, _)) in enumerate(SHARDED.items())}
    mesh = jax.make_mesh((4, 2), ("x", "y"), axis_types=(axes, axes))
    params = {k: jax.device_put(v, NamedSharding(mesh, PartitionSpec(*SHARDED[k][1]))) for k, v in values.items()}
    tx = mo.muon(0.1, weight_decay=0.1, **arguments)
    alone = mo.muon(0.1, weight_decay=0.1, strategy="leaf")
    expected, _ = jax.jit(alone.update)(values, alone.init(values), values)
    with jax.set_mesh(mesh):
        state = tx.init(params)
        updates, after = jax.jit(tx.update)(params, state, params)
    for name, p in params.items():
        np.testing.assert_allclose(updates[name], expected[name], atol=1e-5, err_msg=name)
        assert axes == AxisType.Auto or updates[name].sharding.is_equivalent_to(p.sharding, p.ndim), name
    assert jax.tree.map(jnp.shape, after) == jax.tree.map(jnp.shape, state)


def test_an_axis_to_stack_over_must_be_one_of_the_mesh():
    params = [jnp.ones((2, 2))] * 2
    tx = mo.orthogonal_factor(stack_axis="layers")
    with pytest.raises(ValueError, match=r"stack_axis.*'layers'"):
        tx.update(params, tx.init(params))
