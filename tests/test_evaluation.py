"""Where to evaluate and where to take the gradient, found in any optimizer's state."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import momentum_optax as mo

PARAMS = {"w": jnp.arange(3.0), "b": jnp.ones(())}


def after_one_update(tx, params=PARAMS):
    gradients = jax.tree.map(jnp.ones_like, params)
    updates, state = tx.update(gradients, tx.init(params), params)
    return mo.apply_updates(params, updates), state


@pytest.mark.parametrize("tx", [mo.heavy_ball(0.1), mo.qhm(0.1), mo.nesterov_lookahead(0.1), optax.adam(0.1)])
def test_methods_that_train_where_they_answer_return_the_params_themselves(tx):
    params, state = after_one_update(tx)
    assert mo.eval_params(state, params) is params


@pytest.mark.parametrize(
    "wrap",
    [
        lambda tx: optax.chain(optax.clip(10.0), tx),
        lambda tx: optax.chain(optax.identity(), optax.chain(tx)),
        lambda tx: optax.apply_if_finite(tx, 3),
        lambda tx: optax.MultiSteps(tx, 1),
        lambda tx: optax.masked(tx, {"w": True, "b": True}),
    ],
)
def test_the_method_is_found_inside_wrappers(wrap):
    params, state = after_one_update(wrap(mo.nesterov(0.5, 0.5)))
    # One step of size .5 with gradient 1: theta moves by -.5, the params half as far again.
    theta = mo.eval_params(state, params)
    for name, start in PARAMS.items():
        np.testing.assert_allclose(theta[name], start - 0.5)
        np.testing.assert_allclose(params[name], start - 0.75)


def test_a_masked_leaf_stays_as_it_is():
    params, state = after_one_update(optax.masked(mo.nesterov(0.5, 0.5), {"w": True, "b": False}))
    theta = mo.eval_params(state, params)
    assert theta["b"] is params["b"]
    np.testing.assert_allclose(theta["w"], PARAMS["w"] - 0.5)


def test_the_lookahead_is_found_inside_a_chain():
    tx = optax.chain(optax.clip(10.0), mo.nesterov_lookahead(0.5, 0.5))
    params, state = after_one_update(tx)
    ahead = mo.lookahead_params(state, params)
    np.testing.assert_allclose(params["w"], PARAMS["w"] - 0.5)
    np.testing.assert_allclose(ahead["w"], PARAMS["w"] - 0.75)


def test_the_first_lookahead_is_the_start():
    state = mo.nesterov_lookahead(0.5, 0.5).init(PARAMS)
    np.testing.assert_array_equal(mo.lookahead_params(state, PARAMS)["w"], PARAMS["w"])


@pytest.mark.parametrize("look", [mo.eval_params, mo.lookahead_params])
def test_low_precision_params_keep_their_dtype(look):
    build = mo.nesterov if look is mo.eval_params else mo.nesterov_lookahead
    params, state = after_one_update(build(0.5, 0.5), jnp.ones(2, jnp.bfloat16))
    assert look(state, params).dtype == jnp.bfloat16


def test_both_are_part_of_a_compiled_program():
    params, state = after_one_update(mo.nesterov(0.5, 0.5))
    np.testing.assert_allclose(jax.jit(mo.eval_params)(state, params)["w"], PARAMS["w"] - 0.5)


def test_a_state_without_a_lookahead_says_so():
    state = mo.heavy_ball(0.1).init(PARAMS)
    with pytest.raises(ValueError, match="must hold one method that looks ahead; found 0"):
        mo.lookahead_params(state, PARAMS)


def test_several_methods_in_one_state_are_ambiguous():
    twice = optax.chain(mo.nesterov(0.1), mo.nesterov(0.1)).init(PARAMS)
    with pytest.raises(ValueError, match=r"several methods that train elsewhere \(NesterovState, NesterovState\)"):
        mo.eval_params(twice, PARAMS)
    twice = optax.chain(mo.nesterov_lookahead(0.1), mo.nesterov_lookahead(0.1)).init(PARAMS)
    with pytest.raises(ValueError, match="must hold one method that looks ahead; found 2"):
        mo.lookahead_params(twice, PARAMS)


def test_structures_that_differ_from_the_state_are_refused():
    _, state = after_one_update(mo.nesterov(0.5, 0.5))
    with pytest.raises(ValueError, match="do not have the structure of the state"):
        mo.eval_params(state, {"w": PARAMS["w"]})
