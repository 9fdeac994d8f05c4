"""Every row of the catalogue in blocks: the same update as without, and no more memory."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import momentum_optax as mo
from momentum_optax.blocks import in_blocks, leaves
from momentum_optax.catalog import CATALOG

# Blocks of 32 numbers for 128 and more, which the vector is no multiple of; the scalar and the short stay as they are.
SHAPES = {"kernel": (16, 12), "deep": (3, 4, 5, 8), "vector": (224,), "short": (7,), "scalar": ()}
WIDE = {"kernel": (512, 512), "bias": (1 << 17,), "deep": (8, 64, 512)}


@pytest.fixture
def small_blocks(monkeypatch):
    for name, value in {"LEAST": 128, "BLOCK": 32, "SMALLEST_BLOCK": 8}.items():
        monkeypatch.setattr(leaves, name, value)


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
        assert end >= 0
    for x, y in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert x.dtype == y.dtype
        np.testing.assert_allclose(x, y, rtol=2e-5, atol=2e-6)
