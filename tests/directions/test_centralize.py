"""Gradient centralization, in the layouts of Flax and torch."""

import jax.numpy as jnp
import numpy as np
import optax
import oracles_signs
import pytest
from helpers import assert_close, feed, noise

import momentum_optax as mo

TREE = {"conv": noise(6, 3, 3, 2, 4), "dense": {"kernel": noise(6, 5, 4, seed=1), "bias": noise(6, 4, seed=2)}}


def test_outputs_are_the_last_axis_as_in_flax():
    found, _ = feed(mo.centralize(), TREE)
    for t in range(6):
        conv = np.moveaxis(TREE["conv"][t], -1, 0)
        assert_close(found["conv"][t], np.moveaxis(oracles_signs.centralized(conv), 0, -1))
        assert_close(found["dense"]["kernel"][t], oracles_signs.centralized(TREE["dense"]["kernel"][t].T).T)
    assert np.array_equal(found["dense"]["bias"], TREE["dense"]["bias"])


def test_outputs_may_be_the_first_axis_as_in_torch_and_optax():
    found, _ = feed(mo.centralize(0), TREE)
    theirs, _ = feed(optax.centralize(), TREE)
    for t in range(6):
        assert_close(found["conv"][t], oracles_signs.centralized(TREE["conv"][t]))
        assert_close(found["conv"][t], theirs["conv"][t])
        assert_close(found["dense"]["kernel"][t], theirs["dense"]["kernel"][t])


def test_what_is_added_to_all_inputs_of_an_output_does_nothing():
    kernel = jnp.asarray(TREE["dense"]["kernel"][0], jnp.float32)
    tx = mo.centralize()
    one, _ = tx.update(kernel, tx.init(kernel))
    other, _ = tx.update(kernel + jnp.arange(4.0)[None], tx.init(kernel))
    np.testing.assert_allclose(one, other, atol=1e-6)
    np.testing.assert_allclose(one.sum(0), 0, atol=1e-6)


@pytest.mark.parametrize("mask", [{"conv": False, "dense": True}, lambda params: {"conv": False, "dense": True}])
def test_a_mask_says_which_leaves(mask):
    found, _ = feed(mo.centralize(mask=mask), TREE)
    assert np.array_equal(found["conv"], TREE["conv"])
    assert not np.allclose(found["dense"]["kernel"], TREE["dense"]["kernel"])


def test_bad_arguments():
    with pytest.raises(TypeError, match=r"output_axis must be an integer, such as -1 or 0; got 0.5"):
        mo.centralize(0.5)
    with pytest.raises(ValueError, match=r"output_axis must be an axis .* got 2, and params\['w'\] has shape \(2, 3\)"):
        mo.centralize(2).init({"w": jnp.ones((2, 3))})
    with pytest.raises(ValueError, match="mask is a tree that does not fit"):
        mo.centralize(mask={"x": True}).init({"w": jnp.ones((2, 3))})
    with pytest.raises(TypeError, match=r"mask.* must be True or False"):
        mo.centralize(mask={"w": 1.5}).init({"w": jnp.ones((2, 3))})
