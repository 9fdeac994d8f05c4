"""Where `track` may stand, and what it leaves as it is."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from compiling import AS_FOR_USERS
from helpers import noise
from tracked import NAMES, stream, watch

import momentum_optax as mo
from momentum_optax import diverging, metrics, oscillating, stalled, track
from momentum_optax._compiled import compiler_options
from momentum_optax.wrappers.restart_every import restart_every

# It changes nothing.

WATCHED = {
    "heavy_ball": mo.heavy_ball(0.1, 0.9),
    "nesterov": mo.nesterov(0.1, 0.9, weight_decay=0.01),
    "adam": optax.adam(0.1),
    "chain": optax.chain(optax.clip_by_global_norm(1.0), mo.ema(0.9), mo.scale_by_learning_rate(0.1)),
    "aggmo": mo.aggmo(0.1),
}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", WATCHED)
def test_updates_are_bit_identical(name, dtype):
    tx, gradients = WATCHED[name], jax.tree.map(lambda g: g.astype(dtype), stream(6))
    params = jax.tree.map(lambda g: g[0], gradients)

    # In one larger program a compiler may round a multiply-add once instead of twice, here and not there.
    def run(tx, inner):
        update, s, out = jax.jit(tx.update, compiler_options=AS_FOR_USERS), tx.init(params), []
        for i in range(6):
            u, s = update(jax.tree.map(lambda g, i=i: g[i], gradients), s, params)
            out.append(u)
        return out, inner(s)

    plain, watched = run(tx, lambda s: s), run(track(tx), lambda s: s.inner_state)
    assert jax.tree.structure(plain) == jax.tree.structure(watched)
    jax.tree.map(np.testing.assert_array_equal, plain, watched)


def test_a_missing_gradient_is_left_out():
    g = jax.tree.map(lambda x: x[0], stream(1))
    whole, part = track(mo.trace(0.9)), track(mo.trace(0.9))
    state, alone = whole.init(g), part.init({"a": g["a"]})
    plain = mo.trace(0.9).init(g)
    for _ in range(3):
        u, state = whole.update({"a": g["a"], "b": None}, state, g)
        expected, plain = mo.trace(0.9).update({"a": g["a"], "b": None}, plain, g)
        _, alone = part.update({"a": g["a"]}, alone, {"a": g["a"]})
        assert u["b"] is None
        np.testing.assert_array_equal(u["a"], expected["a"])
    jax.tree.map(np.testing.assert_array_equal, metrics(state), metrics(alone))
    _, after = whole.update({"a": None, "b": None}, state, g)
    jax.tree.map(np.testing.assert_array_equal, metrics(state), metrics(after))


def test_lanes_are_single_runs():
    g = stream(20)

    def run(learning_rate, scale):
        return watch_last(mo.heavy_ball(learning_rate, 0.9), jax.tree.map(lambda x: x * scale, g))

    def watch_last(tx, gradients):
        tx = track(tx, groups=["a"])
        body = lambda s, g: (tx.update(g, s, g)[1], None)  # noqa: E731
        return jax.lax.scan(body, tx.init(jax.tree.map(lambda x: x[0], g)), gradients)[0]

    rates, scales = jnp.asarray([0.1, 1.0, 1e-9]), jnp.asarray([1.0, 2.0, 3.0])
    lanes = metrics(jax.jit(jax.vmap(run))(rates, scales))
    verdicts = jax.jit(lambda m: (oscillating(m), stalled(m), diverging(m)))(lanes)
    for i in range(3):
        single = metrics(jax.jit(run)(rates[i], scales[i]))
        for key, value in single.items():
            np.testing.assert_allclose(lanes[key][i], value, rtol=1e-4, err_msg=key)
    assert [v.shape for v in verdicts] == [(3,)] * 3
    np.testing.assert_array_equal(verdicts[1], [False, False, True])


def test_no_old_velocity_is_kept():
    tree = [jax.ShapeDtypeStruct((300, 400), jnp.float32)] * 4
    tx = track(mo.heavy_ball(0.1, 0.9))

    def step(p, s, g):
        u, s = tx.update(g, s, p)
        return mo.apply_updates(p, u), s

    lowered = jax.jit(step, donate_argnums=(0, 1)).lower(tree, jax.eval_shape(tx.init, tree), tree)
    memory = lowered.compile(AS_FOR_USERS | compiler_options()).memory_analysis()
    assert memory.temp_size_in_bytes < 0.1 * sum(x.size * 4 for x in tree)


# Numbers at their limits.


def test_long_leaves_are_summed_without_loss():
    n = 20_000_001  # float32 cannot count so far
    tx = track(mo.trace(0.5))
    state = jax.jit(lambda g: tx.update(g, tx.init(g), g)[1])(jnp.ones(n))
    np.testing.assert_allclose(metrics(state)["gradient_norm"], np.sqrt(n), rtol=1e-6)


def test_an_average_stuck_in_bfloat16_has_an_infinite_horizon():
    g = jnp.asarray(1 + 0.3 * noise(3000, 50), jnp.bfloat16)
    assert watch(mo.ema(0.999), g, decay=0.9)["effective_horizon"][-1] > 1e4
    wide = watch(mo.ema(0.999, state_dtype="float32"), g, decay=0.9)
    np.testing.assert_allclose(wide["effective_horizon"][-1], 1000, rtol=0.02)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_non_finite_steps_are_seen_and_forgotten(bad):
    g = jnp.asarray(noise(40, 30), jnp.float32)
    tx = lambda: optax.apply_if_finite(mo.trace(0.9), 5)  # noqa: E731
    spoiled = watch(tx(), g.at[20, 3].set(bad))
    assert not np.isfinite(spoiled["gradient_norm"][20])
    assert np.array_equal(np.flatnonzero(diverging(spoiled)), [20])
    assert spoiled["skipped"][-1] == 1
    without = watch(tx(), jnp.delete(g, 20, axis=0))
    for name in NAMES[:-1]:
        np.testing.assert_allclose(spoiled[name][-1], without[name][-1], rtol=1e-5, err_msg=name)


def test_complex_is_real_in_two_dimensions():
    z = noise(20, 12) + 1j * noise(20, 12, seed=3)
    complex_ = watch(mo.nesterov(0.1, 0.8), jnp.asarray(z, jnp.complex64))
    real = watch(mo.nesterov(0.1, 0.8), jnp.asarray(np.concatenate([z.real, z.imag], -1), jnp.float32))
    for name in NAMES:
        np.testing.assert_allclose(complex_[name], real[name], rtol=2e-4, atol=1e-6, err_msg=name)


# Groups, keys, counters.


class Counted(NamedTuple):
    inner: Any
    restarts: Any
    skipped: Any


def test_keys_are_stable_and_groups_add_up():
    g = stream(5)
    whole = watch(mo.trace(0.9), g)
    assert sorted(whole) == sorted(NAMES)
    grouped = watch(mo.trace(0.9), g, groups=["a"])
    per_group = [f"{group}/{name}" for group in ("a", "rest") for name in NAMES[:-2]]
    assert sorted(grouped) == sorted([*per_group, "restarts", "skipped"])
    for name in ("gradient_norm", "velocity_norm", "update_norm"):
        np.testing.assert_allclose(np.hypot(grouped["a/" + name], grouped["rest/" + name]), whole[name], rtol=1e-5)


def test_several_velocities_are_added():
    found = watch(mo.scale_by_aggmo((0.5, 0.9)), jnp.asarray([[1.0, 0.0], [0.0, 2.0]]))
    np.testing.assert_allclose(found["velocity_norm"], [2.0, np.hypot(0.5 + 0.9, 4.0)], rtol=1e-6)


def test_counters_are_found_inside_and_outside():
    tx = track(restart_every(mo.heavy_ball(0.1, 0.9), 2))
    g = jnp.ones(3)
    state = tx.init(g)
    for _ in range(5):
        _, state = tx.update(g, state, g)
    counted = (Counted(state, jnp.asarray(10), {"a": jnp.asarray(3), "b": jnp.asarray(7)}),)
    assert int(metrics(state)["restarts"]) == int(state.inner_state.restarts) == 2
    assert (int(metrics(counted)["restarts"]), int(metrics(counted)["skipped"])) == (12, 7)


def test_several_in_one_state_have_paths():
    tx = optax.chain(track(mo.trace(0.9)), track(track(mo.scale_by_learning_rate(0.1))))
    found = metrics(tx.init(jnp.ones(2)))
    assert {"0/gradient_norm", "1/gradient_norm", "1/inner_state/gradient_norm", "restarts"} <= set(found)


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"groups": ["a", "nothing"]}, ValueError, "groups: no leaf is named by 'nothing'.*'a', 'b'"),
        ({"groups": {"x": "a", "y": "?"}}, ValueError, "groups: named twice: 'a' by 'a' and '[?]'"),
        ({"groups": {"rest": "a"}}, ValueError, "rest"),
        ({"groups": "a"}, TypeError, "groups"),
        ({"groups": {"x": 3}}, TypeError, "groups\\['x'\\]"),
        ({"decay": 1.0}, ValueError, "decay"),
        ({"decay": lambda count: 0.9}, TypeError, "decay"),
        ({"decay": {"a": 0.9}}, TypeError, "decay"),
    ],
)
def test_bad_arguments_are_refused(options, kind, message):
    with pytest.raises(kind, match=message):
        track(mo.trace(0.9), **options).init({"a": jnp.ones(2), "b": jnp.ones(2)})


def test_a_state_that_is_not_watched_is_refused():
    with pytest.raises(ValueError, match="TrackState"):
        metrics(mo.trace(0.9).init(jnp.ones(2)))
    with pytest.raises(ValueError, match="sign_flips"):
        oscillating({})
