"""`lookahead` against its authors' code, Optax's own, and what it promises about the slow weights."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import oracles_outer
import pytest
from helpers import START, STEPS, assert_close, curved, descend, moving, noise

import momentum_optax as mo
from momentum_optax import testing

NUMBERS = {"learning_rate": 0.04, "beta": 0.8, "sync_period": 4, "slow_step": 0.6}
SCHEDULES = {
    "learning_rate": moving(0.04),
    "beta": moving(0.8),
    "sync_period": lambda count: 2 + count // 8,
    "slow_step": moving(0.6),
}


def around_heavy_ball(learning_rate, beta, sync_period, slow_step, **options):
    inner = mo.heavy_ball(learning_rate, beta, lr_in_velocity=False)
    return mo.lookahead(inner, sync_period, slow_step, **options)


@pytest.mark.parametrize("velocity", ["keep", "reset", "pull back"])
@pytest.mark.parametrize(
    ("hyperparameters", "traced"),
    [(NUMBERS, False), (NUMBERS, True), (SCHEDULES, False)],
    ids=["numbers", "traced", "moving"],
)
def test_params_and_slow_weights_are_those_of_the_paper(velocity, hyperparameters, traced):
    expected, slow = oracles_outer.lookahead(curved, START, STEPS, **hyperparameters, velocity=velocity)
    run = descend(lambda **h: around_heavy_ball(**h, velocity=velocity), hyperparameters, traced=traced)
    assert_close(run.params, expected)
    assert_close(run.answers, slow)


def test_the_three_velocities_differ():
    ends = [
        oracles_outer.lookahead(curved, START, STEPS, **NUMBERS, velocity=v)[0][-1]
        for v in ("keep", "reset", "pull back")
    ]
    assert min(np.max(np.abs(a - b)) for a, b in zip(ends, ends[1:] + ends[:1], strict=True)) > 1e-3


def trajectory(tx, params, gradients):
    """Params and slow weights after each update, in float32."""

    def body(carry, g):
        params, state = carry
        updates, state = tx.update(g, state, params)
        params = mo.apply_updates(params, updates)
        return (params, state), (params, mo.eval_params(state, params))

    return jax.jit(lambda p, g: jax.lax.scan(body, (p, tx.init(p)), g)[1])(params, gradients)


@pytest.mark.parametrize(("velocity", "reset"), [("keep", False), ("reset", True)])
def test_it_is_optax_lookahead_of_ordinary_params(velocity, reset):
    inner, params, gradients = (
        optax.sgd(0.1, 0.9),
        jnp.asarray(START, jnp.float32),
        jnp.asarray(noise(20, 5), jnp.float32),
    )
    peer = optax.lookahead(inner, 3, 0.4, reset_state=reset)

    def body(carry, g):
        pair, state = carry
        updates, state = peer.update(g, state, pair)
        pair = optax.apply_updates(pair, updates)
        return (pair, state), pair

    pair = optax.LookaheadParams.init_synced(params)
    expected = jax.jit(lambda: jax.lax.scan(body, (pair, peer.init(pair)), gradients)[1])()
    fast, slow = trajectory(mo.lookahead(inner, 3, 0.4, velocity=velocity), params, gradients)
    np.testing.assert_allclose(fast, expected.fast, rtol=2e-6, atol=2e-6)
    np.testing.assert_allclose(slow, expected.slow, rtol=2e-6, atol=2e-6)


def test_a_whole_step_is_the_inner_optimizer():
    params, gradients = jnp.asarray(START, jnp.float32), jnp.asarray(noise(12, 5), jnp.float32)
    fast, _ = trajectory(mo.lookahead(mo.nesterov(0.1), 3, 1.0, velocity="pull back"), params, gradients)
    alone, _ = trajectory(mo.nesterov(0.1), params, gradients)
    np.testing.assert_allclose(fast, alone, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize(
    ("params_dtype", "state_dtype"), [("float32", None), ("bfloat16", None), ("bfloat16", "float32")]
)
def test_fast_and_slow_weights_meet_and_only_then(params_dtype, state_dtype):
    params, gradients = jnp.asarray(START, params_dtype), jnp.asarray(noise(12, 5), params_dtype)
    tx = mo.lookahead(mo.heavy_ball(0.1), 4, 0.3, state_dtype=state_dtype)
    assert tx.init(params).slow.dtype == (state_dtype or params_dtype)
    fast, slow = trajectory(tx, params, gradients)
    apart = np.any(np.asarray(fast != slow), -1)
    unit = float(jnp.finfo(params_dtype).eps)
    tolerance = {"rtol": unit, "atol": unit / 8} if state_dtype else {"rtol": 0, "atol": 0}
    np.testing.assert_allclose(*(np.asarray(x[3::4], np.float64) for x in (fast, slow)), **tolerance)
    assert np.all(apart[np.arange(12) % 4 != 3])


def test_slow_weights_that_are_more_precise_than_the_params_see_small_steps():
    """A third of a step of 1e-3 from 1 is not to be seen in bfloat16; in float32 it is, and is not rounded before."""
    tx, params = mo.lookahead(mo.heavy_ball(1.0, 0.0), 1, 0.3, state_dtype="float32"), jnp.ones(3, jnp.bfloat16)
    step = jnp.full(3, 1e-3, jnp.bfloat16)
    _, state = tx.update(step, tx.init(params), params)
    np.testing.assert_allclose(state.slow, 1 - 0.3 * step.astype(jnp.float32), rtol=1.2e-7)


def test_pulled_back_averages_stay_debiased():
    tx = mo.lookahead(mo.ema_momentum(1.0, 0.9, debias=True), 3, 0.25, velocity="pull back")
    state, params = tx.init(jnp.zeros(2)), jnp.zeros(2)
    for count in range(10):
        before = params
        updates, state = tx.update(jnp.array([1.0, -2.0]), state, params)
        params = mo.apply_updates(params, updates)
        if count % 3 != 2:
            np.testing.assert_allclose(params - before, [-1.0, 2.0], rtol=1e-5)


FORGET = {
    "all": (lambda inner: inner, mo.reset, lambda state: state),
    "some": (lambda inner: inner, lambda state: mo.reset(state, ["a", "b"]), lambda state: state),
    "a group": (
        lambda inner: optax.partition({"x": inner}, {"a": "x", "b": "x"}),
        lambda state: mo.reset(state, group="x"),
        lambda state: state.inner_states["x"].inner_state,
    ),
}


@pytest.mark.parametrize("how", FORGET)
def test_what_is_forgotten_is_not_brought_back(how):
    around, forget, inside = FORGET[how]
    params = {"a": jnp.ones(2), "b": jnp.ones(2)}
    tx = mo.lookahead(around(mo.ema_momentum(0.1, debias=True)), 3, 0.5, velocity="pull back")
    state = tx.init(params)
    for _ in range(4):
        _, state = tx.update(params, state, params)
    state = forget(state)
    for _ in range(2):  # to the next meeting, without another gradient
        _, state = tx.update(jax.tree.map(jnp.zeros_like, params), state, params)
    assert int(state.since) == 0
    jax.tree.map(lambda v: np.testing.assert_array_equal(v, 0), inside(state.inner_state)[0].velocity)


def test_restarts_and_operations_reach_what_velocities_are_pulled_back_to():
    params = {"a": jnp.ones(2), "b": jnp.ones(2)}
    tx = mo.wrappers.restart_every(mo.lookahead(mo.heavy_ball(0.1), 2, 0.5, velocity="pull back"), 3)
    state, seen = tx.init(params), []
    for _ in range(3):
        _, state = tx.update(params, state, params)
        seen.append(float(state.inner_state.slow_velocities.inner_state[0].velocity["a"][0]))
    assert seen[1] > 0 == seen[2]

    tx = mo.lookahead(mo.heavy_ball(0.1), 2, 0.5, velocity="pull back")
    state = tx.init(params)
    for _ in range(2):
        _, state = tx.update(params, state, params)
    for operate, factor in (
        (lambda s: mo.rescale(s, 0.5, "a"), [0.5, 0.5]),
        (lambda s: mo.reset_rows(s, {"a": jnp.array([True, False])}), [0, 1]),
    ):
        after = operate(state)
        for velocity, old in (
            (after.slow_velocities.inner_state[0].velocity, state.slow_velocities.inner_state[0].velocity),
            (after.inner_state[0].velocity, state.inner_state[0].velocity),
        ):
            np.testing.assert_allclose(velocity["a"], np.multiply(factor, old["a"]))
            np.testing.assert_array_equal(velocity["b"], old["b"])
    # They are not counted: there is one velocity to be moved to another method.
    moved = mo.transplant(state, mo.heavy_ball(0.1).init(params))
    np.testing.assert_array_equal(moved[0].velocity["a"], state.inner_state[0].velocity["a"])
    back = mo.transplant(moved, tx.init(params))
    np.testing.assert_array_equal(back.inner_state[0].velocity["a"], state.inner_state[0].velocity["a"])


def test_a_leaf_without_gradient_waits_for_the_next_meeting():
    tx = mo.lookahead(mo.heavy_ball(1.0, 0.0), 2, 0.5)
    params = {"a": jnp.zeros(()), "b": jnp.zeros(())}
    state = tx.init(params)
    g = {"a": jnp.ones(()), "b": jnp.ones(())}
    seen = []
    for gradients in (g, {**g, "b": None}, g, g):
        updates, state = tx.update(gradients, state, params)
        params = mo.apply_updates(params, updates)
        seen.append((float(params["a"]), float(params["b"]), float(state.slow["b"])))
    assert seen == [(-1, -1, 0), (-1, -1, 0), (-2, -2, 0), (-2, -1.5, -1.5)]


def test_masked_leaves_answer_for_themselves():
    params = {"a": jnp.ones(2), "b": jnp.ones(2)}
    tx = optax.masked(mo.lookahead(mo.nesterov(0.1), 2), {"a": True, "b": False})
    state = tx.init(params)
    _, state = tx.update(params, state, params)
    answer = mo.eval_params(state, {"a": jnp.zeros(2), "b": params["b"]})
    assert answer["b"] is params["b"]
    np.testing.assert_array_equal(answer["a"], 1.0)


def test_extra_arguments_go_inside():
    def update(updates, state, params=None, *, scale):
        return jax.tree.map(lambda g: -scale * g, updates), state

    tx = mo.lookahead(optax.GradientTransformationExtraArgs(lambda params: (), update), 2)
    updates, _ = tx.update(jnp.ones(()), tx.init(jnp.zeros(())), jnp.zeros(()), scale=3.0)
    assert float(updates) == -3.0


@pytest.mark.parametrize("velocity", ["reset", "pull back"])
@pytest.mark.parametrize(
    "law",
    [
        "types_are_a_fixed_point",
        "init_needs_only_shapes",
        "vmap_equals_single_runs",
        "param_leaves_can_be_mapped",
        "meta_gradients_are_finite",
        "state_is_sharded_as_the_params_are",
        "donation_never_aliases",
    ],
)
def test_laws_hold_for_the_other_velocities(velocity, law):
    def build(beta, slow_step):
        inner = mo.ema_momentum(0.1, beta, debias=True)
        return mo.lookahead(inner, 2, slow_step, velocity=velocity, state_dtype="float32")

    testing.LAWS[law].holds(testing.Case("lookahead", build, {"beta": 0.9, "slow_step": 0.5}))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"velocity": "pullback"}, ValueError, "velocity must be one of 'keep', 'reset', 'pull back'; got 'pullback'"),
        ({"sync_period": 0}, ValueError, "sync_period must be finite and at least 1"),
        ({"sync_period": {"a": 2}}, TypeError, "sync_period must be one number"),
        ({"slow_step": 1.5}, ValueError, r"slow_step must be in \[0, 1\]"),
        ({"tx": "sgd"}, TypeError, "tx must be a gradient transformation"),
    ],
)
def test_bad_arguments_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        mo.lookahead(**{"tx": mo.heavy_ball(0.1), **arguments})


def test_params_are_needed():
    tx = mo.lookahead(mo.heavy_ball(0.1))
    with pytest.raises(ValueError, match="lookahead needs the params"):
        tx.update(jnp.ones(()), tx.init(jnp.ones(())))
