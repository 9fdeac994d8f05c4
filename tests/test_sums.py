"""Sums in parts, for arrays of every size, against NumPy in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiling import AS_FOR_USERS
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from momentum_optax import _sums as sums

SHAPES = [
    *[(), (0,), (1,), (63,), (64,), (5, 0), (1_000,), (8_191,), (8_192,), (65_537,), (100_003,), (90, 91), (101, 99)],
    *[(300, 400), (9_001, 3), (3, 3, 64, 70), (40, 1_000, 3)],
]


def normal(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_sums_are_those_of_numpy(shape):
    a, b = normal(shape), normal(shape, 1)

    @jax.jit
    def found(x, y):
        whole = (*sums.totals(x), *sums.totals(x, y), *sums.totals(x, y, x * y))
        return whole, sums.count(x > 0), sums.largest(jnp.abs(x))

    whole, positive, largest = found(jnp.asarray(a, jnp.float32), jnp.asarray(b, jnp.float32))
    tolerance = 2e-6 * max(1, a.size**0.5)
    np.testing.assert_allclose(whole, [x.sum() for x in (a, a, b, a, b, a * b)], rtol=1e-5, atol=tolerance)
    assert positive == (a > 0).sum()
    np.testing.assert_allclose(largest, np.max(np.abs(a), initial=0), rtol=1e-7)


@pytest.mark.parametrize("shape", [shape for shape in SHAPES if len(shape) > 1], ids=str)
def test_sums_along_axes_are_those_of_numpy(shape):
    a, b = normal(shape), normal(shape, 1)
    n = len(shape)
    choices = {(0,), (n - 1,), tuple(range(n - 1)), tuple(range(1, n)), (-2,), (0, n - 1)}

    @jax.jit
    def found(x, y):
        return [(*sums.along(axes, x), *sums.along(axes, x, y), sums.count(x > 0, axes)) for axes in choices]

    results = found(jnp.asarray(a, jnp.float32), jnp.asarray(b, jnp.float32))
    for axes, (alone, one, other, positive) in zip(choices, results, strict=True):
        for result, x in ((alone, a), (one, a), (other, b), (positive, a > 0)):
            expected = x.sum(axes, keepdims=True)
            assert result.shape == expected.shape
            np.testing.assert_allclose(result, expected, rtol=1e-5, atol=2e-6 * max(1, a.size**0.5))


@pytest.mark.parametrize("shape", [(5,), (9_000,), (300, 400)], ids=str)
def test_derivatives_of_every_order(shape):
    x, y = jnp.asarray(normal(shape), jnp.float32), jnp.asarray(normal(shape, 1), jnp.float32)

    def energy(x, y):
        square, mixed = sums.inner_products((x, x), (x, y))
        (total,) = sums.along((0,), jnp.sin(x))
        return square + mixed + sums.totals(total)[0]

    gradient, change = jax.jit(lambda x, y: jax.jvp(jax.grad(energy), (x, y), (y, 0 * y)))(x, y)
    np.testing.assert_allclose(gradient, 2 * x + y + jnp.cos(x), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(change, 2 * y - jnp.sin(x) * y, rtol=1e-5, atol=1e-5)


def test_complex_numbers_give_the_real_part():
    a, b = (normal(9_000, seed) + 1j * normal(9_000, seed + 2) for seed in range(2))
    x, y = jnp.asarray(a, jnp.complex64), jnp.asarray(b, jnp.complex64)
    np.testing.assert_allclose(sums.inner_products((x, y))[0], np.vdot(b, a).real, rtol=1e-4)
    np.testing.assert_allclose(jax.grad(lambda x: sums.inner_products((x, x))[0])(x), 2 * np.conj(a), rtol=1e-5)


def test_low_precision_is_summed_in_float32_and_float64_in_itself():
    for dtype in (jnp.bfloat16, jnp.float16):
        x = jnp.full(50_000, 1 + 2.0**-7, dtype)
        (found,) = sums.inner_products((x, x))
        assert found.dtype == jnp.float32
        np.testing.assert_allclose(found, 50_000 * (1 + 2.0**-7) ** 2, rtol=1e-6)
    with jax.enable_x64(True):
        y = jnp.full(50_000, 1 + 1e-9, jnp.float64)
        np.testing.assert_allclose(sums.inner_products((y, y))[0], 50_000 * (1 + 1e-9) ** 2, rtol=1e-13)


@pytest.mark.parametrize("shape", [(64,), (9_000,), (90, 91), (100_000,)], ids=str)
def test_what_is_not_finite_is_seen(shape):
    """XLA's own maximum of an array as large as some of these loses a NaN."""
    x = jnp.ones(shape).at[(shape[0] // 2,) + (0,) * (len(shape) - 1)].set(jnp.nan)
    assert np.isnan(jax.jit(sums.largest)(x))
    assert np.isnan(jax.jit(sums.totals)(x)[0])


@pytest.mark.parametrize("shape", [(8,), (9_000,), (300, 400)], ids=str)
def test_lanes_do_not_mix(shape):
    x = jnp.asarray(normal((3, *shape)), jnp.float32)

    def products(x):
        return (*sums.inner_products((x, x), (x, 2 * x)), sums.count(x > 0), sums.largest(jnp.abs(x)))

    lanes = jax.jit(jax.vmap(products))(x)
    for i in range(3):
        np.testing.assert_allclose([lane[i] for lane in lanes], jax.jit(products)(x[i]), rtol=1e-5)


@pytest.mark.parametrize("axes", [AxisType.Auto, AxisType.Explicit], ids=str)
@pytest.mark.parametrize("shape", [(16,), (160_000,), (1_600, 80), (80, 1_600)], ids=str)
def test_sharded_arrays_are_summed(axes, shape):
    mesh = jax.make_mesh((len(jax.devices()),), ("x",), axis_types=(axes,))
    a = normal(shape)
    with jax.set_mesh(mesh):
        x = jax.device_put(jnp.asarray(a, jnp.float32), NamedSharding(mesh, P("x")))
        total, rows = jax.jit(lambda x: (sums.inner_products((x, x))[0], sums.along((0,), x * x)[0]))(x)
        local = jax.shard_map(lambda x: sums.inner_products((x, x))[0][None], in_specs=P("x"), out_specs=P("x"))(x)
    np.testing.assert_allclose(total, (a * a).sum(), rtol=1e-5)
    np.testing.assert_allclose(rows, (a * a).sum(0, keepdims=True), rtol=1e-5)
    np.testing.assert_allclose(np.sum(local), (a * a).sum(), rtol=1e-5)


def test_a_sum_of_what_is_used_elsewhere_writes_nothing_out():
    """And a plain one does; if XLA ever learns better, all this may go."""

    def share(count):
        def step(g, v):
            mask = g * v > 0
            return jnp.where(mask, v / count(mask), 0)

        x = jax.ShapeDtypeStruct((300, 400), jnp.float32)
        compiled = jax.jit(step, donate_argnums=1).lower(x, x).compile(AS_FOR_USERS)
        return compiled.memory_analysis().temp_size_in_bytes / (4 * x.size)

    assert share(sums.count) < 0.05
    assert share(lambda mask: jnp.sum(mask, dtype=jnp.int32)) > 0.9


def test_a_sum_outside_of_jit_is_traced_once():
    """And so compiled once, not at every step."""
    traces = 0

    def add(x, y):
        nonlocal traces
        traces += 1
        return jax.lax.add(x, y)

    for _ in range(3):
        sums._reduce([jnp.ones(3), jnp.ones(3)], (0,), add)
    assert traces == 2, "once for each of two arrays"
