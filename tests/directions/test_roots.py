"""What `divide` divides by: against the papers, against Optax and torch, and at the limits of each."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import oracles
import oracles_moments
import pytest
from helpers import assert_close, feed, moving, noise, split
from jax.sharding import NamedSharding, PartitionSpec

import momentum_optax as mo
from momentum_optax.directions.cube_root_sum import cube_root

GRADIENTS = noise(30, 5)

SIZES = {
    "root_maximum": (mo.root_maximum, oracles_moments.root_maximum),
    "root_maximum, not debiased": (
        partial(mo.root_maximum, debias=False),
        partial(oracles_moments.root_maximum, debias=False),
    ),
    "root_maximum, raw": (
        partial(mo.root_maximum, raw_maximum=True),
        partial(oracles_moments.root_maximum, raw_maximum=True),
    ),
    "root_yogi": (mo.root_yogi, oracles_moments.root_yogi),
    "root_yogi, as in the paper": (
        partial(mo.root_yogi, debias=False, initial=0.5),
        partial(oracles_moments.root_yogi, debias=False, initial=0.5),
    ),
    "root_variance": (mo.root_variance, oracles_moments.root_variance),
    "root_variance, not debiased": (
        partial(mo.root_variance, debias=False, initial=0.3),
        partial(oracles_moments.root_variance, debias=False, initial=0.3),
    ),
    "root_deviation": (partial(mo.root_deviation, 0.8), partial(oracles_moments.root_deviation, b1=0.8)),
    "root_deviation, not debiased": (
        partial(mo.root_deviation, moving(0.9), debias=False),
        partial(oracles_moments.root_deviation, b1=moving(0.9), debias=False),
    ),
}


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("b2", [0.99, moving(0.9)], ids=["constant", "scheduled"])
def test_sizes_are_those_of_the_papers(name, b2):
    build, oracle = SIZES[name]
    updates, _ = feed(build(b2, eps=1e-3, eps_root=1e-2), GRADIENTS)
    assert_close(updates, oracle(GRADIENTS, b2=b2, eps=1e-3, eps_root=1e-2))


@pytest.mark.parametrize("name", SIZES)
def test_each_leaf_has_its_own_numbers(name):
    build, oracle = SIZES[name]
    b2, eps, eps_root = {"w": 0.9, "b": moving(0.99)}, {"w": 1e-3, "b": 0.1}, {"w": 0.01, "b": 0.0}
    updates, _ = feed(build(b2, eps, eps_root), split(GRADIENTS))
    assert_close(updates["w"], oracle(GRADIENTS[:, :3], b2=0.9, eps=1e-3, eps_root=0.01))
    assert_close(updates["b"]["deep"], oracle(GRADIENTS[:, 3:], b2=moving(0.99), eps=0.1, eps_root=0.0))


@pytest.mark.parametrize("name", SIZES)
def test_complex_gradients_count_by_their_magnitude(name):
    """Gradients on a line through 0 have the sizes of the real ones, whatever its direction."""
    build, _ = SIZES[name]
    tx = build(0.9)
    real, _ = feed(tx, GRADIENTS)
    turned, states = feed(tx, GRADIENTS * np.exp(0.7j))
    assert turned.dtype == np.complex128
    assert states.second_moment.dtype == np.float64
    assert_close(turned.real, real, 1e-11)
    np.testing.assert_array_equal(turned.imag, 0)


@pytest.mark.parametrize("debias", [True, False])
def test_amsgrad_is_optax(debias):
    ours = mo.divide(mo.ema(0.9), by=mo.root_maximum(0.999, 1e-8, 1e-6, debias=debias))
    theirs = optax.scale_by_amsgrad(0.9, 0.999, 1e-8, 1e-6, bias_correction_nu=debias)
    assert_close(feed(ours, GRADIENTS)[0], feed(theirs, GRADIENTS)[0], 1e-11)


def test_a_raw_maximum_may_shrink_and_a_debiased_one_may_not():
    """torch's maximum is of what starts at 0; after a large first gradient its size falls as the weight grows."""
    gradients = np.array([[1.0]] + [[0.1]] * 10)
    debiased, raw = (feed(mo.root_maximum(0.9, 0.0, raw_maximum=r), gradients)[0] for r in (False, True))
    np.testing.assert_allclose(debiased, 1.0, rtol=1e-12)
    assert np.all(np.diff(raw[:, 0]) < 0)


def test_yogi_divides_as_optax_does():
    ours = mo.divide(mo.identity(), by=mo.root_yogi(0.99, 1e-3, 1e-5))
    theirs = optax.scale_by_yogi(0.0, 0.99, 1e-3, 1e-5)
    assert_close(feed(ours, GRADIENTS)[0], feed(theirs, GRADIENTS)[0])


def test_yogi_forgets_a_large_gradient_slowly():
    """The difference from an average: after a spike it comes down by shares of the small squares, not of itself."""
    gradients = np.array([[100.0]] + [[1.0]] * 50)
    _, yogi = feed(mo.root_yogi(0.9, initial=0.0), gradients)
    _, average = feed(mo.root_mean_square(0.9), gradients)
    np.testing.assert_allclose(yogi.second_moment[:, 0], 1000 - 0.1 * np.arange(51), rtol=1e-12)
    assert average.second_moment[-1, 0] < 10


def test_belief_divides_as_optax_does():
    ours = mo.divide(mo.ema(0.9), by=mo.root_deviation(0.9, 0.99, 1e-8, 1e-4))
    theirs = optax.scale_by_belief(0.9, 0.99, 1e-8, 1e-4)
    assert_close(feed(ours, GRADIENTS)[0], feed(theirs, GRADIENTS)[0])


def test_without_a_mean_there_is_no_deviation():
    updates, states = feed(mo.root_deviation(0.0, 0.9, 1e-3, 0.0), GRADIENTS)
    np.testing.assert_array_equal(updates, 1e-3)
    assert not jax.tree.leaves(states.mean)


@pytest.mark.parametrize("debias", [True, False])
def test_the_variance_is_that_of_optax(debias):
    ours = mo.divide(mo.identity(), by=mo.root_variance(0.9, 0.0, 1e-3, debias=debias, initial=0.5))
    theirs = optax.scale_by_stddev(0.9, 1e-3, initial_scale=0.5, bias_correction=debias)
    assert_close(feed(ours, GRADIENTS)[0], feed(theirs, GRADIENTS)[0], 1e-11)


def test_the_variance_about_a_large_mean_keeps_its_digits():
    """A difference of squares has none left: in float32 Optax's and torch's root is of noise, or NaN."""
    gradients = (1000 + 0.01 * GRADIENTS).astype(np.float32)
    expected = oracles_moments.root_variance(gradients, 0.9)
    with jax.enable_x64(False):
        tx = mo.root_variance(0.9, 0.0)
        body = lambda state, g: tx.update(g, state)[::-1]  # noqa: E731
        sizes = jax.lax.scan(body, tx.init(jnp.zeros(5)), jnp.asarray(gradients))[1]
    assert_close(np.asarray(sizes[1:], np.float64), expected[1:], 0.02)
    naive = oracles.ema(gradients**2, 0.9).astype(np.float32) - oracles.ema(gradients, 0.9).astype(np.float32) ** 2
    assert np.max(np.abs(np.sqrt(np.abs(naive)) - expected)) > 10 * np.max(expected)


def test_the_variance_of_a_constant_is_nothing():
    updates, _ = feed(mo.root_variance(moving(0.99), 0.0), np.full((20, 2), 1 / 3))
    assert np.max(updates) < 1e-15


def test_a_mean_that_is_not_debiased_forgets_where_it_began():
    """Of a constant `c` the variance is `c^2 (1 - p) p`, `p` the product of all `b2`: far below the digits of `c^2`."""
    with jax.enable_x64(False):
        tx, c = mo.root_variance(0.5, 0.0, debias=False), jnp.full(2, 1 / 3)
        body = lambda state, _: tx.update(c, state)[::-1]  # noqa: E731
        sizes = jax.lax.scan(body, tx.init(c), length=32)[1]
    past = 0.5 ** np.arange(1, 33)[:, None]
    assert_close(np.asarray(sizes, np.float64), np.sqrt(past * (1 - past)) / 3 + np.zeros(2), 0.02)


MATRICES = noise(12, 2, 3, 4)


@pytest.mark.parametrize("b2", [0.9, lambda count: 1 - (count + 1.0) ** -0.8], ids=["constant", "Adafactor's"])
@pytest.mark.parametrize("debias", [True, False])
def test_factored_sizes_are_those_of_the_paper(b2, debias):
    tx = mo.root_factored(b2, eps_root=0.0, min_dim_size_to_factor=3, debias=debias)
    updates, states = feed(tx, MATRICES)
    assert states.rows.shape == (12, 2, 3)
    assert states.columns.shape == (12, 2, 4)
    assert not jax.tree.leaves(states.second_moment)
    for i in range(2):
        assert_close(updates[:, i], oracles_moments.root_factored(MATRICES[:, i], b2, debias=debias))


def test_with_adafactors_schedule_it_is_optax_and_the_paper_with_its_constant():
    b2 = lambda count: 1 - (count + 1.0) ** -0.8  # noqa: E731
    gradients = {"matrix": MATRICES[:, 0], "bias": MATRICES[:, 0, 0]}
    ours = mo.divide(mo.identity(), by=mo.root_factored(b2, eps_root=1e-2, min_dim_size_to_factor=2))
    theirs = optax.scale_by_factored_rms(
        min_dim_size_to_factor=2, epsilon=1e-2, decay_rate_fn=lambda count, _: 1 - (count + 1.0) ** -0.8
    )
    expected, _ = feed(theirs, gradients, gradients)
    updates, _ = feed(ours, gradients)
    for name in gradients:
        assert_close(updates[name], expected[name])
    size = oracles_moments.root_factored(MATRICES[:, 0], b2, 1e-2)
    assert_close(updates["matrix"], MATRICES[:, 0] / size)


def test_a_product_of_rows_and_columns_is_known_exactly():
    rows, columns = np.abs(noise(3)), np.abs(noise(4, seed=1))
    gradients = np.sqrt(rows[:, None] * columns) * np.sign(MATRICES[:, 0])
    updates, _ = feed(mo.root_factored(0.9, eps_root=0.0, min_dim_size_to_factor=2), gradients)
    assert_close(updates, oracles.root_mean_square(gradients, 0.9, 0.0))


def test_what_is_small_or_no_matrix_is_not_factored():
    tx = mo.root_factored(0.9, 0.1, 1e-3, min_dim_size_to_factor=4)
    updates, _ = feed(tx, MATRICES[:, 0])
    assert_close(updates, oracles.root_mean_square(MATRICES[:, 0], 0.9, 0.1, eps_root=1e-3))
    params = {"kernel": jnp.ones((128, 256)), "wide": jnp.ones((3, 1000)), "bias": jnp.ones(200)}
    state = mo.root_factored({"kernel": 0.9, "wide": 0.0, "bias": 0.9}).init(params)
    assert sorted(x.shape for x in jax.tree.leaves(state) if x.shape) == [(128,), (200,), (256,)]


def test_rows_and_columns_are_sharded_as_the_axes_that_they_have():
    mesh = jax.make_mesh((8,), ("x",), devices=jax.devices("cpu")[:8], axis_types=(jax.sharding.AxisType.Auto,))
    tx = mo.root_factored(0.9, min_dim_size_to_factor=2)
    for spec in (PartitionSpec("x"), PartitionSpec(None, "x")):
        params = jax.device_put(jnp.ones((16, 8)), NamedSharding(mesh, spec))
        for state in (tx.init(params), jax.jit(tx.init)(params)):
            updates, after = jax.jit(tx.update)(params, state)
            assert updates.sharding.is_equivalent_to(params.sharding, 2)
            for memory, axis in ((after.rows, 0), (after.columns, 1)):
                own = PartitionSpec(*(spec[axis : axis + 1]))
                assert memory.sharding.is_equivalent_to(NamedSharding(mesh, own), 1), (spec, axis, memory.sharding)


@pytest.mark.parametrize("scale", [0.7, lambda count: 0.1 * (count + 1.0) ** 0.5])
def test_the_cube_root_is_of_the_weighted_sum(scale):
    updates, _ = feed(mo.cube_root_sum(scale, 1e-3), GRADIENTS)
    assert_close(updates, oracles_moments.cube_root_sum(GRADIENTS, scale, 1e-3))


def cube_roots(squares):
    """The roots in float32 of numbers that are the squares of gradients."""
    return np.asarray(jax.jit(cube_root)(jnp.asarray(squares, jnp.float32)))


def test_the_cube_root_in_float32_is_good_to_a_last_digit():
    tiny, largest = np.finfo(np.float32).tiny, np.finfo(np.float32).max
    rng = np.random.default_rng(0)
    everywhere = np.exp(rng.uniform(np.log(1.2e-38), np.log(3.4e38), 200_000))
    three_octaves = rng.uniform(1, 8, 100_000)  # what the exponent leaves when it is divided by 3
    x = np.concatenate([everywhere, three_octaves, [tiny, 1, 8, 1e-38 * 1.2, 3e38, largest]]).astype(np.float32)
    expected = np.cbrt(x.astype(np.float64))
    np.testing.assert_array_less(np.abs(cube_roots(x) - expected), np.spacing(expected.astype(np.float32)))


def test_the_cube_root_of_what_has_none():
    x = np.array([0.0, -0.0, 1e-38, 1e-45, np.inf, np.nan])
    np.testing.assert_array_equal(cube_roots(x), [0, 0, 0, 0, np.inf, np.nan])


def test_the_cube_root_in_float64_has_its_digits():
    x = np.exp(np.random.default_rng(0).uniform(-700, 700, 1000))
    with jax.enable_x64(True):
        np.testing.assert_allclose(cube_root(jnp.asarray(x)), np.cbrt(x), rtol=1e-13)


def test_the_derivative_of_the_cube_root_is_that_of_a_power():
    x = np.array([1e-30, 0.3, 2.0, 1e30], np.float32)
    wide = x.astype(np.float64)
    once, twice = jax.grad(cube_root), jax.grad(jax.grad(cube_root))
    np.testing.assert_allclose(jax.vmap(once)(x), wide ** (-2 / 3) / 3, rtol=1e-6)
    np.testing.assert_allclose(jax.vmap(twice)(x[1:3]), wide[1:3] ** (-5 / 3) * (-2 / 9), rtol=1e-6)
    np.testing.assert_array_equal([once(0.0), twice(0.0), once(np.float32(np.inf))], 0.0)


@pytest.mark.parametrize("build", [mo.cube_root_sum, partial(mo.root_factored, 0.9, min_dim_size_to_factor=1)])
def test_derivatives_are_finite_where_gradients_are_zero(build):
    tx = build()
    slope = jax.grad(lambda g: tx.update(g, tx.init(jnp.zeros((2, 2))))[0].sum())(jnp.zeros((2, 2)))
    np.testing.assert_array_equal(slope, 0.0)


@pytest.mark.parametrize("number", [-1.0, 1j, None, [0.1, 0.2], lambda count: 0.1])
@pytest.mark.parametrize("build", [mo.root_mean_square, mo.root_yogi, mo.root_variance])
def test_the_start_is_one_number(build, number):
    with pytest.raises((TypeError, ValueError), match="initial must be"):
        build(0.9, initial=number)


def test_a_second_moment_may_start_anywhere():
    updates, _ = feed(mo.root_mean_square(0.9, 0.0, debias=False, initial=2.0), GRADIENTS)
    past = 2.0 * 0.9 ** np.arange(1, 31)[:, None]
    assert_close(updates, np.sqrt(oracles.ema(GRADIENTS**2, 0.9, debias=False) + past))


@pytest.mark.parametrize(("least", "kind"), [(0, ValueError), (2.5, TypeError), (True, TypeError)])
def test_the_smallest_side_is_an_integer_above_zero(least, kind):
    with pytest.raises(kind, match="min_dim_size_to_factor must be"):
        mo.root_factored(0.9, min_dim_size_to_factor=least)


@pytest.mark.parametrize(
    "size",
    [
        mo.root_maximum(0.9),
        mo.root_yogi(0.9),
        mo.root_variance(0.9),
        mo.root_deviation(0.8, 0.9),
        mo.root_factored(0.9, min_dim_size_to_factor=2),
    ],
)
def test_second_moments_are_found_and_begin_anew(size):
    tx, g = mo.divide(mo.ema(0.9), by=size), jnp.ones((2, 3))
    _, state = tx.update(g, tx.init(g))
    kept, anew = mo.reset(state), mo.reset(state, second_moments=True)
    for one, other in zip(*map(jax.tree.leaves, (kept.denominator, state.denominator)), strict=True):
        np.testing.assert_array_equal(one, other)
    assert all(np.all(x == 0) for x in jax.tree.leaves(anew.denominator._replace(count=0)))
    assert all(np.all(x == 0) for x in jax.tree.leaves(kept.numerator.velocity))
