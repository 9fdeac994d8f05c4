"""Orthogonal factors: of single matrices, of stacks, and of the leaves of a model."""

import jax
import jax.numpy as jnp
import numpy as np
import oracles_matrices as oracles
import pytest
from compiling import AS_FOR_USERS
from helpers import feed, noise

import momentum_optax as mo
from momentum_optax.directions import _newton_schulz as newton_schulz

SHAPES = [(3, 3), (3, 8), (8, 3), (1, 5), (16, 40), (40, 16)]


def in_float64(function, *arrays):
    with jax.enable_x64(True):
        return np.asarray(jax.jit(function)(*map(jnp.asarray, arrays)))


@pytest.mark.parametrize("gram", [False, True, None])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_it_is_the_polynomial_of_the_singular_values(shape, gram):
    x = noise(*shape)
    expected = oracles.orthogonalize(x)
    np.testing.assert_allclose(in_float64(lambda y: mo.orthogonalize(y, gram=gram), x), expected, atol=1e-12)
    np.testing.assert_allclose(oracles.newton_schulz(x), expected, atol=1e-12)
    polar = in_float64(lambda y: mo.orthogonalize(y, 5, "polar_express", gram=gram), x)
    np.testing.assert_allclose(polar, oracles.orthogonalize(x, oracles.POLAR_EXPRESS[:5], margin=1.01), atol=1e-12)


def test_other_coefficients_and_numbers_of_steps():
    x, (one, two) = noise(4, 6), ((1.5, -0.5, 0.0), (1.875, -1.25, 0.375))
    for given, steps, expected in (
        (one, 1, (one,)),
        (one, 3, (one, one, one)),
        ((two, one), 1, (two,)),
        ([two, one], 4, (two, one, one, one)),
        ("polar_express", 12, (*oracles.POLAR_EXPRESS, *oracles.POLAR_EXPRESS[-1:] * 4)),
    ):
        margin = 1.01 if isinstance(given, str) else 1.0
        actual = in_float64(lambda y, g=given, s=steps: mo.orthogonalize(y, s, g), x)
        np.testing.assert_allclose(actual, oracles.orthogonalize(x, expected, margin=margin), atol=1e-11)


def test_polar_express_converges_and_the_quintic_stays_around_one():
    u, _, vh = np.linalg.svd(noise(20, 30), full_matrices=False)
    x = (u * np.geomspace(1, 0.01, 20)) @ vh
    polar = in_float64(lambda y: mo.orthogonalize(y, 10, "polar_express"), x)
    np.testing.assert_allclose(polar, oracles.polar_factor(x), atol=1e-12)
    values = np.linalg.svd(in_float64(mo.orthogonalize, x), compute_uv=False)
    assert 0.68 < values.min() < 0.8 < 1.1 < values.max() < 1.21


@pytest.mark.parametrize("coefficients", ["quintic", "polar_express"])
@pytest.mark.parametrize("steps", [5, 8, 20])
def test_the_gram_form_in_float32_is_as_good_as_the_plain_one(coefficients, steps):
    """Also where singular values are far below what a Gram matrix can hold, and after many steps."""
    u, _, vh = np.linalg.svd(noise(16, 64), full_matrices=False)
    polynomials = newton_schulz.iteration(coefficients, steps)
    for spectrum, worse in ((np.ones(16), 1e-4), (np.geomspace(1, 1e-9, 16), 1.0), (np.eye(16)[0], 1.0)):
        x = (u * spectrum) @ vh
        expected = oracles.orthogonalize(x, polynomials.steps, margin=polynomials.margin)
        error = {
            gram: np.max(
                np.abs(mo.orthogonalize(jnp.asarray(x, jnp.float32), steps, coefficients, gram=gram) - expected)
            )
            for gram in (False, True)
        }
        # Of what is far below the largest, 8 steps grow rounding errors, which are others on other processors: 0.0039
        # was seen on one, less than 0.0027 on another.
        assert error[True] <= 4 * error[False] + (worse if steps > 8 else 6e-3 if worse == 1.0 else worse), error
        assert np.isfinite(error[True])


def test_the_gram_matrix_is_made_anew_before_rounding_errors_take_over():
    steps = newton_schulz.iteration("quintic", 20).steps
    assert [len(part) for part in newton_schulz.parts(steps, 1.2e-7)] == [6, 6, 6, 2]
    assert [len(part) for part in newton_schulz.parts(steps, 2.3e-16)] == [14, 6]
    assert newton_schulz.parts(steps[:5], 1.2e-7) == [steps[:5]]


def test_the_gram_form_is_taken_where_it_is_cheaper():
    steps = newton_schulz.iteration("quintic", 5).steps
    assert [newton_schulz.gram_pays(10, n, steps, 1.2e-7) for n in (10, 15, 16, 40)] == [False, False, True, True]

    def products(x):
        return jax.jit(mo.orthogonalize).lower(x).as_text().count("dot_general")

    assert products(jnp.ones((8, 32))) == 2 + 17
    assert products(jnp.ones((8, 8))) == 15
    assert products(jnp.ones((8, 32), jnp.bfloat16)) == 2 + 17  # computed in float32


def test_stacks_are_many_matrices():
    x = noise(2, 3, 5, 9)
    actual = in_float64(mo.orthogonalize, x)
    for i, j in np.ndindex(2, 3):
        np.testing.assert_allclose(actual[i, j], oracles.orthogonalize(x[i, j]), atol=1e-12)


@pytest.mark.parametrize("shape", [(4, 4), (4, 9), (9, 4)], ids=str)
def test_complex_matrices(shape):
    x = noise(*shape) + 1j * noise(*shape, seed=1)
    for gram in (False, True):
        actual = in_float64(lambda y, gram=gram: mo.orthogonalize(y, gram=gram), x)
        np.testing.assert_allclose(actual, oracles.orthogonalize(x), atol=1e-12)
    narrow = mo.orthogonalize(jnp.asarray(x, jnp.complex64), dtype="bfloat16")
    np.testing.assert_allclose(narrow, oracles.orthogonalize(x), atol=1e-5)


def test_dtypes():
    x = noise(8, 20)
    expected = oracles.orthogonalize(x)
    for dtype, computing, tolerance in (
        ("float32", None, 1e-5),
        ("float32", "bfloat16", 0.06),
        ("bfloat16", None, 0.02),
        ("float16", None, 2e-3),
        ("bfloat16", "bfloat16", 0.06),
    ):
        out = mo.orthogonalize(jnp.asarray(x, dtype), dtype=computing)
        assert out.dtype == dtype
        error = np.max(np.abs(np.asarray(out, np.float64) - expected))
        assert error < tolerance
        assert (error > 1e-3) == (computing == "bfloat16" or dtype == "bfloat16"), "not computed in what was asked for"


def test_zeros_small_matrices_and_empty_ones():
    assert not np.any(mo.orthogonalize(jnp.zeros((3, 4))))
    assert not np.any(mo.orthogonalize(jnp.zeros((3, 4)), eps=0.0))
    assert mo.orthogonalize(jnp.zeros((0, 4))).shape == (0, 4)
    x = noise(3, 4)
    small = in_float64(lambda y: mo.orthogonalize(y, eps=1.0), 1e-3 * x)
    np.testing.assert_allclose(small, oracles.orthogonalize(1e-3 * x, eps=1.0), atol=1e-12)
    assert not np.all(np.isfinite(mo.orthogonalize(jnp.asarray(x).at[0, 0].set(np.nan))))


def test_what_is_refused():
    x = jnp.ones((2, 3))
    for match, call in (
        (r"\[\.\.\., m, n\].*\(3,\)", lambda: mo.orthogonalize(jnp.ones(3))),
        ("steps.*0", lambda: mo.orthogonalize(x, 0)),
        ("coefficients.*'cubic'", lambda: mo.orthogonalize(x, 5, "cubic")),
        (r"coefficients.*\(1.0, 2.0\)", lambda: mo.orthogonalize(x, 5, (1.0, 2.0))),
        (r"coefficients.*\(1.0, 1.0\)", lambda: mo.orthogonalize(x, 5, jnp.ones(2))),
        (r"coefficients.*1.0", lambda: mo.orthogonalize(x, 5, jnp.ones(()))),
        ("eps.*-1", lambda: mo.orthogonalize(x, eps=-1.0)),
        ("gram=True", lambda: mo.orthogonalize(x, dtype="bfloat16", gram=True)),
    ):
        with pytest.raises(ValueError, match=match):
            call()
    for match, call in (
        ("int32", lambda: mo.orthogonalize(jnp.ones((2, 3), int))),
        ("steps", lambda: mo.orthogonalize(x, 2.5)),
        ("plain numbers", lambda: mo.orthogonalize(x, 5, (1.0, "b", 2.0))),
        ("not traced", lambda: jax.jit(lambda c: mo.orthogonalize(x, 5, c))(jnp.ones(3))),
        ("plain numbers", lambda: mo.orthogonalize(x, 5, jnp.ones((1, 3, 1)))),
        ("dtype", lambda: mo.orthogonalize(x, dtype="int8")),
    ):
        with pytest.raises(TypeError, match=match):
            call()


# The transformation.


def factors(leaf, **arguments):
    updates, _ = feed(mo.orthogonal_factor(**arguments), {"w": leaf[None]})
    return updates["w"][0]


def test_kernels_of_convolutions_are_flattened():
    kernel = noise(2, 3, 4, 5)  # height, width, in, out
    expected = oracles.orthogonalize(kernel.reshape(24, 5)).reshape(kernel.shape)
    np.testing.assert_allclose(factors(kernel), expected, atol=1e-12)
    np.testing.assert_allclose(factors(kernel, layout="oi"), oracles.orthogonalize(kernel.reshape(2, 60)).reshape(
        kernel.shape), atol=1e-12)  # fmt: skip


def test_a_layout_for_each_leaf():
    heads, layers = noise(6, 2, 4), noise(3, 5, 4)  # (embedding, heads, features), (layer, in, out)
    expected = oracles.orthogonalize(heads.reshape(6, 8)).reshape(heads.shape)
    np.testing.assert_allclose(factors(heads, layout={"w": "ioo"}), expected, atol=1e-12)
    expected = np.stack([oracles.orthogonalize(one) for one in layers])
    np.testing.assert_allclose(factors(layers, layout={"w": "bio"}), expected, atol=1e-12)
    np.testing.assert_allclose(
        factors(layers, layout={"w": "boi"}, shape_factor="spectral"), expected * np.sqrt(5 / 4), atol=1e-12
    )


@pytest.mark.parametrize(("inputs", "outputs"), [(3, 12), (12, 3)])
def test_shape_factors(inputs, outputs):
    kernel = noise(inputs, outputs)
    larger, wider = max(inputs, outputs), np.sqrt(outputs / inputs)
    for name, factor in {
        None: 1.0, "original": max(1.0, wider), "optax": max(1.0, wider), "spectral": wider,
        "match_rms_adamw": 0.2 * np.sqrt(larger), "keras": 0.2 * np.sqrt(larger), 0.3: 0.3 * np.sqrt(larger),
    }.items():  # fmt: skip
        expected = factor * oracles.orthogonalize(kernel)
        np.testing.assert_allclose(factors(kernel, shape_factor=name), expected, atol=1e-12, err_msg=str(name))
        torch = factors(kernel.T, shape_factor=name, layout="oi")
        np.testing.assert_allclose(torch, expected.T, atol=1e-12, err_msg=f"{name}, transposed")


TREE = {"a": (4, 6), "b": (6, 4), "c": (4, 6), "d": (2, 2, 6), "e": (4, 6), "none": (3, 3)}


@pytest.mark.parametrize("arguments", [{"strategy": "stacked"}, {"strategy": "leaf"}, {"strategy": "auto"}], ids=str)
def test_strategies_agree_with_an_eps_for_each_leaf(arguments):
    gradients = {k: jnp.asarray(noise(*s, seed=i), jnp.float32) for i, (k, s) in enumerate(TREE.items())}
    eps = {k: 0.1 * i for i, k in enumerate(TREE)}
    tx = mo.orthogonal_factor(eps=eps, **arguments)
    gradients["none"] = None
    updates, _ = jax.jit(tx.update)(gradients, tx.init({**gradients, "none": jnp.ones((3, 3))}))
    assert updates["none"] is None
    for k in "abcde":
        x = np.asarray(gradients[k]).reshape(-1, gradients[k].shape[-1])
        expected = oracles.orthogonalize(x, eps=eps[k]).reshape(gradients[k].shape)
        np.testing.assert_allclose(updates[k], expected, atol=1e-5, err_msg=k)


def test_stacks_are_one_product():
    gradients = [jnp.ones((4, 4)) for _ in range(6)]

    def products(strategy):
        tx = mo.orthogonal_factor(strategy=strategy)
        text = jax.jit(tx.update).lower(gradients, tx.init(gradients)).compile(AS_FOR_USERS).as_text()
        return text.count(" dot(")

    assert products("leaf") == 6 * products("stacked") == 6 * 15


def test_leaf_by_leaf_takes_the_memory_of_one_leaf():
    params = [jax.ShapeDtypeStruct((32, 128), jnp.float32)] * 10

    def temporary(strategy):
        tx = mo.muon(0.1, strategy=strategy)

        def step(params, state, gradients):
            updates, state = tx.update(gradients, state, params)
            return mo.apply_updates(params, updates), state

        state = jax.eval_shape(tx.init, params)
        compiled = jax.jit(step, donate_argnums=(0, 1)).lower(params, state, params).compile(AS_FOR_USERS)
        return compiled.memory_analysis().temp_size_in_bytes / (32 * 128 * 4)

    assert temporary("leaf") < 4 < 15 < temporary("stacked")


def test_leaves_that_are_no_matrices_are_refused():
    kernel, bias = {"kernel": jnp.ones((2, 2))}, {"bias": jnp.ones(2)}
    for match, tx, params in (
        ("'bias' has 1 axes", mo.orthogonal_factor(), kernel | bias),
        ("'scale' has 0 axes", mo.orthogonal_factor(layout={"kernel": "io"}), kernel | {"scale": jnp.ones(())}),
        ("'ioo' of 'kernel', which has 2 axes", mo.orthogonal_factor(layout={"kernel": "ioo"}), kernel),
    ):
        with pytest.raises(ValueError, match=match):
            tx.init(params)
    for match, arguments in (
        ("layout", {"layout": "ii"}),
        ("layout.*'oio'", {"layout": {"w": "oio"}}),
        ("strategy", {"strategy": "fast"}),
        ("shape_factor", {"shape_factor": "pytorch"}),
        ("steps", {"ns_steps": 0}),
    ):
        with pytest.raises(ValueError, match=match):
            mo.orthogonal_factor(**arguments)
    for arguments in ({"layout": 3}, {"ns_dtype": "int8"}, {"shape_factor": (1, 2)}):
        with pytest.raises(TypeError, match=next(iter(arguments))):
            mo.orthogonal_factor(**arguments)
