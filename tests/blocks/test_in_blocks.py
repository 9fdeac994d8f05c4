"""Functions whose results take the places of their arguments, in blocks: the same results, and which are in blocks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiling import AS_FOR_USERS

from momentum_optax._compiled import compiler_options
from momentum_optax.blocks import in_blocks, leaves

SHAPE = (16, 12)


def column(x):
    return jnp.sum(x, axis=0, keepdims=True)


def norm(x):
    return jnp.sqrt(jnp.sum(x.reshape(4, -1) ** 2))


def row(x):
    return jnp.sum(x, axis=1)


@jax.custom_jvp
def root(x):
    return jnp.sqrt(x)


root.defjvp(lambda xs, ts: (root(*xs), ts[0] / 2))

# Each gives new p, new m, and what else comes out; beside, how many loops there are.
CASES = {
    "a velocity": (lambda p, m, g: (p - (0.9 * m + g), 0.9 * m + g, ()), 1),
    "the gradient is kept": (lambda p, m, g: (p - (g - m), g, ()), 1),
    "a velocity and its square root": (lambda p, m, g: (p - jnp.sqrt(jnp.abs(m) + g * g), m / (1 + g * g), ()), 1),
    "a quotient that both need": (lambda p, m, g: (p - g / (1 + m * m), m + g / (1 + m * m), ()), 1),
    "both the same": (lambda p, m, g: (p * 0.5 + g, p * 0.5 + g, ()), 1),
    "one stays as it is": (lambda p, m, g: (p - m * g, m, ()), 1),
    "one begins anew": (lambda p, m, g: (p - m, jnp.zeros_like(m), ()), 1),
    "by a norm": (lambda p, m, g: (p - m / jnp.linalg.norm(g * m), 0.9 * m + g, ()), 1),
    "a norm that comes out": (lambda p, m, g: (p - m, 0.9 * m + g, jnp.linalg.norm(p * m)), 1),
    "two norms that come out": (lambda p, m, g: (p - m, m + g, (jnp.sum(p + m > 0), jnp.max(jnp.abs(m)))), 1),
    "by a norm of each column": (lambda p, m, g: (p - column(m * g), 0.9 * m + g, ()), 1),
    "by a norm of each row": (lambda p, m, g: (p - row(m * g)[:, None] * m, 0.9 * m + g, ()), 1),
    "a norm of another shape": (lambda p, m, g: (p - m / norm(m * g), 0.9 * m / norm(m * g), norm(p)), 1),
    "another shape that comes out": (lambda p, m, g: (p - m, 0.9 * m + g, (0.9 * m + g).reshape(-1)), 0),
    "by both": (lambda p, m, g: (p - row(m * g)[:, None] * column(p), 0.9 * m + g, ()), 1),
    "functions within": (lambda p, m, g: (p - jax.jit(root)(m * m), jnp.where(g > 0, m, jnp.clip(m, -1, 1)), ()), 1),
    "a barrier": (lambda p, m, g: (p - jax.lax.optimization_barrier((m, g))[0], 0.9 * m + g, ()), 1),
    "a gradient that is a product": (lambda p, m, g: (p - m, 0.9 * m + (g.T @ jnp.tanh(g @ g.T)).T, ()), 1),
    "nothing to do with one another": (lambda p, m, g: (p - 1, 0.9 * m + g, ()), 2),
    # What follows is left to XLA, for it would write out what it computes in passing, or copy what is overwritten.
    "random numbers": (lambda p, m, g: (p - m * jax.random.normal(jax.random.key(0), m.shape), 0.9 * m, ()), 0),
    "moved": (lambda p, m, g: (p - jnp.roll(m, 1, 0), 0.9 * m + g, ()), 0),
    "a product of the old one": (lambda p, m, g: (p - m, 0.9 * m + g, p @ p.T), 0),
    "two that read one another": (lambda p, m, g: (p + m, m - p * g, ()), 0),
    "two that change places": (lambda p, m, g: (m, p, ()), 0),
    "the old one after a quotient": (lambda p, m, g: (p - (m / (1 + g * g) - m), m / (1 + g * g), ()), 0),
    "a sum of the new one": (lambda p, m, g: (p - m / jnp.sum(0.9 * m + g), 0.9 * m + g, ()), 0),
    "a branch": (lambda p, m, g: jax.lax.cond(g[0, 0] > 0, lambda: (p - m, m + g, ()), lambda: (p, m, ())), 0),
    "an array that is called back": (lambda p, m, g: (p - m, 0.9 * m + g, jax.debug.callback(abs, p)), 0),
    "half as many bits": (lambda p, m, g: (p - m.astype(jnp.bfloat16), 0.9 * m + g, ()), 1),
}


def draw(seed, shape=SHAPE):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("name", CASES)
def test_the_same_results(name, small_blocks):
    function, loops = CASES[name]
    arguments = draw(0), draw(1), draw(2)
    changed = in_blocks(function, 2, every=True)
    assert str(jax.make_jaxpr(changed)(*arguments)).count("while[") == loops
    results, end = jax.jit(changed)(*arguments)
    assert bool(end > 0) == bool(loops)
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=2e-5, atol=1e-6), results, function(*arguments))


@pytest.mark.parametrize("name", [name for name, (_, loops) in CASES.items() if loops])
def test_nothing_large_is_kept_beside(name):
    x = jax.ShapeDtypeStruct((512, 512), jnp.float32)
    changed = jax.jit(in_blocks(CASES[name][0], 2, every=True), donate_argnums=(0, 1), keep_unused=True)
    compiled = changed.lower(x, x, x).compile(AS_FOR_USERS | compiler_options())
    # The gradient and what it is a product of; what is counted is written out; partial sums are a few per cent.
    allowed = {"a gradient that is a product": 3, "two norms that come out": 1}.get(name, 0) + 0.1
    assert compiled.memory_analysis().temp_size_in_bytes < allowed * 4 * 512 * 512


def test_what_is_printed_or_called_still_is(small_blocks, capfd):
    def function(p, m, g):
        jax.debug.print("norm {}", jnp.round(jnp.sum(m * 0 + 2)))
        called = jax.pure_callback(lambda x: x.sum(), jax.ShapeDtypeStruct((), jnp.float32), g)
        return p - called, 0.9 * m + g

    arguments = draw(0), draw(1), draw(2)
    (p, m), end = jax.jit(in_blocks(function, 2, every=True))(*arguments)
    jax.effects_barrier()
    assert end > 0
    assert "norm 384" in capfd.readouterr().out
    np.testing.assert_allclose(p, arguments[0] - arguments[2].sum(), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(m, np.float32(0.9) * arguments[1] + arguments[2], rtol=1e-5)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.int32, jnp.bool_, jnp.float8_e4m3fn])
def test_narrow_numbers_are_left_to_xla_for_it_would_widen_whole_arrays(dtype, small_blocks):
    x = jnp.asarray(draw(0) > 0, dtype)
    changed = in_blocks(lambda p, m: (jnp.where(m > 0, p, m), m), 2, every=True)
    wide = not jnp.issubdtype(dtype, jnp.floating)
    assert ("while[" in str(jax.make_jaxpr(changed)(x, ~x if dtype == jnp.bool_ else -x))) == wide


@pytest.mark.parametrize("size", [127, 8 * 13, 31 * 37, 8209])
def test_leaves_that_are_small_or_no_multiple_of_a_block_are_left_to_xla(size, small_blocks):
    x = draw(0, size)
    results, end = jax.jit(in_blocks(lambda p, m: (p - m, 0.9 * m), 2, every=True))(x, x)
    assert end == (0 if size < 128 or size == 8209 else size // 31)
    np.testing.assert_allclose(results[1], np.float32(0.9) * x, rtol=1e-6)


def test_a_column_is_left_to_xla_for_it_would_copy_it(small_blocks):
    x = draw(0, (512, 1))
    results, end = jax.jit(in_blocks(lambda p, m: (p - m, 0.9 * m), 2, every=True))(x, x)
    assert end == 0
    np.testing.assert_allclose(results[1], np.float32(0.9) * x, rtol=1e-6)


def test_strict_promotion(small_blocks):
    def function(p, m, g):
        return p - m * g, m + g, jnp.sum(p * m), jnp.sum(p > m)

    with jax.numpy_dtype_promotion("strict"):
        results, end = jax.jit(in_blocks(function, 2, every=True))(draw(0), draw(1), draw(2))
        assert end > 0
        for x, y in zip(results, function(draw(0), draw(1), draw(2)), strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6)


def test_complex_numbers_counts_and_flags(small_blocks):
    def function(p, m, count, done, g):
        sums = jnp.sum(p * m), jnp.max(count), jnp.any(done)
        return p - m * g, 0.5 * m + g, count + 1, done | (count > 3), sums

    complexes = [(draw(i) + 1j * draw(i + 1)).astype(np.complex64) for i in (0, 2)]
    arguments = *complexes, np.arange(192, dtype=np.int32).reshape(SHAPE), draw(0) > 1, draw(3)
    results, end = jax.jit(in_blocks(function, 4, every=True))(*arguments)
    assert end > 0
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5), results, function(*arguments))


def test_large_leaves_are_in_blocks_where_that_saves_reading():
    p = {f"w{i}": jax.ShapeDtypeStruct((leaves.LEAST,), jnp.float32) for i in range(4)}
    p["small"] = jax.ShapeDtypeStruct((leaves.LEAST // 2,), jnp.float32)

    def loops(function, every, params=p):
        return str(jax.make_jaxpr(in_blocks(function, 2, every=every))(params, params, params)).count("while[")

    def descent(p, m, g):  # one result, which is one loop anyway
        return jax.tree.map(lambda p, g: p - g, p, g), m

    def velocity(p, m, g):
        m = jax.tree.map(lambda m, g: 0.9 * m + g, m, g)
        return jax.tree.map(lambda p, m: p - m, p, m), m

    assert loops(descent, False) == 0
    assert loops(descent, True) == loops(velocity, False) == 4
    # One that is more than half of all would keep one core working while the other waits.
    large = p | {"w0": jax.ShapeDtypeStruct((64 * leaves.LEAST,), jnp.float32)}
    assert loops(velocity, False, large) == 3
    assert loops(velocity, True, large) == 4


def test_of_very_many_leaves_the_largest_are_in_blocks(monkeypatch):
    monkeypatch.setattr(leaves, "MOST", 2)
    p = [draw(i, (n * leaves.LEAST,)) for i, n in enumerate((1, 3, 1, 2, 1))]
    g = [x + 1 for x in p]

    def velocity(p, m, g):
        m = [0.9 * m + g for m, g in zip(m, g, strict=True)]
        return [p - m for p, m in zip(p, m, strict=True)], m

    def views(every):
        text = str(jax.make_jaxpr(in_blocks(velocity, 2, every=every))(p, p, g))
        rows = leaves.LEAST // leaves.BLOCK
        return text.count("while["), {n: f"f32[{n * rows},{leaves.BLOCK}]" in text for n in (1, 2, 3)}

    assert views(every=False) == (2, {1: False, 2: True, 3: True})
    assert views(every=True) == (5, {1: True, 2: True, 3: True})
    for x, y in zip(*map(jax.tree.leaves, (in_blocks(velocity, 2)(p, p, g)[0], velocity(p, p, g))), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5)


def test_loops_share_no_memory_or_they_could_not_run_side_by_side():
    def temporary(count):
        p = [jax.ShapeDtypeStruct((leaves.LEAST,), jnp.float32)] * count
        function = lambda p, m: ([p - m / (1 + p) for p, m in zip(p, m, strict=True)], [m * 2 for m in m])  # noqa: E731
        jitted = jax.jit(in_blocks(function, 2, every=True), donate_argnums=(0, 1))
        return jitted.lower(p, p).compile(AS_FOR_USERS | compiler_options()).memory_analysis().temp_size_in_bytes

    # Two counters and a flag; memory is given out by 64 bytes.
    assert temporary(20) - temporary(10) >= 10 * 2 * 64


def test_what_two_outputs_need_is_not_kept_in_memory_that_loops_would_share():
    function, _ = CASES["a quotient that both need"]
    x = jax.ShapeDtypeStruct((leaves.LEAST,), jnp.float32)
    jitted = jax.jit(in_blocks(function, 2, every=True), donate_argnums=(0, 1))
    compiled = jitted.lower(x, x, x).compile(AS_FOR_USERS | compiler_options())
    assert compiled.memory_analysis().temp_size_in_bytes < 4 * leaves.BLOCK


def random_function(seed):
    """Some results of sums, products, quotients, selections and norms of the arguments and one another."""
    rng = np.random.default_rng(seed)
    pick = [
        lambda x, y, z: x + y,
        lambda x, y, z: x * y,
        lambda x, y, z: x / (1 + y * y),
        lambda x, y, z: jnp.sqrt(jnp.abs(x)) - y,
        lambda x, y, z: jnp.where(x > y, x, z),
        lambda x, y, z: x * jnp.mean(y * z),
        lambda x, y, z: x - jnp.mean(y, axis=0, keepdims=True),
        lambda x, y, z: jnp.tanh(x) * 0.5,
    ]
    plan = [(pick[rng.integers(len(pick))], rng.random(3)) for _ in range(rng.integers(3, 12))]
    ends = rng.random(3)

    def function(a, b, c, d):
        known = [a, b, c, d]
        for f, places in plan:
            known.append(f(*(known[int(len(known) * place)] for place in places)))
        results = [known[int(len(known) * place)] for place in ends]
        return *results, jnp.sum(known[-1] * a)

    return function


@pytest.mark.parametrize("seed", range(60))
def test_random_functions(seed, small_blocks):
    function, arguments = random_function(seed), [draw(i) for i in range(4)]
    results, _ = jax.jit(in_blocks(function, 3, every=True))(*arguments)
    for x, y in zip(results, function(*arguments), strict=True):
        np.testing.assert_allclose(x, y, rtol=2e-4, atol=2e-5)
