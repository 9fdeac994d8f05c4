"""MARS against its paper, with AdamW and Lion behind the correction, and what its limits are."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import oracles_averaging
import pytest
from helpers import START, STEPS, assert_close, moving, noise, split
from test_storm import descend, noisy

import momentum_optax as mo

NUMBERS = {"learning_rate": 0.05, "b1": 0.9, "b2": 0.95, "eps": 1e-6, "gamma": 0.1}


@pytest.mark.parametrize("approximate", [False, True])
@pytest.mark.parametrize("kind", ["numbers", "moving"])
def test_it_is_the_algorithm_of_the_paper(approximate, kind):
    numbers = NUMBERS if kind == "numbers" else {name: moving(value) for name, value in NUMBERS.items()}
    options = {"approximate": approximate, "weight_decay": 0.03}
    run = descend(mo.mars(**numbers, **options), approximate=approximate)
    assert_close(run, oracles_averaging.mars(noisy, START, STEPS, **numbers, **options), 1e-11)


@pytest.mark.parametrize("approximate", [False, True])
def test_the_correction_stands_before_any_method(approximate):
    """Algorithm 4, MARS-Lion."""
    lion = optax.chain(
        mo.gradient_correction(0.9, 0.1, approximate=approximate),
        mo.ema(0.9, debias=False),
        mo.sign(),
        mo.add_decayed_weights(0.03),
        mo.scale_by_learning_rate(0.01),
    )
    expected = oracles_averaging.mars(
        noisy, START, STEPS, 0.01, 0.9, 0.9, 0.0, 0.1, approximate=approximate, kind="lion", weight_decay=0.03
    )
    assert_close(descend(lion, approximate=approximate), expected)


def test_it_is_the_code_of_the_authors_but_for_its_first_correction():
    """Three steps of their `update_fn`, on one leaf, with the last gradient that it keeps; theirs is 0 at first."""
    gradients = noise(3, 4, seed=5)
    x, m, v, last = np.ones(4), 0.0, 0.0, gradients[0]
    tx = mo.mars(3e-3, approximate=True, weight_decay=0.1)
    with jax.enable_x64(True):
        params = jnp.ones(4)
        state = tx.init(params)
        for step, g in enumerate(gradients, 1):
            c = g + (g - last) * (0.025 * (0.95 / (1.0 - 0.95)))
            if np.linalg.norm(c) > 1.0:
                c = c / np.linalg.norm(c)
            m, v = 0.95 * m + c * (1 - 0.95), 0.99 * v + c * c * (1 - 0.99)
            denom = (np.sqrt(v) / np.sqrt(1 - 0.99**step) + 1e-8) * (1 - 0.95**step)
            x, last = x - 3e-3 * (x * 0.1 + m / denom), g
            updates, state = tx.update(jnp.asarray(g), state, params)
            params = mo.apply_updates(params, updates)
        np.testing.assert_allclose(params, x, rtol=1e-13)


def test_with_gamma_zero_it_is_adamw_and_asks_for_nothing():
    gradients = jnp.asarray(noise(10, 5), jnp.float32)
    ours, theirs = (
        mo.mars(0.1, gamma=0.0, max_norm=None, weight_decay=0.01),
        optax.adamw(0.1, 0.95, 0.99, weight_decay=0.01),
    )
    params = split(jnp.asarray(START, jnp.float32))
    state, peer = ours.init(params), theirs.init(params)
    for g in gradients:
        updates, state = ours.update(split(g), state, params)
        expected, peer = theirs.update(split(g), peer, params)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7), updates, expected)


def test_the_exact_one_fed_the_last_gradients_is_the_approximate_one():
    gradients = jnp.asarray(noise(8, 5), jnp.float32)
    exact, approximate = mo.mars(0.1, gamma=0.5), mo.mars(0.1, gamma=0.5, approximate=True)
    params = jnp.asarray(START, jnp.float32)
    state, other = exact.init(params), approximate.init(params)
    last = gradients[0]
    for g in gradients:
        updates, state = exact.update(g, state, params, previous_gradient=last)
        expected, other = approximate.update(g, other, params)
        np.testing.assert_allclose(updates, expected, rtol=1e-6)
        last = g


def test_the_approximate_one_corrects_a_leaf_that_comes_later_against_0():
    """The first update is the state's: later a gradient that was never there was 0."""
    g, late = {"a": jnp.full(2, 0.1), "b": jnp.full(2, 0.1)}, {"a": jnp.full(2, 0.1), "b": None}
    tx = mo.gradient_correction(0.5, 0.5, approximate=True)
    updates, state = tx.update(late, tx.init(g), g)
    np.testing.assert_allclose(updates["a"], 0.1, rtol=1e-6)
    updates, _ = tx.update(g, state, g)
    np.testing.assert_allclose(updates["a"], 0.1, rtol=1e-6)
    np.testing.assert_allclose(updates["b"], 0.1 + 0.5 * 0.1, rtol=1e-6)


def test_the_limit_is_of_each_leaf_and_can_be_lifted():
    g = {"long": jnp.array([3.0, 4.0]), "short": jnp.array([0.3, 0.4])}
    tx = mo.gradient_correction(0.9, max_norm=2.0)
    updates, _ = tx.update(g, tx.init(g), g, previous_gradient=g)
    np.testing.assert_allclose(updates["long"], [1.2, 1.6], rtol=1e-6)
    np.testing.assert_array_equal(updates["short"], g["short"])
    tx = mo.gradient_correction(0.9, max_norm=None)
    updates, _ = tx.update(g, tx.init(g), g, previous_gradient=g)
    np.testing.assert_array_equal(updates["long"], g["long"])


def test_the_change_is_free_of_what_a_batch_adds():
    """`two_point_difference` of a quadratic is the curvature times the step, whatever the slope of the batch."""
    curvature = jnp.array([1.0, 10.0])
    gradients = mo.two_point_gradients(lambda x, slope: jnp.sum(curvature * x**2) / 2 + slope @ x)
    tx, x = mo.two_point_difference(), jnp.zeros(2)
    state = tx.init(x)
    for i, slope in enumerate(jnp.asarray(noise(4, 2), jnp.float32)):
        _, g, previous = gradients(x, mo.previous_params(state, x), slope)
        change, state = tx.update(g, state, x, previous_gradient=previous)
        np.testing.assert_allclose(change, curvature * 0.5 * (i > 0), rtol=1e-4, atol=1e-6)
        x = x + 0.5


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"max_norm": 0.0}, ValueError, "max_norm must be finite and above 0"),
        ({"max_norm": lambda count: 1.0 + count}, TypeError, "max_norm must be a number"),
        ({"beta": 1.0}, ValueError, r"beta must be in \[0, 1\)"),
        ({"gamma": np.inf}, ValueError, "gamma must be finite"),
    ],
)
def test_bad_arguments_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        mo.gradient_correction(**arguments)
