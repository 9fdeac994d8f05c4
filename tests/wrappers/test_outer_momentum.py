"""`outer_momentum` against DiLoCo and SlowMo, on one replica and on eight devices."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import oracles_outer
import pytest
from helpers import MATRIX, START, STEPS, assert_close, curved, descend, moving, noise
from jax.extend.core import jaxprs_in_params
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import momentum_optax as mo
from momentum_optax import testing

NUMBERS = {
    "learning_rate": 0.04,
    "beta": 0.6,
    "sync_period": 4,
    "outer_learning_rate": 0.7,
    "outer_beta": 0.5,
}
TARGETS = noise(8, 5, seed=3)


def around_heavy_ball(learning_rate, beta, sync_period, **outer):
    return mo.outer_momentum(mo.heavy_ball(learning_rate, beta), sync_period, **outer)


# One replica.


@pytest.mark.parametrize("traced", [False, True])
def test_it_is_diloco(traced):
    expected, shared = oracles_outer.outer_momentum([curved], START, STEPS, **NUMBERS)
    run = descend(around_heavy_ball, NUMBERS, traced=traced)
    assert_close(run.params, expected[:, 0])
    assert_close(run.answers, shared)


def test_outer_schedules_count_meetings():
    moved = {**NUMBERS, "outer_learning_rate": moving(0.7), "outer_beta": moving(0.5)}
    expected, _ = oracles_outer.outer_momentum([curved], START, STEPS, **moved)
    assert_close(descend(around_heavy_ball, moved).params, expected[:, 0])


@pytest.mark.parametrize("learning_rate", [0.04, moving(0.04)], ids=["constant", "schedule"])
def test_without_nesterov_it_is_slowmo(learning_rate):
    expected = oracles_outer.slowmo(curved, START, STEPS, learning_rate, 5, 0.9, 0.6)

    def build(**units):
        inner = mo.heavy_ball(learning_rate, 0.0)
        return mo.outer_momentum(inner, 5, outer_learning_rate=0.9, outer_beta=0.6, nesterov=False, **units)

    assert_close(descend(build, {"inner_learning_rate": learning_rate}).params, expected)
    same_without = np.allclose(descend(build, {}).params, expected, rtol=1e-10, atol=0)
    assert same_without == (not callable(learning_rate))


def test_velocities_inside_are_kept_or_reset():
    def at_the_second_meeting(velocity):
        tx = mo.outer_momentum(mo.heavy_ball(0.1, 0.9), 2, velocity=velocity)
        params = jnp.zeros(2)
        state = tx.init(params)
        for _ in range(2):
            _, state = tx.update(jnp.ones(2), state, params)
        return state.inner_state[0].velocity

    np.testing.assert_allclose(at_the_second_meeting("keep"), 1.9, rtol=1e-6)
    np.testing.assert_array_equal(at_the_second_meeting("reset"), 0.0)


def test_without_outer_momentum_no_outer_velocity_is_kept():
    state = mo.outer_momentum(mo.heavy_ball(0.1, 0.0), 2, outer_beta=0).init({"w": jnp.ones(3)})
    assert [leaf.shape for leaf in jax.tree.leaves(state) if leaf.shape] == [(3,)]


# Eight replicas, each on a quadratic around a target of its own.


def gradient(x, target):
    return (x - target) @ MATRIX + 0.1 * x**3


REPLICAS = [functools.partial(gradient, target=target) for target in TARGETS]


def mesh():
    return jax.make_mesh((8,), ("replica",), axis_types=(AxisType.Auto,))


def descend_apart(tx, steps=STEPS, jit=jax.jit):
    """Params of all replicas [steps + 1, 8, 5], and the slow weights that they share, of eight devices in float64."""

    def run(start, target):
        def body(carry, _):
            params, state = carry
            updates, state = tx.update(gradient(params, target[0]), state, params)
            params = mo.apply_updates(params, updates)
            return (params, state), (params, state.slow)

        params = jax.lax.pcast(start, "replica", to="varying")
        state = tx.init(start)
        state = state._replace(inner_state=jax.lax.pcast(state.inner_state, "replica", to="varying"))
        (_, state), (rows, slow) = jax.lax.scan(body, (params, state), None, steps)
        return jnp.concatenate([start[None], rows])[:, None], slow, state.outer.velocity

    with jax.enable_x64(True):
        # The slow weights and the outer velocity leave as what is the same everywhere: the types prove it.
        apart = jax.shard_map(run, mesh=mesh(), in_specs=(P(), P("replica")), out_specs=(P(None, "replica"), P(), P()))
        return jax.tree.map(np.asarray, jax.jit(apart)(jnp.asarray(START), jnp.asarray(TARGETS)))


def test_replicas_on_devices_are_those_of_diloco():
    expected, shared = oracles_outer.outer_momentum(REPLICAS, START, STEPS, **NUMBERS)
    params, slow, _ = descend_apart(around_heavy_ball(**NUMBERS, axis_name="replica"))
    assert_close(params, expected)
    assert_close(slow, shared[1:])
    apart = np.ptp(params, axis=1).max(-1)
    assert np.all(apart[::4] < 1e-15)
    assert np.all(apart[np.arange(STEPS + 1) % 4 != 0] > 1e-3)


def test_meeting_at_every_step_is_descent_along_the_mean_gradient():
    tx = mo.outer_momentum(mo.heavy_ball(0.04, 0.0), 1, outer_learning_rate=1.0, outer_beta=0.0, axis_name="replica")
    x, expected = START, [START]
    for _ in range(STEPS):
        x = x - 0.04 * np.mean([g(x) for g in REPLICAS], axis=0)
        expected.append(x)
    assert_close(descend_apart(tx)[0][:, 0], expected)


def test_replicas_may_be_a_batch():
    tx = around_heavy_ball(**NUMBERS, axis_name="replica")

    def run(target):
        def body(carry, _):
            params, state = carry
            updates, state = tx.update(gradient(params, target), state, params)
            params = mo.apply_updates(params, updates)
            return (params, state), params

        start = jnp.asarray(START)
        return jax.lax.scan(body, (start, tx.init(start)), None, STEPS)[1]

    with jax.enable_x64(True):
        params = np.asarray(jax.jit(jax.vmap(run, axis_name="replica"))(jnp.asarray(TARGETS)))
    expected, _ = oracles_outer.outer_momentum(REPLICAS, START, STEPS, **NUMBERS)
    assert_close(params.swapaxes(0, 1), expected[1:])


def collectives(jaxpr):
    """The names of the primitives that communicate, outside branches and inside."""
    outside, inside = set(), set()
    for equation in jaxpr.eqns:
        name = equation.primitive.name
        if "psum" in name or "all_" in name:
            outside.add(name)
        for inner in jaxprs_in_params(equation.params):
            deeper = collectives(inner)
            inside |= deeper[0] | deeper[1] if name == "cond" else deeper[1]
            outside |= set() if name == "cond" else deeper[0]
    return outside, inside


def test_replicas_communicate_at_meetings_only():
    tx = around_heavy_ball(**NUMBERS, axis_name="replica")

    def step(g):
        params = jnp.zeros(2)
        return tx.update(g[0], tx.init(params), params)[0][None]

    apart = jax.shard_map(step, mesh=mesh(), in_specs=P("replica"), out_specs=P("replica"))
    outside, inside = collectives(jax.make_jaxpr(apart)(jnp.ones((8, 2))).jaxpr)
    assert not outside
    assert inside


def test_models_that_are_sharded_themselves_meet():
    """Four replicas of a model on two devices each: every shard meets the same shard of the others."""
    both = jax.make_mesh((4, 2), ("replica", "model"), axis_types=(AxisType.Auto,) * 2)
    tx = mo.outer_momentum(mo.heavy_ball(1.0, 0.0), 2, outer_learning_rate=1.0, outer_beta=0.0, axis_name="replica")

    def run(params, gradients):
        state = tx.init(params)
        for _ in range(2):
            updates, state = tx.update(gradients[0], state, params)
            params = mo.apply_updates(params, updates)
        return params[None], state.slow

    spec = P("replica", "model")
    gradients = jnp.asarray(noise(4, 6), jnp.float32)
    for check in (True, False):
        specs = {"in_specs": (P("model"), spec), "out_specs": (spec, P("model"))}
        apart = jax.shard_map(run, mesh=both, **specs, check_vma=check)
        params, slow = jax.jit(apart)(jnp.zeros(6), jax.device_put(gradients, NamedSharding(both, spec)))
        np.testing.assert_allclose(params, np.tile(-2 * gradients.mean(0), (4, 1)), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(slow, params[0])


# What is promised.


@pytest.mark.parametrize(
    "law",
    [
        "injected_hyperparameters_change_nothing",
        "types_are_a_fixed_point",
        "vmap_equals_single_runs",
        "meta_gradients_are_finite",
        "bad_arguments_are_refused",
    ],
)
def test_laws_hold_when_every_update_is_a_meeting(law):
    def build(outer_learning_rate, outer_beta, inner_learning_rate):
        return mo.outer_momentum(
            mo.heavy_ball(0.1, 0.9),
            1,
            outer_learning_rate=outer_learning_rate,
            outer_beta=outer_beta,
            inner_learning_rate=inner_learning_rate,
            velocity="reset",
            state_dtype="float32",
        )

    numbers = {"outer_learning_rate": 0.7, "outer_beta": 0.9, "inner_learning_rate": 0.1}
    testing.LAWS[law].holds(testing.Case("outer_momentum", build, numbers, ("outer_beta",)))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"sync_period": 0.5}, ValueError, "sync_period must be finite and at least 1"),
        ({"outer_beta": 1.0}, ValueError, r"outer_beta must be in \[0, 1\)"),
        ({"outer_learning_rate": -1.0}, ValueError, "outer_learning_rate must be finite and at least 0"),
        ({"inner_learning_rate": 0.0}, ValueError, "inner_learning_rate must be finite and above 0"),
        ({"velocity": "pull back"}, ValueError, "velocity must be one of 'keep', 'reset'"),
        ({"outer_beta": {"nowhere": 0.5}}, ValueError, "outer_beta is a tree that does not fit"),
    ],
)
def test_bad_arguments_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        mo.outer_momentum(**{"tx": mo.heavy_ball(0.1), "sync_period": 2, **arguments}).init({"w": jnp.ones(2)})


def test_params_are_needed():
    tx = mo.outer_momentum(mo.heavy_ball(0.1), 2)
    with pytest.raises(ValueError, match="outer_momentum needs the params"):
        tx.update(jnp.ones(()), tx.init(jnp.ones(())))
