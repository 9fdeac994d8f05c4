"""Arguments that are integers and choices: what is taken, and what is said of what is not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import momentum_optax as mo
from momentum_optax._arguments import choice, integer

PARAMS = {"w": jnp.ones((2, 3, 2))}
GRADIENTS = {"w": jnp.arange(12.0).reshape(2, 3, 2)}


def outcome(tx):
    """What some updates make of the params."""
    state, params = tx.init(PARAMS), PARAMS
    for _ in range(3):
        updates, state = tx.update(GRADIENTS, state, params)
        params = mo.apply_updates(params, updates)
    return params["w"]


def rows_reset(axis):
    tx = mo.heavy_ball(0.1)
    _, state = tx.update(GRADIENTS, tx.init(PARAMS))
    return mo.reset_rows(state, {"w": (axis, np.array([True, False]))})[0].velocity["w"]


TAKE_INTEGERS = {
    "k": lambda n: outcome(mo.wrappers.accumulate_into(mo.heavy_ball(0.1), n)),
    "axis": lambda n: outcome(mo.wrappers.lazy(mo.heavy_ball(0.1), axis=n)),
    "window": lambda n: outcome(mo.heavy_ball(0.1, mo.rules.yellowfin(window=n))),
    r"the axis of rows\['w'\]": rows_reset,
}
TAKE_NUMBERS = {
    "sync_period": lambda n: outcome(mo.lookahead(mo.heavy_ball(0.1), n)),
    "period": lambda n: outcome(mo.wrappers.restart_every(mo.heavy_ball(0.1), n)),
    "min_steps": lambda n: outcome(mo.wrappers.restart_when(mo.heavy_ball(0.1), "gradient", min_steps=n)),
}


@pytest.mark.parametrize("name", TAKE_INTEGERS | TAKE_NUMBERS)
def test_integers_are_taken_whoever_they_are_of(name):
    of = (TAKE_INTEGERS | TAKE_NUMBERS)[name]
    for other in (np.int64(2), np.uint8(2), np.asarray(2), jnp.asarray(2)):
        np.testing.assert_array_equal(of(other), of(2))


@pytest.mark.parametrize("name", TAKE_INTEGERS | TAKE_NUMBERS)
@pytest.mark.parametrize("bad", [True, np.True_, "2", None])
def test_what_is_no_integer_is_refused(name, bad):
    if name == "min_steps" and bad is None:
        return
    with pytest.raises(TypeError, match=name):
        (TAKE_INTEGERS | TAKE_NUMBERS)[name](bad)


@pytest.mark.parametrize("name", TAKE_INTEGERS)
def test_what_is_not_known_before_anything_runs_is_refused(name):
    with pytest.raises(TypeError, match=f"{name} must be an integer.*, known before anything runs, not traced; got"):
        jax.jit(TAKE_INTEGERS[name])(2)
    with pytest.raises(TypeError, match=f"{name} must be an integer.* got 2.5 of type float"):
        TAKE_INTEGERS[name](2.5)


def test_integers_have_a_least():
    assert integer("n", -3) == -3
    assert type(integer("n", np.int8(1), at_least=1)) is int
    with pytest.raises(ValueError, match="n must be an integer of at least 1; got 0"):
        integer("n", 0, at_least=1)


def test_a_choice_is_one_of_those_named():
    choice("mode", "a", ("a", "b"))
    for bad in ("c", None, np.zeros(2)):
        with pytest.raises(ValueError, match="mode must be one of 'a', 'b'; got "):
            choice("mode", bad, ("a", "b"))


def test_no_leaf_at_all_is_no_choice():
    with pytest.raises(ValueError, match="where is empty and names no leaf"):
        mo.wrappers.lazy(mo.heavy_ball(0.1), [])
