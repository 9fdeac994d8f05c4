"""Every row of the catalogue in blocks: the same update as without, and no more memory."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from around_adam import WRAPPERS, around_adam
from compiling import AS_FOR_USERS

import momentum_optax as mo
from momentum_optax._compiled import compiler_options
from momentum_optax.blocks import in_blocks
from momentum_optax.catalog import CATALOG

# Blocks of 32 numbers for 128 and more, which the vector is a multiple of; the short one and the scalar stay whole.
SHAPES = {"kernel": (16, 12), "deep": (3, 4, 5, 8), "vector": (224,), "short": (7,), "scalar": ()}
# The directions of matrices are moved into their places, which XLA does where they are used; vectors are in blocks.
MATRICES = {"orthogonal_factor", "muon", "normuon", "scion"}
# `track` joins leaves as small as these before it sums; `scion` has a plain sum over new memories, for XLA's library.
LEFT = {"track", "scion"}


def updating(tx):
    update = optax.with_extra_args_support(tx).update

    def step(params, state, gradients, extra):
        updates, state = update(gradients, state, params, **extra)
        return mo.apply_updates(params, updates), state

    return step


@pytest.mark.parametrize("method", CATALOG, ids=lambda m: m.name)
def test_the_same_update(method, small_blocks):
    rng = np.random.default_rng(0)
    draw = lambda: {name: rng.standard_normal(shape).astype(np.float32) for name, shape in SHAPES.items()}  # noqa: E731
    tx = method.build(**method.defaults)
    plain, blocks = jax.jit(updating(tx)), jax.jit(in_blocks(updating(tx), 2, every=True))
    params = draw()
    ours, theirs = (params, tx.init(params)), (params, tx.init(params))
    for count in range(3):
        gradients, previous = draw(), draw()
        extra = {"value": jnp.float32(2.0 - count), "previous_gradient": previous, "grad": gradients}
        ours, end = blocks(*ours, gradients, extra)
        theirs = plain(*theirs, gradients, extra)
        assert bool(end > 0) == (method.name not in LEFT)
    for x, y in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert x.dtype == y.dtype
        np.testing.assert_allclose(x, y, rtol=2e-5, atol=2e-6)


def test_of_matrices_only_the_vectors_are_in_blocks(small_blocks):
    for method in CATALOG:
        params, tx = {"kernel": jax.ShapeDtypeStruct((16, 12), jnp.float32)}, method.build(**method.defaults)
        state = jax.eval_shape(tx.init, params)
        traced = jax.make_jaxpr(in_blocks(updating(tx), 2, every=True))(params, state, params, {})
        assert (str(traced).count("while[") == 0) == (method.name in MATRICES), method.name


@pytest.mark.parametrize("name", WRAPPERS)
def test_wrappers_around_adam_keep_nothing_of_the_size_of_the_tree(name):
    """By `jit` alone they do; see test_compiled.py."""
    shapes = {"kernel": (512, 512), "bias": (1 << 17,), "deep": (8, 64, 512)}
    params = {name: jax.ShapeDtypeStruct(shape, jnp.float32) for name, shape in shapes.items()}
    tx = around_adam(name)
    jitted = jax.jit(in_blocks(updating(tx), 2), donate_argnums=(0, 1), keep_unused=True)
    compiled = jitted.lower(params, jax.eval_shape(tx.init, params), params, {})
    compiled = compiled.compile(AS_FOR_USERS | compiler_options())
    assert compiled.memory_analysis().temp_size_in_bytes / sum(4 * p.size for p in params.values()) < 0.08
