"""Tiger against its author's code."""

import jax
import jax.numpy as jnp
import numpy as np
import oracles_signs
import pytest
from helpers import assert_close, moving, noise

import momentum_optax as mo

STEPS = 30
START = {
    "Embed_0": {"embedding": noise(4, 3, seed=1)},
    "Dense_0": {"kernel": noise(3, 2, seed=2), "bias": noise(2, seed=3)},
    "scale": noise(1, seed=4)[0],
}
KINDS = {
    "Embed_0": {"embedding": "embeddings"},
    "Dense_0": {"kernel": "kernel", "bias": "bias"},
    "scale": "bias",
}
GRADIENTS = jax.tree.map(lambda p: noise(STEPS, *np.shape(p), seed=9), START)


def train(tx, start=START):
    with jax.enable_x64(True):

        def body(carry, g):
            params, state = carry
            updates, state = tx.update(g, state, params)
            params = mo.apply_updates(params, updates)
            return (params, state), params

        params = jax.tree.map(jnp.asarray, start)
        gradients = jax.tree.map(jnp.asarray, GRADIENTS)
        rows = jax.jit(lambda p, g: jax.lax.scan(body, (p, tx.init(p)), g)[1])(params, gradients)
        return jax.tree.map(np.asarray, rows)


@pytest.mark.parametrize("numbers", [(0.01, 0.965), (moving(0.02), moving(0.9)), (0.01, 0.0)])
def test_it_is_the_author_s_tiger(numbers):
    rows = train(mo.tiger(*numbers, weight_decay=0.1))

    def check(mine, gradients, start, kind):
        assert_close(mine, oracles_signs.tiger(gradients, start, *numbers, 0.1, kind)[1:])

    jax.tree.map(check, rows, GRADIENTS, START, KINDS)


def test_a_mask_decides_what_decays():
    rows = train(
        mo.tiger(
            0.01, weight_decay=0.1, mask={"Embed_0": False, "Dense_0": {"kernel": True, "bias": True}, "scale": False}
        )
    )
    plain = train(mo.tiger(0.01))
    for path in (("Embed_0", "embedding"), ("scale",), ("Dense_0", "kernel"), ("Dense_0", "bias")):
        mine, other = rows, plain
        for name in path:
            mine, other = mine[name], other[name]
        assert np.array_equal(mine, other) == (path[0] != "Dense_0"), path


def test_numbers_may_differ_from_leaf_to_leaf():
    tree = {"Embed_0": 0.9, "Dense_0": moving(0.5), "scale": 0.0}
    rows = train(mo.tiger(0.01, tree))
    for name, beta in (("Embed_0", 0.9), ("Dense_0", moving(0.5))):
        leaf = next(iter(START[name]))
        expected = oracles_signs.tiger(GRADIENTS[name][leaf], START[name][leaf], 0.01, beta, 0.0, KINDS[name][leaf])
        assert_close(rows[name][leaf], expected[1:])


def test_which_leaves_have_rows_is_said_by_patterns():
    tx = mo.tiger(0.01, rows=("*kernel",))
    rows = train(tx)
    kernel = oracles_signs.tiger(
        GRADIENTS["Dense_0"]["kernel"], START["Dense_0"]["kernel"], 0.01, 0.965, 0.0, "embeddings"
    )
    table = oracles_signs.tiger(
        GRADIENTS["Embed_0"]["embedding"], START["Embed_0"]["embedding"], 0.01, 0.965, 0.0, "kernel"
    )
    assert_close(rows["Dense_0"]["kernel"], kernel[1:])
    assert_close(rows["Embed_0"]["embedding"], table[1:])


def test_a_matrix_that_starts_at_zero_gets_away():
    tx = mo.tiger(1.0, min_scale=0.25)
    params = jnp.zeros((2, 2))
    updates, _ = tx.update(jnp.ones((2, 2)), tx.init(params), params)
    assert np.array_equal(updates, np.full((2, 2), -0.25))
    updates, _ = mo.tiger(1.0, min_scale=0.0).update(jnp.ones((2, 2)), tx.init(params), params)
    assert np.all(updates == 0)


def test_bad_arguments():
    tx = mo.tiger(0.1)
    with pytest.raises(ValueError, match="tiger needs the params"):
        tx.update(jnp.ones(2), tx.init(jnp.ones(2)))
    with pytest.raises(TypeError, match="rows must name leaves by a glob"):
        mo.tiger(0.1, rows=3)
    with pytest.raises(ValueError, match="min_scale must be finite and at least 0"):
        mo.tiger(0.1, min_scale=-1.0)
