import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from momentum_optax import sweeps
from momentum_optax.sweeps import Data, cross_entropy, grid, supervised, trial
from momentum_optax.sweeps.engine.products import SMALL, with_fast_products
from momentum_optax.sweeps.trials.narrow import NARROW

RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def products(traced):
    """The first factors of all products of a program, and over which axes is summed."""
    found = []
    for equation in traced.eqns:
        if equation.primitive.name == "dot_general":
            (over, _), _ = equation.params["dimension_numbers"]
            found.append((equation.invars[0].aval, list(over)))
        for inner in equation.params.values():
            found += products(getattr(inner, "jaxpr", inner)) if hasattr(inner, "eqns") else []
    return found


def slow(function, *arguments):
    """How many first factors are not summed over their last axis, of how many."""
    found = products(jax.make_jaxpr(lambda *a: function(*a))(*arguments))
    return sum(over != [x.ndim - 1] for x, over in found), len(found)


def dot(numbers, **options):
    return lambda x, y: jax.lax.dot_general(x, y, numbers, **options)


def gradient_of(numbers, **options):
    """As JAX writes that of weights `[inputs, outputs]`."""
    return lambda x, y: jnp.swapaxes(jax.lax.dot_general(x, y, numbers, **options), -1, -2)


def gradient_of_turned(numbers):
    """As JAX writes that of weights `[outputs, inputs]` where the layer is `x @ weights.T`."""
    return lambda x, y: jnp.swapaxes(gradient_of(numbers)(x, y), -1, -2)


def twice_used(x, y):
    product = dot(RUNS)(x, y)
    return jnp.swapaxes(product, -1, -2) + product


RUNS = ((1,), (1,)), ((0,), (0,))
SHARED = ((1,), (0,)), ((), ())
CASES = {
    "narrow": (dot(RUNS), "rbo,rbi->roi", (3, 8, 10), (3, 8, 64), True),
    "narrow, to the limit": (dot(RUNS), "rbo,rbi->roi", (3, 8, NARROW), (3, 8, NARROW), True),
    "wide": (dot(RUNS), "rbo,rbi->roi", (3, 8, 64), (3, 8, 64), True),
    "wide gradient": (gradient_of(RUNS), "rbo,rbi->rio", (3, 8, 64), (3, 8, 70), True),
    "narrow gradient": (gradient_of(RUNS), "rbo,rbi->rio", (3, 8, 10), (3, 8, 70), True),
    "more outputs than inputs": (gradient_of(RUNS), "rbo,rbi->rio", (3, 8, 10), (3, 8, 9), True),
    "turned gradient": (gradient_of_turned(RUNS), "rbo,rbi->roi", (3, 8, 64), (3, 8, 70), True),
    "used twice": (twice_used, "rbo,rbi->roi", (3, 8, 40), (3, 8, 40), True),
    "a single run": (gradient_of((((0,), (0,)), ((), ()))), "bo,bi->io", (8, 64), (8, 70), True),
    "seeds and points": (dot((((2,), (2,)), ((0, 1), (0, 1)))), "srbo,srbi->sroi", (2, 3, 8, 40), (2, 3, 8, 50), True),
    "the same samples for all runs": (dot(SHARED), "rbo,bi->roi", (3, 8, 64), (8, 64), False),
    "the same samples, gradient": (gradient_of(SHARED), "rbo,bi->rio", (3, 8, 64), (8, 64), True),
    "the same samples, narrow": (gradient_of(SHARED), "rbo,bi->rio", (3, 8, 10), (8, 64), False),
    "runs on the last axis": (gradient_of((((0,), (1,)), ((2,), (0,)))), "bor,rbi->rio", (8, 40, 3), (3, 8, 50), True),
    "narrow, runs on the last axis": (dot((((0,), (1,)), ((2,), (0,)))), "bor,rbi->roi", (8, 4, 3), (3, 8, 50), True),
    "second fast already": (gradient_of((((1,), (2,)), ((0,), (0,)))), "rbo,rib->rio", (3, 8, 64), (3, 64, 8), True),
    "small, to the limit": (dot(RUNS), "rbo,rbi->roi", (1, 16, 256), (1, 16, SMALL // 16 // 256), True),
    "large": (dot(RUNS), "rbo,rbi->roi", (1, 16, 256), (1, 16, SMALL // 16 // 256 + 1), False),
    "large gradient": (gradient_of(RUNS), "rbo,rbi->rio", (1, 16, 256), (1, 16, SMALL // 16 // 256 + 1), False),
    "large, but narrow": (dot(RUNS), "rbo,rbi->roi", (1, 128, 10), (1, 128, 1024), True),
    "forward": (dot((((2,), (1,)), ((0,), (0,)))), "rbi,rio->rbo", (3, 8, 64), (3, 64, 10), True),
    "precise": (dot(RUNS, precision=("high", "highest")), "rbo,rbi->roi", (3, 8, 64), (3, 8, 64), True),
    "two axes": (dot((((0, 1), (0, 1)), ((), ()))), "abo,abi->oi", (3, 8, 64), (3, 8, 64), False),
    "an inner product": (dot((((1,), (1,)), ((0,), (0,)))), "rb,rb->r", (3, 8), (3, 8), True),
}


@pytest.mark.parametrize("name", CASES)
def test_products_are_those_of_float64(name):
    function, equation, first, second, fast = CASES[name]
    x, y = normal(*first), normal(*second)
    found = jax.jit(lambda x, y: with_fast_products(function)(x, y))(x, y)
    expected = np.einsum(equation, x.astype(np.float64), y)
    if function is twice_used:
        expected += expected.swapaxes(1, 2)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    assert slow(with_fast_products(function), x, y) == (0 if fast else 1, 1)


@pytest.mark.parametrize(
    ("name", "barriers"),
    [
        ("narrow", 2),  # it is not to be turned before it is written
        ("wide", 2),
        ("wide gradient", 1),
        ("narrow gradient", 2),
        ("more outputs than inputs", 1),
        ("turned gradient", 2),
        ("used twice", 2),
        ("forward", 0),
    ],
)
def test_what_xla_cannot_undo(name, barriers):
    function, _, first, second, _ = CASES[name]
    traced = jax.make_jaxpr(with_fast_products(function))(normal(*first), normal(*second))
    assert str(traced).count("optimization_barrier") == barriers


def test_precision_goes_with_its_factor():
    def text(kind):
        function = with_fast_products(kind(RUNS, precision=("highest", "default")))
        return str(jax.make_jaxpr(function)(normal(3, 8, 64), normal(3, 8, 64)))

    assert "precision=(Precision.DEFAULT, Precision.HIGHEST)" in text(gradient_of)
    assert "precision=(Precision.HIGHEST, Precision.DEFAULT)" in text(dot)


@pytest.mark.parametrize("algorithm", ["BF16_BF16_F32", jax.lax.DotAlgorithm(np.float32, np.float32, np.float32)])
def test_an_algorithm_is_left_as_it_is(algorithm):
    function = with_fast_products(gradient_of(RUNS, precision=algorithm))
    assert slow(function, normal(3, 8, 64), normal(3, 8, 64)) == (1, 1)


def test_products_of_wider_numbers_stay_so():
    def step(x):
        with jax.enable_x64(True):
            wide = jax.lax.dot_general(x, x, RUNS, preferred_element_type="float64")
            return jax.lax.sub(wide, jnp.ones(wide.shape, "float64")).astype("float32")

    x = normal(3, 8, 64)
    found = jax.jit(lambda x: with_fast_products(step)(x))(x)
    np.testing.assert_allclose(found, np.einsum("rbo,rbi->roi", x.astype(np.float64), x) - 1, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shared", [jax.jit, lambda layer: layer])
def test_functions_and_products_are_shared(shared):
    layer = shared(lambda x, w: jnp.sin(x @ w))

    def deep(weights, x):
        for _ in range(6):
            x = layer(x, weights)
        return jnp.sum(x)

    weights, x = normal(3, 40, 40), normal(8, 40)
    function = jax.vmap(jax.grad(deep), (0, None))
    before, after = (jax.make_jaxpr(lambda *a: f(*a))(weights, x) for f in (function, with_fast_products(function)))  # noqa: B023

    def functions(traced, found):
        for equation in traced.eqns:
            inner = equation.params.get("jaxpr")
            if inner is not None and id(inner) not in found:
                found.add(id(inner))
                functions(getattr(inner, "jaxpr", inner), found)
        return len(found)

    assert functions(after, set()) <= functions(before, set()) + 3  # and one for each kind of product


@pytest.mark.parametrize("dtype", ["bfloat16", "int32"])
def test_other_dtypes_stay_as_they_are(dtype):
    assert slow(with_fast_products(dot(RUNS)), jnp.ones((3, 8, 64), dtype), jnp.ones((3, 8, 64), dtype)) == (1, 1)


def gradient(weights, inputs):
    return jax.vmap(jax.grad(lambda w: jnp.sum(jnp.sin(inputs @ w) ** 2)))(weights)


def scanned(weights, inputs):
    def objective(w):
        return jax.lax.scan(lambda h, _: (jnp.sin(h @ w), None), inputs, length=3)[0].sum()

    return jax.vmap(jax.grad(objective))(weights)


def remembered(weights, inputs):
    return jax.vmap(jax.grad(lambda w: jnp.sum(jax.checkpoint(lambda w: jnp.sin(inputs @ w) @ w)(w))))(weights)


@pytest.mark.parametrize("function", [gradient, jax.jit(gradient), scanned, remembered, jax.jit(scanned)])
def test_gradients_within_other_functions(function):
    weights, inputs = normal(3, 40, 40) / 10, normal(8, 40)
    found = jax.jit(lambda *a: with_fast_products(function)(*a))(weights, inputs)
    with jax.enable_x64(True):
        expected = function(weights.astype(np.float64), inputs.astype(np.float64))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    before, after = (slow(f, weights, inputs) for f in (function, with_fast_products(function)))
    assert after[1] == before[1]
    assert after[0] < before[0]


def test_trees_keys_and_what_is_closed_over():
    def run(weights, key, shared):
        def step(state):
            noise = jax.random.normal(state["key"], (8, 40))
            return {"key": jax.random.fold_in(state["key"], 1), "gradient": (noise * shared).T @ noise, "none": None}

        return with_fast_products(step)({"key": key, "weights": weights})

    keys, shared = jax.random.split(jax.random.key(0), 3), normal(3, 1, 40)
    found = jax.jit(jax.vmap(run))(normal(3, 40, 40), keys, shared)
    for i in range(3):
        noise = np.asarray(jax.random.normal(keys[i], (8, 40)), np.float64)
        np.testing.assert_allclose(found["gradient"][i], (noise * shared[i]).T @ noise, rtol=1e-4, atol=1e-4)
        assert found["key"][i] == jax.random.fold_in(keys[i], 1)


def test_other_devices_are_left_to_their_compiler(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert with_fast_products(gradient) is gradient


def own_trial():
    """Least squares, without `supervised`."""
    inputs, targets = normal(8, 40), normal(8, 40)

    def step(hp, weights, item):
        del item
        loss, slope = jax.value_and_grad(lambda w: jnp.mean((jnp.sin(inputs @ w) @ w - targets) ** 2))(weights)
        return weights - hp["rate"] * slope, loss

    return trial(
        lambda hp, key: jax.random.normal(key, (40, 40)) / 10, step, lambda hp, w: {"test_loss": jnp.sum(w**2)}
    )


def network_trial(transposed=False):
    data = Data(normal(16, 64), np.arange(16) % 10, normal(16, 64), np.arange(16) % 10)

    def init(key):
        a, b = jax.random.split(key)
        first, second = jax.random.normal(a, (64, 40)) / 8, jax.random.normal(b, (40, 35)) / 6
        return (first.T, second.T) if transposed else (first, second)

    def apply(params, inputs):
        first, second = params
        if transposed:
            return jnp.einsum("bi,oi->bo", jax.nn.relu(inputs @ first.T), second)
        return jax.nn.relu(inputs @ first) @ second

    model = init, apply
    return supervised(model, cross_entropy, data, optimizer=lambda hp: optax.sgd(hp["rate"]), batch_size=8)


@pytest.mark.parametrize("make", [network_trial, functools.partial(network_trial, True), own_trial])
@pytest.mark.parametrize("strategy", ["vmap", "map", "step"])
def test_sweeps_use_them(strategy, make):
    made = make()
    options = {"seeds": 1, "steps": 6, "evaluate_every": 6, "strategy": strategy, "threads": 1}
    result = sweeps.sweep(made, grid(rate=[0.5, 0.25, 0.1]), devices=jax.devices()[:1], **options)
    assert np.isfinite(result.final("test_loss")).all()
    (functions,) = made._batched.values()
    (program,) = (functions.step if strategy == "step" else functions.rung)._compiled.values()
    factors = re.findall(r" dot\(.*lhs_contracting_dims=\{(\d)\}", program.as_text())
    axes = re.findall(r"f32\[([\d,]*)\]\S* dot\(", program.as_text())
    assert len(factors) == len(axes) >= 4
    assert all(int(axis) == len(shape.split(",")) - 1 for axis, shape in zip(factors, axes, strict=True))
