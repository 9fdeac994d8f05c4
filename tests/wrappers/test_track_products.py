"""The inner products that `track` takes, for leaves of every size, against NumPy in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import momentum_optax as mo
from momentum_optax import metrics, track
from momentum_optax.wrappers._products import bundles, join, totals

SHAPES = [
    *[(), (0,), (1,), (7, 9), (64,), (65,), (5, 0), (4_096,), (4_097,), (65_536,), (65_537,), (66_001, 1)],
    *[(100, 700), (1_000, 67), (3, 3, 90, 90), (90_000, 3)],
]


def normal(shape, seed=0, is_complex=False):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape)
    return x + 1j * rng.standard_normal(shape) if is_complex else x


@pytest.mark.parametrize("is_complex", [False, True])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_products_are_those_of_numpy(shape, is_complex):
    a, b, c = (normal(shape, seed, is_complex) for seed in range(3))
    x, y, z = (jnp.asarray(v, jnp.complex64 if is_complex else jnp.float32) for v in (a, b, c))
    found = jax.jit(lambda x, y, z: totals((x, y), (x, None), (y, y), (z, x), (z, z)))(x, y, z)
    expected = [np.vdot(b, a).real, 0, np.vdot(b, b).real, np.vdot(a, c).real, np.vdot(c, c).real]
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-6 * max(1, x.size))


def test_low_precision_is_widened_and_float64_kept():
    x = jnp.full(50_000, 1 + 2.0**-7, jnp.bfloat16)
    np.testing.assert_allclose(totals((x, x)), [50_000 * (1 + 2.0**-7) ** 2], rtol=1e-5)
    with jax.enable_x64(True):
        y = jnp.full(50_000, 1 + 1e-9, jnp.float64)
        np.testing.assert_allclose(totals((y, y)), [50_000 * (1 + 1e-9) ** 2], rtol=1e-13)


def test_tiny_leaves_are_joined_and_others_stay_alone():
    leaves = [jnp.ones(3), None, jnp.ones((70, 70)), jnp.ones((2, 2), jnp.complex64), jnp.ones(())]
    assert bundles(leaves, range(5)) == [[0, 3, 4], [2]]
    assert bundles(leaves, [1]) == []
    some, none = join([0, 3, 4], leaves, [None, None, None, 2j * leaves[3], leaves[4]], [None] * 5)
    assert none is None
    np.testing.assert_array_equal(some, [0, 0, 0, 0, 0, 0, 0, 2, 2, 2, 2, 1, 0, 0, 0, 0])


def test_many_leaves_measure_as_one():
    """A tree is its vector, whatever it is cut into."""
    vector = normal((6, 90_000))
    cuts = [5, 100, 104, 4_300, 20_000, 20_001]

    def run(cut):
        tx = track(mo.nesterov(0.1, 0.9))
        state = tx.init(cut(vector[0]))
        update = jax.jit(tx.update)
        for row in vector:
            _, state = update(cut(row), state, cut(vector[0]))
        return metrics(state)

    whole = run(lambda x: [jnp.asarray(x, jnp.float32)])
    parts = run(lambda x: [jnp.asarray(part, jnp.float32) for part in np.split(x, cuts)])
    for name, value in whole.items():
        np.testing.assert_allclose(parts[name], value, rtol=1e-4, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_spoils_only_its_own_products(bad):
    good = jnp.ones(10)
    spoiled = [good.at[3].set(bad), good]
    x, y = join([0, 1], [good, good], spoiled, [good, good])
    found = np.asarray(totals((x, y), (y, y)))
    assert not np.isfinite(found[0])
    assert found[1] == 20


AXES = [AxisType.Auto, AxisType.Explicit]


@pytest.mark.parametrize("axes", AXES, ids=str)
@pytest.mark.parametrize("shape", [(16, 4), (16,), (1_600, 70), (160_000,)], ids=str)
def test_sharded_leaves_are_measured(axes, shape):
    mesh = jax.make_mesh((len(jax.devices()),), ("x",), axis_types=(axes,))
    with jax.set_mesh(mesh):
        g = {"a": jax.device_put(jnp.ones(shape), NamedSharding(mesh, P("x"))), "b": jnp.ones(3), "c": jnp.ones(5)}
        tx = track(optax.sgd(0.1, 0.9))
        state = jax.jit(tx.init)(g)
        for _ in range(2):
            _, state = jax.jit(tx.update)(g, state, g)
    norm = np.sqrt(np.prod(shape) + 8)
    np.testing.assert_allclose(metrics(state)["gradient_norm"], norm, rtol=1e-4)
    np.testing.assert_allclose(metrics(state)["velocity_norm"], 1.9 * norm, rtol=1e-4)


def test_replicas_measure_their_own():
    mesh = jax.make_mesh((len(jax.devices()),), ("replica",), axis_types=(AxisType.Auto,))
    tx = track(mo.heavy_ball(0.1, 0.9))
    params = {"a": jnp.ones(3), "b": jnp.ones(5)}

    def run(params, scale):
        g = jax.tree.map(lambda p: p * scale[0], params)
        _, state = tx.update(g, jax.tree.map(lambda x: x + 0 * scale[0].astype(x.dtype), tx.init(params)), params)
        return metrics(state)["gradient_norm"][None]

    scales = jnp.arange(1.0, 1 + len(jax.devices()))
    found = jax.jit(jax.shard_map(run, mesh=mesh, in_specs=(P(), P("replica")), out_specs=P("replica")))(params, scales)
    np.testing.assert_allclose(found, np.sqrt(8) * scales, rtol=1e-6)
