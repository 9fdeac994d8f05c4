"""Where to evaluate and where to take the gradient, found in any optimizer's state."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import momentum_optax as mo

PARAMS = {"w": jnp.arange(3.0), "b": jnp.ones(())}


def after_one_update(tx, params=PARAMS):
    gradients = jax.tree.map(jnp.ones_like, params)
    updates, state = tx.update(gradients, tx.init(params), params)
    return mo.apply_updates(params, updates), state


@pytest.mark.parametrize("tx", [mo.heavy_ball(0.1), mo.qhm(0.1), mo.nesterov_lookahead(0.1), optax.adam(0.1)])
def test_methods_that_train_where_they_answer_return_the_params_themselves_if_asked(tx):
    params, state = after_one_update(tx)
    assert mo.eval_params(state, params, missing="params") is params
    with pytest.raises(ValueError, match=r"eval_params: no method in the state .* got a state of \w+State"):
        mo.eval_params(state, params)


@pytest.mark.parametrize("tx", [mo.heavy_ball(0.1), mo.nesterov(0.1), optax.adam(0.1)])
def test_methods_that_take_their_gradients_at_the_params_look_nowhere_else(tx):
    params, state = after_one_update(tx)
    assert mo.lookahead_params(state, params) is params


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


PAIRS = [(mo.nesterov, mo.eval_params), (mo.nesterov_lookahead, mo.lookahead_params)]


@pytest.mark.parametrize(("build", "look"), PAIRS)
def test_methods_on_different_params_are_each_asked_about_their_own(build, look):
    """And each by its own beta, in the order of neither the params nor the labels."""
    labels = {"w": "slow", "b": "fast"}
    params, state = after_one_update(optax.partition({"fast": build(0.5, 0.25), "slow": build(0.5, 0.5)}, labels))
    found = look(state, params)
    for name, beta in (("w", 0.5), ("b", 0.25)):
        # One step of size .5 with gradient 1, and beta of it ahead or back.
        theta = PARAMS[name] - 0.5
        ahead = theta - 0.5 * beta
        np.testing.assert_allclose(params[name], ahead if build is mo.nesterov else theta)
        np.testing.assert_allclose(found[name], theta if build is mo.nesterov else ahead)


@pytest.mark.parametrize(("build", "look"), PAIRS)
@pytest.mark.parametrize(
    "twice",
    [
        lambda tx: optax.chain(tx, tx),
        lambda tx: optax.chain(tx, optax.masked(tx, {"w": False, "b": True})),
    ],
    ids=["everywhere", "in one leaf"],
)
def test_two_methods_on_the_same_params_are_ambiguous(build, look, twice):
    state = twice(build(0.1)).init(PARAMS)
    with pytest.raises(ValueError, match=f"{look.__name__}: two methods in the state move the same params"):
        look(state, PARAMS)


def test_the_answer_for_a_model_is_found_in_its_nnx_optimizer():
    model = nnx.Linear(3, 2, rngs=nnx.Rngs(0))
    start = jax.tree.map(jnp.copy, nnx.state(model, nnx.Param))
    optimizer = nnx.Optimizer(model, mo.nesterov(0.5, 0.5), wrt=nnx.Param)
    optimizer.update(model, jax.tree.map(jnp.ones_like, start))
    trained = nnx.state(model, nnx.Param)
    theta = mo.eval_params(optimizer.opt_state, trained)
    assert jax.tree.structure(theta) == jax.tree.structure(trained)
    for name in ("kernel", "bias"):
        np.testing.assert_allclose(theta[name][...], start[name][...] - 0.5, rtol=1e-6)
        np.testing.assert_allclose(trained[name][...], start[name][...] - 0.75, rtol=1e-6)
    nnx.update(model, theta)
    np.testing.assert_allclose(model.bias[...], start["bias"][...] - 0.5, rtol=1e-6)


def test_structures_that_differ_from_the_state_are_refused():
    _, state = after_one_update(mo.nesterov(0.5, 0.5))
    with pytest.raises(ValueError, match="do not have the structure of the state"):
        mo.eval_params(state, {"w": PARAMS["w"]})


@pytest.mark.parametrize(("build", "look"), [*PAIRS, (mo.storm, mo.previous_params)])
def test_arguments_in_the_wrong_places_are_an_error_and_not_an_answer(build, look):
    tx = optax.chain(optax.clip(1.0), build(0.1))
    message = f"{look.__name__} takes the state of an optimizer and then the params; got "
    with pytest.raises(TypeError, match=message + "dict and tuple"):
        look(PARAMS, tx.init(PARAMS))
    with pytest.raises(TypeError, match=message + "GradientTransformationExtraArgs and dict"):
        look(tx, PARAMS)


def test_params_may_be_tuples_and_have_methods_of_any_name():
    class Model(NamedTuple):
        w: jax.Array

    class Layered(nnx.Module):
        def __init__(self):
            self.w = nnx.Param(jnp.ones(3))

        def eval_params(self, params):
            raise AssertionError("nobody's state")

    for params in ((jnp.ones(3), jnp.ones(2)), Model(jnp.ones(3))):
        new, state = after_one_update(mo.nesterov(0.5, 0.5), params)
        found = mo.eval_params(state, new)
        np.testing.assert_allclose(jax.tree.leaves(found)[0], 0.5)
        assert type(found) is type(params)
    model = nnx.state(Layered(), nnx.Param)
    new, state = after_one_update(mo.nesterov(0.5, 0.5), model)
    np.testing.assert_allclose(jax.tree.leaves(mo.eval_params(state, new))[0], 0.5)
