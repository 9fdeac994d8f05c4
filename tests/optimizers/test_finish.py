"""From a direction to a step: the learning rate and weight decay, the same for every optimizer."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import START, STEPS, assert_close, curved, descend, feed, moving, noise, per_leaf, split

import momentum_optax as mo

GRADIENTS, PARAMS = noise(12, 5), noise(12, 5, seed=1)

OUTSIDE = {  # the learning rate comes after the direction
    "heavy_ball": (mo.heavy_ball, mo.scale_by_heavy_ball, (0.9,)),
    "ema_momentum": (mo.ema_momentum, mo.scale_by_ema_momentum, (0.9,)),
    "qhm": (mo.qhm, mo.scale_by_qhm, (0.9, 0.7)),
    "aggmo": (mo.aggmo, mo.scale_by_aggmo, ((0.5, 0.9),)),
    "pid": (mo.pid, mo.scale_by_pid, (0.9, 2.0, 3.0)),
    "pnm": (mo.pnm, mo.scale_by_pnm, (0.9, 0.5)),
}
INSIDE = {  # the learning rate goes into the memory
    "nesterov": (mo.nesterov, mo.scale_by_nesterov, (0.9,)),
    "nesterov_lookahead": (mo.nesterov_lookahead, mo.scale_by_nesterov_lookahead, (0.9,)),
    "acc_sgd": (mo.acc_sgd, mo.scale_by_acc_sgd, (100.0, 5.0, 0.6)),
}
EVERY = OUTSIDE | INSIDE


@pytest.mark.parametrize("name", EVERY)
def test_the_direction_and_the_learning_rate_make_the_optimizer(name):
    optimizer, direction, numbers = EVERY[name]
    parts = [direction(*numbers), mo.scale_by_learning_rate(moving(0.1))]
    chained = optax.chain(*(parts if name in OUTSIDE else parts[::-1]))
    whole, by_hand = feed(optimizer(moving(0.1), *numbers), GRADIENTS), feed(chained, GRADIENTS)
    np.testing.assert_array_equal(whole[0], by_hand[0])
    jax.tree.map(np.testing.assert_array_equal, whole[1], by_hand[1])


@pytest.mark.parametrize("name", [*EVERY, "heavy_ball, lr_in_velocity", "compat.keras_sgd"])
def test_weight_decay_is_decoupled_scaled_by_the_learning_rate_and_not_remembered(name):
    build, _, numbers = EVERY.get(name, (mo.heavy_ball, None, (0.9,)))
    rest = {"lr_in_velocity": True} if name.endswith("lr_in_velocity") else {}
    build = mo.compat.keras_sgd if name == "compat.keras_sgd" else build
    decayed = build(moving(0.1), *numbers, weight_decay={"w": 0.01, "b": moving(0.3)}, **rest)
    with_decay, _ = feed(decayed, split(GRADIENTS), split(PARAMS))
    without, _ = feed(build(moving(0.1), *numbers, **rest), split(GRADIENTS))
    rates = moving(0.1)(np.arange(12))[:, None]
    decay = np.array([per_leaf(0.01, moving(0.3)(count)) for count in range(12)])
    expected = split(-rates * decay * PARAMS)
    assert_close(with_decay["w"] - without["w"], expected["w"], 1e-11)
    assert_close(with_decay["b"]["deep"] - without["b"]["deep"], expected["b"]["deep"], 1e-11)


def test_decay_outside_the_velocity_written_out():
    run = descend(mo.heavy_ball, {"learning_rate": moving(0.02), "beta": 0.9, "weight_decay": 0.1})
    x, velocity, xs = START, np.zeros(5), [START]
    for count in range(STEPS):
        velocity = 0.9 * velocity + curved(x)
        x = x - moving(0.02)(count) * velocity - moving(0.02)(count) * 0.1 * x
        xs.append(x)
    assert_close(run.params, xs)


def test_decay_beside_a_velocity_of_steps_written_out():
    def build(**numbers):
        return mo.heavy_ball(0.02, 0.9, lr_in_velocity=True, **numbers)

    run = descend(build, {"weight_decay": 0.1})
    x, velocity, xs = START, np.zeros(5), [START]
    for _ in range(STEPS):
        velocity = 0.9 * velocity + 0.02 * curved(x)
        x = x - velocity - 0.02 * 0.1 * x
        xs.append(x)
    assert_close(run.params, xs)


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize(
    "mask", [{"w": True, "b": {"deep": False}}, {"w": True, "b": False}, lambda p: {"w": True, "b": False}]
)
def test_only_leaves_in_the_mask_decay(mask, inside):
    def build(**decay):
        return mo.heavy_ball(0.1, 0.9, lr_in_velocity=inside, **decay)

    with_decay, _ = feed(build(weight_decay=0.3, mask=mask), split(GRADIENTS), split(PARAMS))
    without, _ = feed(build(), split(GRADIENTS))
    assert_close(with_decay["w"], without["w"] - 0.03 * PARAMS[:, :3])
    np.testing.assert_array_equal(with_decay["b"]["deep"], without["b"]["deep"])


def test_a_tree_of_decays_may_be_masked_and_need_not_be():
    decays = {"w": 0.3, "b": 0.5}
    masked = mo.heavy_ball(0.1, 0.0, weight_decay=decays, mask={"w": True, "b": False})
    updates, _ = feed(masked, split(GRADIENTS), split(PARAMS))
    assert_close(updates["w"], -0.1 * (GRADIENTS + 0.3 * PARAMS)[:, :3])
    assert_close(updates["b"]["deep"], -0.1 * GRADIENTS[:, 3:])


def test_decay_before_the_velocity_is_an_l2_penalty():
    tx = optax.chain(mo.add_decayed_weights(moving(0.3)), mo.trace(0.9))
    expected, _ = feed(mo.trace(0.9), GRADIENTS + moving(0.3)(np.arange(12))[:, None] * PARAMS)
    assert_close(feed(tx, GRADIENTS, PARAMS)[0], expected)


def test_decay_without_params_says_what_is_missing():
    tx = mo.heavy_ball(0.1, weight_decay=0.01)
    with pytest.raises(ValueError, match=r"weight_decay needs the params: call update\(updates, state, params\)"):
        tx.update(jnp.ones(2), tx.init(jnp.ones(2)))


def test_a_traced_learning_rate_keeps_the_dtype_of_the_updates():
    half = jnp.ones(2, jnp.bfloat16)

    def step(learning_rate):
        tx = mo.scale_by_learning_rate(learning_rate)
        return tx.update(half, tx.init(half))[0]

    assert jax.jit(step)(jnp.float32(0.5)).dtype == jnp.bfloat16


def test_each_leaf_has_its_own_learning_rate():
    updates, _ = feed(mo.scale_by_learning_rate({"w": moving(0.1), "b": 2}), split(GRADIENTS))
    assert_close(updates["w"], -moving(0.1)(np.arange(12))[:, None] * GRADIENTS[:, :3])
    assert_close(updates["b"]["deep"], -2 * GRADIENTS[:, 3:])


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: mo.heavy_ball(-0.1), "learning_rate must be finite and at least 0; got -0.1"),
        (lambda: mo.heavy_ball(float("nan")), "learning_rate must be finite and at least 0; got nan"),
        (lambda: mo.nesterov(0.1, 1.0), r"beta must be in \[0, 1\); got 1.0"),
        (lambda: mo.nesterov_lookahead(0.1, -0.5), r"beta must be in \[0, 1\); got -0.5"),
        (lambda: mo.qhm(0.1, nu=float("inf")), "nu must be finite; got inf"),
        (lambda: mo.pid(0.1, integral=float("nan")), "must be finite; got nan"),
        (lambda: mo.pnm(0.1, beta0=-1), "beta0 must be finite and at least 0; got -1"),
        (lambda: mo.ema_momentum(0.1, 2), r"beta must be in \[0, 1\); got 2"),
        (lambda: mo.heavy_ball(0.1, weight_decay=float("inf")), "weight_decay must be finite; got inf"),
        (lambda: mo.trace(0.9, dampening=1.1), r"dampening must be in \[0, 1\]; got 1.1"),
    ],
)
def test_a_number_out_of_range_is_refused_at_construction(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_apply_updates_adds_wide_and_keeps_the_dtype():
    params = {"half": jnp.ones((), jnp.bfloat16), "still": jnp.ones(2), "z": jnp.ones((), jnp.complex64)}
    updates = {"half": jnp.asarray(2.0**-8 + 2.0**-9, jnp.float32), "still": None, "z": jnp.asarray(1j)}
    moved = mo.apply_updates(params, updates)
    assert moved["half"].dtype == jnp.bfloat16
    assert float(moved["half"]) == 1 + 2.0**-7  # 1 + 2**-8 + 2**-9 rounded once, up; the update alone is wider
    assert moved["still"] is params["still"]
    assert complex(moved["z"]) == 1 + 1j


def test_apply_updates_refuses_another_structure():
    with pytest.raises(ValueError, match=r"pytree structure error|mismatch"):
        mo.apply_updates({"a": jnp.ones(2)}, {"b": jnp.ones(2)})
