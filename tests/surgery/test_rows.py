"""Rows whose velocity begins anew: those of the mask, and no others."""

import re

import jax
import numpy as np
import optax
import pytest

import momentum_optax as mo

PARAMS = {"dense": {"kernel": np.ones((4, 3), np.float32), "bias": np.ones(3, np.float32)}, "scale": np.float32(1.0)}
DEAD = np.array([True, False, True])
INPUTS = np.array([False, True, False, True])


def used(tx):
    rng = np.random.default_rng(0)
    g = jax.tree.map(lambda p: rng.normal(size=np.shape(p)).astype(np.float32), PARAMS)
    return tx.update(g, tx.init(PARAMS), PARAMS)[1]


ROWS = {
    "axis by axis": {"dense/kernel": (1, DEAD), "*bias": DEAD},
    "from the end": {"*/kernel": (-1, DEAD), re.compile("bias$"): (0, DEAD)},
    "a branch": {"dense": (-1, DEAD)},
}


@pytest.mark.parametrize("build", [lambda: mo.heavy_ball(0.1), lambda: optax.adam(0.1)])
@pytest.mark.parametrize("name", ROWS)
def test_rows_and_units(name, build):
    state = used(build())
    field = "velocity" if hasattr(state[0], "velocity") else "mu"
    before = jax.tree.map(np.asarray, getattr(state[0], field))
    after = mo.reset_rows(state, ROWS[name])
    assert jax.tree.structure(after) == jax.tree.structure(state)
    new = getattr(after[0], field)
    np.testing.assert_array_equal(new["dense"]["kernel"], before["dense"]["kernel"] * ~DEAD)
    np.testing.assert_array_equal(new["dense"]["bias"], before["dense"]["bias"] * ~DEAD)
    np.testing.assert_array_equal(new["scale"], before["scale"])


def test_inputs_are_the_other_axis():
    velocity = mo.reset_rows(used(mo.heavy_ball(0.1)), {"dense/kernel": INPUTS})[0].velocity["dense"]["kernel"]
    assert (velocity == 0).all(1).tolist() == INPUTS.tolist()


@pytest.mark.parametrize("second_moments", [False, True])
def test_second_moments_if_asked(second_moments):
    nu = mo.reset_rows(used(optax.adam(0.1)), {"dense/bias": DEAD}, second_moments=second_moments)[0].nu
    assert (nu["dense"]["bias"] == 0).tolist() == (DEAD & second_moments).tolist()


def test_masks_may_be_traced_and_batched():
    """Masks of several models at once, as from counting what never fired."""
    state = used(mo.heavy_ball(0.1))
    fired = np.array([[0, 3, 1], [2, 0, 0]])
    many = jax.jit(jax.vmap(lambda n: mo.reset_rows(state, {"dense/kernel": (1, n == 0)})))(fired)
    assert (many[0].velocity["dense"]["kernel"] == 0).all(1).tolist() == (fired == 0).tolist()


def test_in_a_group_of_a_partition():
    tx = optax.partition({"a": optax.adam(0.1), "b": mo.heavy_ball(0.1)}, {"dense": "b", "scale": "a"})
    state = mo.reset_rows(used(tx), {"*bias": DEAD}, group="b")
    velocity = state.inner_states["b"].inner_state[0].velocity
    assert (velocity["dense"]["bias"] == 0).tolist() == DEAD.tolist()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"tail": DEAD}, "rows has the pattern 'tail', which matches no leaf; the paths are 'dense/bias'"),
        ({"dense/kernel": DEAD}, r"mask of 3 along axis 0, and 'dense/kernel' has shape \(4, 3\)"),
        ({"dense/kernel": (2, DEAD)}, "along axis 2"),
        ({"scale": DEAD}, r"'scale' has shape \(\)"),
        ({"dense/bias": [True, False, True]}, r"rows\['dense/bias'\] must be an array of bools"),
        ({"dense/bias": np.ones(3)}, "must be an array of bools"),
        ({"dense/bias": (0.5, DEAD)}, r"the axis of rows\['dense/bias'\] must be an integer"),
        ({"dense/kernel": np.ones((4, 3), bool)}, "a mask of shape .n,., along one axis"),
        ([DEAD], "rows must map patterns to masks"),
        ({3: DEAD}, "rows must name leaves by a glob"),
    ],
)
def test_refused(rows, message):
    with pytest.raises((TypeError, ValueError), match=message):
        mo.reset_rows(used(mo.heavy_ball(0.1)), rows)


def test_a_state_without_velocity_is_refused():
    with pytest.raises(ValueError, match="no velocity"):
        mo.reset_rows(optax.sgd(0.1).init(PARAMS), {"*": DEAD})
