"""EMA-Nesterov against the algorithm of its paper, and where it is Nesterov's method or the inner one."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import oracles_relatives as oracles
import pytest
from helpers import START, STEPS, assert_close, curved, descend, feed, moving, noise, per_leaf

import momentum_optax as mo

NUMBERS = {"learning_rate": 0.02, "momentum": 0.5, "beta": 0.6, "gamma": 0.8}


def window(count):
    """Ahead only in the middle of the run, as the authors are."""
    return 0.6 * ((count >= 5) & (count < 20))


def around_heavy_ball(learning_rate, momentum, beta, gamma):
    return mo.ema_nesterov(mo.heavy_ball(learning_rate, momentum), beta, gamma)


@pytest.mark.parametrize(
    ("numbers", "traced"),
    [
        (NUMBERS, False),
        (NUMBERS, True),
        ({name: moving(value) for name, value in NUMBERS.items()}, False),
        (NUMBERS | {"beta": lambda count: window(count)}, False),
    ],
    ids=["numbers", "traced", "moving", "window"],
)
def test_points_and_answers_are_those_of_the_paper(numbers, traced):
    answers, points = oracles.ema_nesterov(curved, START, STEPS, **numbers)
    run = descend(around_heavy_ball, numbers, traced=traced)
    assert_close(run.params, points)
    assert_close(run.answers, answers)


def test_every_leaf_may_have_its_own_numbers():
    trees = {name: {"b": moving(value), "w": 0.8 * value} for name, value in NUMBERS.items()}
    vectors = {
        name: (lambda count, value=value: per_leaf(0.8 * value, moving(value)(count)))
        for name, value in NUMBERS.items()
    }
    answers, points = oracles.ema_nesterov(curved, START, STEPS, **vectors)
    run = descend(around_heavy_ball, trees)
    assert_close(run.params, points)
    assert_close(run.answers, answers)


def test_around_gradient_descent_without_an_average_it_is_nesterov():
    for learning_rate, beta in ((0.02, 0.9), (moving(0.02), moving(0.9))):
        ours = descend(lambda lr=learning_rate, b=beta: around_heavy_ball(lr, 0.0, b, 0.0), {})
        theirs = descend(lambda lr=learning_rate, b=beta: mo.nesterov(lr, b), {})
        assert_close(ours.params, theirs.params)
        assert_close(ours.answers, theirs.answers)


def test_without_a_lookahead_it_is_the_inner_optimizer_and_keeps_nothing():
    inner = mo.adam(0.1)
    tx = mo.ema_nesterov(inner, 0.0)
    stream = noise(10, 4)
    np.testing.assert_array_equal(feed(tx, stream)[0], feed(inner, stream)[0])
    sizes = [sum(leaf.shape == (4,) for leaf in jax.tree.leaves(t.init(jnp.ones(4)))) for t in (tx, inner)]
    assert sizes[0] == sizes[1]


def test_it_goes_around_any_optimizer_which_sees_the_points_ahead():
    """With weight decay, and an inner state that would not keep its dtype in low precision."""
    tx = mo.ema_nesterov(optax.adamw(0.1, weight_decay=0.5), 0.5, 0.9)
    for dtype in (jnp.float32, jnp.bfloat16):
        params = jnp.asarray(START, dtype)
        state = tx.init(params)
        for _ in range(3):
            updates, new = tx.update(params, state, params)
            assert updates.dtype == dtype
            assert jax.tree.map(jnp.result_type, new) == jax.tree.map(jnp.result_type, state)
            params, state = mo.apply_updates(params, updates), new
    step, _ = optax.adamw(0.1, weight_decay=0.5).update(jnp.zeros(2), optax.adamw(0.1).init(jnp.ones(2)), jnp.ones(2))
    alone = mo.ema_nesterov(optax.adamw(0.1, weight_decay=0.5), 0.5, 0.0)
    ours, _ = alone.update(jnp.zeros(2), alone.init(jnp.ones(2)), jnp.ones(2))
    np.testing.assert_allclose(ours, 1.5 * step, rtol=1e-6)


def test_nothing_is_rounded_between_the_inner_step_and_the_lookahead():
    tx = mo.ema_nesterov(mo.heavy_ball(0.3, 0.0), 0.7, 0.5, state_dtype=jnp.float32)
    g = jnp.asarray(noise(64), jnp.bfloat16)
    update, _ = tx.update(g, tx.init(g), g)
    wide = g.astype(jnp.float32)
    exact, _ = tx.update(wide, tx.init(wide), wide)
    np.testing.assert_array_equal(update, exact.astype(jnp.bfloat16))


def test_a_reset_forgets_the_way():
    tx = mo.ema_nesterov(mo.heavy_ball(0.1, 0.9), 0.5, 0.9)
    params = jnp.ones(3)
    _, state = tx.update(params, tx.init(params), params)
    state = mo.reset(state)
    np.testing.assert_array_equal(state.velocity, 0.0)
    np.testing.assert_array_equal(mo.eval_params(state, params), params)


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ((mo.heavy_ball(0.1), 1.0), ValueError, r"beta must be in \[0, 1\); got 1.0"),
        ((mo.heavy_ball(0.1), 0.5, -0.1), ValueError, r"gamma must be in \[0, 1\); got -0.1"),
        ((0.1,), TypeError, "tx must be a gradient transformation"),
        ((mo.heavy_ball(0.1), mo.layerwise({"w": 0.5})), TypeError, "beta"),
    ],
)
def test_bad_arguments_are_refused(arguments, kind, message):
    with pytest.raises(kind, match=message):
        mo.ema_nesterov(*arguments)
