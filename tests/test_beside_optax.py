"""The table "momentum_optax beside Optax" in README.md: a test for each row, in its order.

What is said about Optax was seen with version 0.2.8 and is asserted for that version only; what is said about this
library is always asserted.
"""

import importlib.metadata
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import momentum_optax as mo
from momentum_optax.blocks import in_blocks
from momentum_optax.catalog import CATALOG

SEEN = importlib.metadata.version("optax") == "0.2.8"
VALLEY = np.array([1.0, 20.0])  # curvatures of a quadratic


def feed(tx, gradients, params=None):
    """All updates and the last state; each gradient at the same params."""
    state, updates = tx.init(gradients[0] if params is None else params), []
    for gradient in gradients:
        update, state = tx.update(gradient, state, params)
        updates.append(update)
    return updates, state


def descend(tx, steps=40):
    """The params `[steps + 1, 2]` of a descent into the valley."""
    params = [jnp.ones(2)]
    state = tx.init(params[0])
    for _ in range(steps):
        updates, state = tx.update(jnp.asarray(VALLEY, jnp.float32) * params[-1], state, params[-1])
        params.append(params[-1] + updates)
    return np.stack(params)


def jump(count):
    return jnp.where(count < 5, 0.5, 0.99)


def ramp(count):
    return 0.9 * jnp.minimum(count, 20) / 20


# Where this library does more.


def test_bfloat16_params_with_a_traced_beta():
    def final(make):
        def run(beta):
            tx, params = make(0.1, beta), jnp.ones(3, jnp.bfloat16)

            def step(carry, _):
                params, state = carry
                updates, state = tx.update(params, state, params)
                return (optax.apply_updates(params, updates), state), None

            return jax.lax.scan(step, (params, tx.init(params)), length=3)[0][0]

        return jax.vmap(run)(jnp.array([0.5, 0.9]))

    assert final(mo.heavy_ball).dtype == jnp.bfloat16
    if SEEN:
        with pytest.raises(TypeError, match="carry input and carry output must have equal types"):
            final(optax.sgd)


def test_missing_gradient_leaves_its_velocity_alone():
    params = {"a": jnp.ones(2), "b": jnp.ones(2)}
    stream = [params, {"a": jnp.ones(2), "b": None}]
    _, state = feed(mo.trace(0.9), stream, params)
    np.testing.assert_array_equal(state.velocity["b"], [1.0, 1.0])
    if SEEN:
        _, state = feed(optax.trace(0.9), stream, params)
        assert state.trace["b"] is None  # the velocity is gone, and the structure of the state has changed
        with pytest.raises(ValueError, match="pytree structure error"):
            feed(optax.adam(0.1), stream, params)


def test_average_of_a_constant_under_a_jump_of_beta():
    ones = [jnp.ones(())] * 8
    ours, _ = feed(mo.ema(jump), ones)
    np.testing.assert_allclose(ours, 1.0, rtol=1e-6)
    if SEEN:
        theirs, _ = feed(optax.inject_hyperparams(optax.ema)(decay=jump), ones)
        np.testing.assert_allclose(theirs[:5], 1.0, rtol=1e-5)
        np.testing.assert_allclose(theirs[5], 16.56, rtol=1e-3)


def test_schedule_as_momentum():
    schedule = optax.linear_schedule(0.5, 0.9, 10)
    assert np.all(np.isfinite(descend(mo.heavy_ball(0.01, schedule))))
    if SEEN:
        with pytest.raises(TypeError):
            descend(optax.sgd(0.01, momentum=schedule))
        # The way in Optax: the same numbers.
        injected = optax.inject_hyperparams(optax.sgd)(learning_rate=0.01, momentum=schedule)
        np.testing.assert_allclose(descend(injected), descend(mo.heavy_ball(0.01, schedule)), atol=1e-6)


def test_nesterov_under_a_schedule_of_beta():
    theta, y, exact = np.ones(2), np.ones(2), [np.ones(2)]
    for count in range(40):
        last, theta = theta, y - 0.02 * VALLEY * y
        y = theta + ramp(count + 1) * (theta - last)
        exact.append(y)
    np.testing.assert_allclose(descend(mo.nesterov(0.02, ramp)), exact, atol=1e-5)
    if SEEN:
        injected = optax.inject_hyperparams(optax.sgd, static_args="nesterov")(0.02, ramp, nesterov=True)
        assert np.max(np.abs(descend(injected) - exact)) > 5e-3


def test_one_beta_for_each_layer():
    params = {"a": jnp.ones(()), "b": jnp.ones(())}
    updates, _ = feed(mo.trace({"a": 0.5, "b": 0.75}), [params, params])
    assert updates[-1] == {"a": 1.5, "b": 1.75}
    masked = optax.chain(
        optax.masked(optax.trace(0.5), {"a": True, "b": False}),
        optax.masked(optax.trace(0.75), {"a": False, "b": True}),
    )
    assert feed(masked, [params, params])[0][-1] == updates[-1]
    if SEEN:
        with pytest.raises(TypeError):
            feed(optax.trace({"a": 0.5, "b": 0.75}), [params, params])


def test_unused_velocity_is_not_kept():
    def largest(tx):
        return max((leaf.size for leaf in jax.tree.leaves(tx.init(jnp.ones(1000)))), default=0)

    assert largest(mo.heavy_ball(0.1, beta=0.0)) <= 1
    assert largest(mo.ema(0.0)) <= 1
    assert largest(optax.sgd(0.1, momentum=None)) == 0
    if SEEN:
        assert largest(optax.sgd(0.1, momentum=0.0)) == 1000
        assert largest(optax.ema(0.0)) == 1000


def test_impossible_hyperparameters():
    for make in (
        lambda: mo.heavy_ball(-0.1),
        lambda: mo.heavy_ball(0.1, beta=1.5),
        lambda: mo.heavy_ball(0.1, beta=lambda count: 0.01 * count),
    ):
        with pytest.raises(ValueError, match=r"learning_rate|beta"):
            make()
    if SEEN:
        optax.sgd(-0.1, momentum=1.5).init(jnp.ones(2))


def test_beta_injected_into_bfloat16_params():
    params = jnp.ones(2, jnp.bfloat16)
    if SEEN:  # `inject_hyperparams` rounds to the dtype of the params, and .999 becomes 1
        theirs = optax.inject_hyperparams(optax.sgd)(learning_rate=0.1, momentum=0.999)
        assert theirs.init(params).hyperparams["momentum"] == 1.0
        ours = optax.inject_hyperparams(mo.heavy_ball)(learning_rate=0.1, beta=0.999)
        with pytest.raises(ValueError, match="beta must be in"):
            ours.init(params)
    wide = optax.inject_hyperparams(mo.heavy_ball, hyperparam_dtype=jnp.float32)(learning_rate=0.1, beta=0.999)
    updates, _ = wide.update(params, wide.init(params))
    assert updates.dtype == jnp.bfloat16


def test_state_from_a_compiled_init_is_sharded():
    mesh = jax.make_mesh((len(jax.devices()),), ("x",), axis_types=(AxisType.Auto,))
    params = jax.device_put(jnp.ones((16, 4)), NamedSharding(mesh, PartitionSpec("x")))
    assert jax.jit(mo.trace(0.9).init)(params).velocity.sharding.is_equivalent_to(params.sharding, 2)
    if SEEN:
        assert len(jax.jit(optax.trace(0.9).init)(params).trace.sharding.device_set) == 1


def test_dampening_of_torch():
    updates, _ = feed(mo.compat.torch_sgd(1.0, momentum=0.5, dampening=0.5), [jnp.ones(())] * 3)
    np.testing.assert_array_equal(updates, [-1.0, -1.0, -1.0])
    if SEEN:
        assert "dampening" not in inspect.signature(optax.sgd).parameters


# Where the two are equal.


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (mo.heavy_ball(0.02, 0.9), optax.sgd(0.02, 0.9)),
        (mo.nesterov(0.02, 0.9), optax.sgd(0.02, 0.9, nesterov=True)),
        (mo.ema_momentum(0.02, 0.9, debias=True), optax.chain(optax.ema(0.9), optax.scale(-0.02))),
        (
            optax.chain(mo.divide(mo.ema(0.9), by=mo.root_mean_square(0.999)), mo.scale_by_learning_rate(0.02)),
            optax.adam(0.02),
        ),
    ],
    ids=["heavy_ball", "nesterov", "ema", "adam"],
)
def test_constant_coefficients_in_float32(ours, theirs):
    np.testing.assert_allclose(descend(ours), descend(theirs), atol=1e-5)


def test_parts_mix_in_one_chain():
    tx = optax.chain(optax.clip_by_global_norm(1.0), mo.trace(0.9), optax.scale_by_learning_rate(0.02))
    assert np.all(np.isfinite(descend(optax.MultiSteps(tx, 2).gradient_transformation())))


# Where Optax does more, or costs less.


def test_each_has_optimizers_of_its_own():
    def takes_a_rate(function):
        return (
            inspect.isfunction(function) and next(iter(inspect.signature(function).parameters), "") == "learning_rate"
        )

    modules = vars(optax) | vars(optax.contrib)
    theirs = {name for name, value in modules.items() if takes_a_rate(value) and not name.startswith(("_", "scale_"))}
    ours = {row.name for row in CATALOG if row.kind == "optimizer"}
    assert {"adagrad", "lbfgs", "prodigy"} <= theirs | set(modules)
    assert len(theirs - ours) > 25 < len(ours - theirs)


def test_counts_in_the_state():
    def scalars(tx):
        return sum(leaf.size for leaf in jax.tree.leaves(tx.init(jnp.ones(1000)))) - 1000

    assert scalars(mo.heavy_ball(0.1)) == 2
    assert scalars(optax.sgd(0.1, 0.9)) == 0


def test_large_leaves_in_blocks(small_blocks):
    params = [jax.ShapeDtypeStruct((16, 12), jnp.float32)] * 16
    for tx in (optax.adam(0.1), mo.adam(0.1)):

        def update(params, state, gradients, tx=tx):
            updates, state = tx.update(gradients, state, params)
            return mo.apply_updates(params, updates), state

        traced = str(jax.make_jaxpr(in_blocks(update, 2))(params, jax.eval_shape(tx.init, params), params))
        assert traced.count("while[") == 16


def test_schedules_are_tried_at_construction():
    calls = []

    def schedule(count):
        calls.append(count)
        return 0.9 + 0 * count

    mo.trace(schedule)
    assert 0 < len(calls) < 5  # traced, for all counts at a time
    calls.clear()
    optax.inject_hyperparams(optax.trace)(decay=schedule)
    assert len(calls) == 0
