"""Which leaves of real models Muon, NorMuon and Scion take for matrices, and of which shape."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import oracles_matrices as oracles
import pytest
from flax import linen, nnx
from helpers import noise

import momentum_optax as mo
from momentum_optax import wrappers
from momentum_optax._paths import paths

INPUTS = jnp.ones((2, 5, 32))


def of_nnx(**arguments):
    model = nnx.MultiHeadAttention(
        num_heads=4, in_features=32, qkv_features=32, out_features=32, decode=False, rngs=nnx.Rngs(0), **arguments
    )
    return nnx.state(model, nnx.Param)


def of_linen(**arguments):
    model = linen.MultiHeadDotProductAttention(num_heads=4, **arguments)
    return model.init(jax.random.key(0), INPUTS, INPUTS)["params"]


def of_boxes():
    return of_linen(kernel_init=linen.with_partitioning(linen.initializers.lecun_normal(), (None, "x", None)))


class Layer(linen.Module):
    @linen.compact
    def __call__(self, x, _):
        return linen.LayerNorm()(linen.Dense(32)(x)), None


def of_stacked_layers():
    layers = linen.scan(Layer, variable_axes={"params": 0}, split_rngs={"params": True}, length=3)()
    return layers.init(jax.random.key(0), INPUTS, None)["params"]


def chosen(params, **named):
    """The paths of the matrices."""
    tx = wrappers.for_matrices(optax.scale(2.0), optax.scale(3.0), **named)
    ones = jax.tree.map(jnp.ones_like, params)
    updates, _ = tx.update(ones, tx.init(ones))
    return {path for path, u in zip(paths(updates), jax.tree.leaves(updates), strict=True) if u.ravel()[0] == 2}


KERNELS = {f"{name}/kernel" for name in ("query", "key", "value", "out")}


@pytest.mark.parametrize("build", [of_nnx, of_linen])
def test_biases_and_scales_of_an_attention_are_no_matrices(build):
    params = build(normalize_qk=True)
    assert {x.shape for p, x in zip(paths(params), jax.tree.leaves(params), strict=True) if "bias" in p} >= {(4, 8)}
    assert chosen(params) == chosen(params, exclude=()) == KERNELS
    assert chosen(params, matrices=["query"]) == {"query/kernel", "query/bias"}  # who names them means them


def test_biases_and_scales_of_stacked_layers_are_no_matrices():
    params = of_stacked_layers()
    assert {x.shape for x in jax.tree.leaves(params)} == {(3, 32), (3, 32, 32)}
    assert chosen(params) == {"Dense_0/kernel"}
    assert chosen({"norm_1": {"weight": jnp.ones((3, 4))}, "w": {"weight": jnp.ones((3, 4))}}) == {"w/weight"}


@pytest.mark.parametrize("method", [mo.muon, mo.normuon, mo.scion])
def test_a_bias_of_heads_gets_the_steps_of_a_vector(method):
    bias, tx = jnp.asarray(noise(4, 8), jnp.float32), method(0.1)
    steps = []
    for shape in ((4, 8), (32,)):
        params = {"query": {"kernel": jnp.ones((32, 4, 8)), "bias": bias.reshape(shape)}}
        updates, _ = tx.update(params, tx.init(params), params)
        steps.append(updates["query"]["bias"].ravel())
    np.testing.assert_allclose(*steps, rtol=1e-6)


@pytest.mark.parametrize("build", [of_nnx, of_linen, of_boxes])
@pytest.mark.parametrize("method", [mo.muon, mo.normuon, mo.scion])
def test_the_kernels_of_an_attention_are_square(build, method):
    """Of 32 to 4 heads of 8: what the user would say by `layout`, and not 128 by 8."""
    params = jax.tree.map(lambda x: jnp.asarray(noise(*x.shape), x.dtype), build())
    said = {f"{name}/kernel": "ioo" for name in ("query", "key", "value")} | {"out/kernel": "iio"}
    for updates, state in (step(method(0.1), params), step(method(0.1, layout="io"), params)):
        expected, other = step(method(0.1, layout=said), params)
        jax.tree.map(np.testing.assert_array_equal, updates, expected)
        assert jax.tree.map(jnp.shape, state) == jax.tree.map(jnp.shape, other)


def step(tx, params):
    return tx.update(params, tx.init(params), params)


def test_the_layout_of_attention_can_be_overridden_and_is_that_of_names_and_three_axes():
    kernel = noise(6, 2, 3)

    def factor(name="query/kernel", x=kernel, **arguments):
        branch, leaf = name.rsplit("/", 1)
        with jax.enable_x64(True):
            params = {branch: {leaf: jnp.asarray(x)}}
            return step(mo.orthogonal_factor(**arguments), params)[0][branch][leaf]

    def expected(*shape, x=kernel):
        return oracles.orthogonalize(x.reshape(shape)).reshape(x.shape)

    for name in ("query/kernel", "layers/0/attention/key/kernel", "Attention_0/value/kernel"):
        np.testing.assert_allclose(factor(name), expected(6, 6), atol=1e-12)
    for name in ("out/kernel", "Conv_0/kernel", "subquery/kernel", "query/embedding"):
        np.testing.assert_allclose(factor(name), expected(12, 3), atol=1e-12)
    np.testing.assert_allclose(factor(layout={"query": "iio"}), expected(12, 3), atol=1e-12)
    np.testing.assert_allclose(factor(layout={"key": "iio"}), expected(6, 6), atol=1e-12)
    np.testing.assert_allclose(factor(layout="oi"), expected(6, 6), atol=1e-12)  # 6 outputs first
    image = noise(1, 1, 4, 3)  # a convolution that is called query
    np.testing.assert_allclose(factor(x=image), expected(4, 3, x=image), atol=1e-12)


MATRICES = (
    "attention/out/kernel", "attention/output/dense/kernel", "mlp/output/kernel", "out_proj/kernel", "o_proj/kernel",
    "MultiHeadAttention_0/query/kernel", "multi_head/proj/kernel", "self_attention_heads/0/proj/kernel",
    "sa/heads/0/query/kernel", "heads/key/kernel", "sa_heads_0/value/kernel", "ensemble/kernel", "header/kernel",
    "member/kernel", "ahead/kernel", "tokens/kernel", "scaled/kernel", "biases_mlp/kernel", "value/kernel",
    "normalizer/kernel", "norm/kernel",
)  # fmt: skip
THE_REST = (
    "tok_emb", "pos_emb", "tok_emb/weight", "pos_emb_0/table", "TokenEmb_0/w", "emb", "emb_in/w", "wte", "wpe/w",
    "embedding", "embeddings/word", "embed", "embed_tokens/weight", "PatchEmbed_0/kernel", "unembed", "cls_token",
    "register_tokens", "cls_head/kernel", "lm_head", "q_head_1/kernel", "value_head/kernel", "lmhead", "Head/kernel",
    "head/kernel", "heads", "heads/0/kernel", "task_heads/kernel", "classifier/dense/kernel", "logits", "logits/kernel",
    "logits_dense/kernel", "token_logits/kernel", "bias", "query/bias", "LayerNorm_0/scale", "ln/scale/value",
    "rel_pos_bias", "RMSNorm_0/weight", "norm1/gamma", "layer_norm_2/gain",
)  # fmt: skip


def test_what_models_call_embeddings_heads_and_vectors_is_left_to_the_rest():
    assert chosen({name: jnp.ones((2, 2)) for name in (*MATRICES, *THE_REST)}) == set(MATRICES)
    kept = {name for name in THE_REST if not name.endswith(("bias", "scale", "value", "weight", "gamma", "gain"))}
    assert chosen({name: jnp.ones((2, 2)) for name in THE_REST}, exclude=()) >= kept
