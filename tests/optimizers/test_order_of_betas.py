"""The slow average of AdEMAMix is nowhere known to be faster than the fast one."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import moving, noise

import momentum_optax as mo

CROSSED = [
    ({"b1": {"w": 0.99, "b": 0.9}, "b3": {"w": 0.9, "b": 0.999}}, r"b1\['w'\]=0\.99 and b3\['w'\]=0\.9"),
    ({"b1": 0.99, "b3": {"w": 0.9, "b": 0.999}}, r"b1=0\.99 and b3\['w'\]=0\.9"),
    ({"b1": {"w": 0.5, "b": {"deep": 0.99}}, "b3": 0.9}, r"b1\['b'\]\['deep'\]=0\.99 and b3=0\.9"),
    ({"b1": 0.99, "b3": jnp.float32(0.9)}, r"b1=0\.99 and b3=Array\(0\.9.*"),
    ({"b1": np.float64(0.99), "b3": np.float32(0.9)}, r"b1=np.float64\(0\.99\) and b3=.*0\.9"),
    ({"b1": mo.layerwise({"w": 0.99}, default=0.5), "b3": 0.9}, r"b1\['w'\]=0\.99 and b3=0\.9"),
    (
        {"b1": 0.99, "b3": mo.by_depth(lambda depth: 0.9 + 0.09 * depth, order=["b", "w"])},
        r"b1=0\.99 and b3\['b'\]=0\.9",
    ),
]
IN_ORDER = [
    {"b1": jnp.float32(0.9), "b3": 0.9},
    {"b1": 0.9, "b3": jnp.float32(0.9)},  # smaller by its rounding
    {"b1": {"w": 0.99, "b": 0.9}, "b3": {"w": 0.999, "b": {"deep": 0.95}}},
    {"b1": {"w": 0.99, "b": 0.9}, "b3": {"w": None, "b": 0.999}},  # where there is no slow average
    {"b1": 0.99, "b3": {"w": 0.9, "b": 0.999}, "alpha": {"w": 0.0, "b": 5.0}},
    {"b1": 0.99, "b3": moving(0.9)},
    {"b1": mo.layerwise({"b": 0.99, "w": 0.5}), "b3": mo.by_depth(lambda depth: 0.9 + 0.09 * depth, order=["w", "b"])},
    {"b1": mo.rules.alignment(low=0.95, high=0.99), "b3": 0.9},
]


@pytest.mark.parametrize("build", [lambda **n: mo.ademamix(1e-3, **n), mo.scale_by_ademamix])
@pytest.mark.parametrize(("betas", "message"), CROSSED)
def test_nor_is_it_in_trees_and_arrays(betas, message, build):
    with pytest.raises(ValueError, match="b1 must be at most b3; got " + message):
        build(**betas).init({"w": jnp.ones(2), "b": {"deep": jnp.ones(2)}})


@pytest.mark.parametrize("betas", IN_ORDER)
def test_betas_in_order_or_not_yet_known_are_accepted(betas):
    params = {"w": jnp.ones(2), "b": {"deep": jnp.ones(2)}}
    tx = mo.ademamix(1e-3, **betas)
    state = tx.init(params)
    tx.init({})
    for _ in range(2):
        _, state = tx.update(params, state, params)


@pytest.mark.parametrize(("name", "value"), [("learning_rate", 0.01), ("b1", 0.5), ("b2", 0.9), ("b3", 0.95)])
def test_injected_hyperparameters_change_nothing_until_they_are_changed(name, value):
    numbers = {"learning_rate": 1e-3, "b1": 0.9, "b2": 0.999, "b3": 0.9999}
    plain, injected = mo.ademamix(**numbers), optax.inject_hyperparams(mo.ademamix)(**numbers)
    gradients = jnp.asarray(noise(4, 3), jnp.float32)

    def last(tx, **changes):
        state = tx.init(gradients[0])
        for key, value in changes.items():
            state.hyperparams[key] = jnp.asarray(value, jnp.float32)
        for g in gradients:
            updates, state = tx.update(g, state, g)
        return updates

    np.testing.assert_allclose(last(injected), last(plain), rtol=1e-4)
    assert np.max(np.abs(last(injected, **{name: value}) / last(plain) - 1)) > 1e-3


def test_injected_betas_in_the_wrong_order_are_refused():
    tx, x = optax.inject_hyperparams(mo.ademamix)(1e-3), jnp.ones(2)
    state = tx.init(x)
    state.hyperparams["b3"] = jnp.float32(0.5)
    with pytest.raises(ValueError, match="b1 must be at most b3"):
        tx.update(x, state, x)
    jax.jit(tx.update)(x, state, x)  # where nobody can look


def test_traced_betas_may_go_anywhere():
    updates = jax.jit(lambda b3: mo.scale_by_ademamix(0.99, b3=b3).init(jnp.ones(2)))(0.9)
    assert jax.tree.leaves(updates)


def test_what_a_rule_decides_later_may_go_anywhere():
    """Also where its numbers are arrays that one could look at, outside of `jit`."""
    params = jnp.ones(2)
    tx = mo.ademamix(1e-3, mo.rules.alignment(low=0.5, high=0.99, decay=0.0), b3=0.9)
    state = tx.init(params)
    for _ in range(4):
        _, state = tx.update(params, state, params)
    assert state.values["b1"] > 0.9
