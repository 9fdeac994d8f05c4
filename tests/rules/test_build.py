"""Rules in makers that know nothing of them: what they take, and what is said when they do not."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import momentum_optax as mo

PARAMS = {"body": {"w": jnp.ones((2, 3)), "b": jnp.zeros(3)}, "head": jnp.ones(3)}


def test_there_must_be_something_to_build():
    with pytest.raises(TypeError, match=r"rules\.build needs a rule.* among the arguments of adam"):
        mo.rules.build(optax.adam, 1e-3)


DIFFERENT = {
    "layerwise": mo.layerwise({"head": 0.5}, default=0.9),
    "by_depth": mo.by_depth(lambda depth: 0.5 + 0.4 * depth, order=["body", "head"]),
    "a rule": mo.rules.alignment(each_leaf=True),
    "a rule for a group": mo.layerwise({"head": mo.rules.alignment()}, default=0.9),
    "a tree": {"body": 0.5, "head": mo.rules.alignment()},
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_a_maker_without_trees_refuses_what_differs_between_leaves_at_init(name):
    tx = mo.rules.build(optax.adam, 1e-3, b1=DIFFERENT[name])
    with pytest.raises(TypeError, match=r"adam takes no tree for b1; got b1=.* Accepted: what is one number for all"):
        tx.init(PARAMS)
    with pytest.raises(TypeError, match="adam takes no tree for b1"):
        jax.eval_shape(tx.init, PARAMS)


@pytest.mark.parametrize("name", DIFFERENT)
def test_a_maker_with_trees_takes_it(name):
    def make(learning_rate, beta):
        return optax.chain(mo.trace(beta), optax.scale_by_learning_rate(learning_rate))

    tx = mo.rules.build(make, 0.1, DIFFERENT[name])
    state = tx.init(PARAMS)
    updates, state = tx.update(PARAMS, state, PARAMS)
    np.testing.assert_allclose(updates["head"], -0.1)


def test_what_is_one_number_after_all_is_taken():
    for same in (mo.layerwise({"*": 0.5}), mo.layerwise({"*": mo.rules.alignment(0.5, 0.5)})):
        tx = mo.rules.build(optax.sgd, 0.1, same)
        state = tx.init(PARAMS)
        for _ in range(2):
            updates, state = tx.update(PARAMS, state, PARAMS)
        np.testing.assert_allclose(updates["head"], -0.15, rtol=1e-6)


def test_what_fails_for_other_reasons_is_left_to_fail_for_them():
    """What a transformation asks for in `update` is not known at `init`."""

    def make(beta):
        def update(updates, state, params=None, *, temperature):
            return jax.tree.map(lambda g: g * temperature, updates), state

        inner = optax.GradientTransformationExtraArgs(lambda params: (), update)
        return optax.chain(mo.trace(beta), inner)

    tx = mo.rules.build(make, DIFFERENT["layerwise"])
    updates, _ = tx.update(PARAMS, tx.init(PARAMS), PARAMS, temperature=2.0)
    np.testing.assert_allclose(updates["head"], 2.0)
