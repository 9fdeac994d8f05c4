"""What `track` measures, against NumPy in float64, known betas and the theory of the quadratic."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import MATRIX, START, join, noise, split

import momentum_optax as mo
from momentum_optax import diverging, metrics, oscillating, stalled, track
from momentum_optax._step import compiler_options
from momentum_optax.wrappers.restart_every import restart_every

NAMES = (
    *("gradient_norm", "velocity_norm", "update_norm", "param_norm", "update_ratio", "cosine"),
    *("effective_learning_rate", "effective_horizon", "sign_flips", "gradient_growth", "restarts", "skipped"),
)


def watch(tx, gradients, params=None, **options) -> dict[str, np.ndarray]:
    """The metrics after each of a stream of gradients."""
    tx = track(tx, **options)

    def body(state, g):
        _, state = tx.update(g, state, params)
        return state, metrics(state)

    return jax.tree.map(
        np.asarray, jax.jit(lambda g: jax.lax.scan(body, tx.init(jax.tree.map(lambda x: x[0], g)), g)[1])(gradients)
    )


def descend(tx, matrix, x0, steps: int, **options) -> dict[str, np.ndarray]:
    """The metrics of a descent on `x A x / 2`, in float64."""
    with jax.enable_x64(True):
        tx = track(tx, **options)

        def body(carry, _):
            x, state = carry
            u, state = tx.update(jax.tree.map(jnp.asarray, split(matrix @ join(x))), state, x)
            return (optax.apply_updates(x, u), state), metrics(state)

        x0 = jax.tree.map(jnp.asarray, split(np.asarray(x0)))
        return jax.tree.map(np.asarray, jax.jit(lambda x: jax.lax.scan(body, (x, tx.init(x)), None, steps)[1])(x0))


def fading(values, decay: float) -> float:
    """The mean in which a value that is k steps old weighs decay^k."""
    weights = decay ** np.arange(len(values))[::-1]
    return float(weights @ np.asarray(values) / weights.sum())


# Heavy ball on the quadratic, measured as the docstring says, without any of the identities that the code uses.


@pytest.mark.parametrize(("part", "group"), [(slice(None), None), (slice(0, 3), "w"), (slice(3, 5), "deep")])
def test_measures_are_those_of_numpy(part, group):
    learning_rate, beta, decay, steps = 0.12, 0.7, 0.8, 12
    groups = None if group is None else {"w": "w", "deep": "b/deep"}
    found = descend(mo.heavy_ball(learning_rate, beta), MATRIX, START, steps, groups=groups, decay=decay)
    prefix = "" if group is None else group + "/"
    x, v = START.copy(), np.zeros(5)
    rows: dict[str, list] = {
        name: [] for name in ("cos", "turn", "ug", "gg", "uu", "pp", "log", "log_mean", "a", "a_lost")
    }
    norm = np.linalg.norm
    for t in range(steps):
        g, w = MATRIX @ x, v
        v = beta * w + g
        u = -learning_rate * v
        G, W, V, U, P = (y[part] for y in (g, w, v, u, x))
        x = x + u
        if t:
            rows["cos"].append(G @ W / norm(G) / norm(W))
            rows["turn"].append(np.arccos(V @ W / norm(V) / norm(W)) / np.pi)
            rows["a"].append(1 - (G @ W / norm(G) / norm(W)) ** 2)
            rows["a_lost"].append((1 - beta) * rows["a"][-1])
        for name, value in (("ug", -U @ G), ("gg", G @ G), ("uu", U @ U), ("pp", P @ P), ("log", np.log(norm(G)))):
            rows[name].append(value)
        rows["log_mean"].append(fading(rows["log"], decay))
        expected = {
            "gradient_norm": norm(G), "velocity_norm": norm(V), "update_norm": norm(U), "param_norm": norm(P),
            "update_ratio": np.sqrt(fading(rows["uu"], decay) / fading(rows["pp"], decay)),
            "effective_learning_rate": fading(rows["ug"], decay) / fading(rows["gg"], decay),
            "gradient_growth": np.exp(
                (1 - decay) / decay * (rows["log_mean"][-1] - fading(rows["log_mean"], decay))
            ),
            "cosine": fading(rows["cos"], decay) if t else 0,
            "sign_flips": fading(rows["turn"], decay) if t else 0,
            "effective_horizon": 1 / (1 - beta) if t else 1,
        }  # fmt: skip
        for name, value in expected.items():
            np.testing.assert_allclose(found[prefix + name][t], value, rtol=1e-9, atol=1e-9, err_msg=f"{name} at {t}")


HORIZONS = {
    "trace": (lambda b: mo.trace(b), 0.9),
    "trace slow": (lambda b: mo.trace(b), 0.999),
    "trace fast": (lambda b: mo.trace(b), 0.3),
    "ema": (lambda b: mo.ema(b), 0.99),
    "nesterov": (lambda b: mo.nesterov(0.01, b), 0.9),
    "lr inside": (lambda b: mo.heavy_ball(0.01, b, lr_in_velocity=True), 0.9),
    "qhm": (lambda b: mo.qhm(0.1, b), 0.9),
    "optax.sgd": (lambda b: optax.sgd(0.1, b), 0.9),
    "optax.sgd nesterov": (lambda b: optax.sgd(0.1, b, nesterov=True), 0.95),
    "optax.adam": (lambda b: optax.adam(0.1, b1=b), 0.9),
    "clipped": (lambda b: optax.chain(optax.clip_by_global_norm(1.0), mo.trace(b)), 0.9),
    "in a mask": (lambda b: optax.masked(mo.trace(b), {"a": True, "b": True}), 0.9),
    "in a partition": (
        lambda b: optax.partition({"x": mo.trace(b), "y": optax.sgd(0.1, b)}, {"a": "x", "b": "y"}), 0.9,
    ),
    "none": (lambda b: optax.sgd(0.1), 0.0),
    "unused": (lambda b: mo.heavy_ball(0.1, 0.0), 0.0),
}  # fmt: skip


def stream(steps=60, seed=0):
    return {
        "a": jnp.asarray(noise(steps, 40, 30, seed=seed), jnp.float32),
        "b": jnp.asarray(noise(steps, 50, seed=seed + 1), jnp.float32),
    }


@pytest.mark.parametrize("name", HORIZONS)
def test_horizon_and_flips_are_those_of_the_beta(name):
    build, beta = HORIZONS[name]
    found = watch(build(beta), stream(), decay=0.95)
    np.testing.assert_allclose(found["effective_horizon"][-1], 1 / (1 - beta), rtol=2e-3)
    if beta in (0.3, 0.9):  # the velocity of noise has a correlation of beta with the one before
        np.testing.assert_allclose(found["sign_flips"][-1], np.arccos(beta) / np.pi, atol=0.02)


@pytest.mark.parametrize(
    "tx", [mo.heavy_ball(0.1, 0.9), mo.nesterov(0.1, 0.9), mo.heavy_ball(0.1, 0.9, lr_in_velocity=True)]
)
def test_cosine_has_one_sign_whatever_the_velocity_holds(tx):
    g = noise(30, 20) + 0.5
    found = watch(tx, jnp.asarray(g, jnp.float32), decay=0.9)
    v, cosines = np.zeros(20), []
    for row in g:
        cosines.append(row @ v / max(np.linalg.norm(row) * np.linalg.norm(v), 1e-30))
        v = 0.9 * v + row
    np.testing.assert_allclose(found["cosine"][-1], fading(cosines[1:], 0.9), rtol=1e-4)
    assert found["cosine"][-1] > 0.3


@pytest.mark.parametrize("share", [0.3, 0.48, 0.52, 0.9])
def test_oscillates_past_half_of_the_stable_learning_rate(share):
    """Theory: one mode flips in a share omega / pi of the steps."""
    beta = 0.8
    step = share * 2 * (1 + beta)  # learning rate times curvature
    omega = np.arccos((1 + beta - step) / (2 * np.sqrt(beta))) if abs(1 + beta - step) < 2 * np.sqrt(beta) else np.pi
    found = descend(mo.heavy_ball(step, beta), np.eye(5), np.ones(5), 200, decay=0.97)
    np.testing.assert_allclose(found["sign_flips"][-1], omega / np.pi, atol=0.03)
    assert bool(oscillating({k: v[-1] for k, v in found.items()})) == (share > 0.5)


def test_divergence_grows_by_the_spectral_radius():
    beta, step = 0.9, 4.0
    radius = np.max(np.abs(np.roots([1, -(1 + beta - step), beta])))
    found = descend(mo.heavy_ball(step, beta), np.eye(5), np.ones(5), 120, decay=0.9)
    np.testing.assert_allclose(found["gradient_growth"][-1], radius, rtol=1e-3)
    assert diverging({k: v[-1] for k, v in found.items()})
    stable = descend(mo.heavy_ball(0.9 * step * 0.95, beta), np.eye(5), np.ones(5), 120, decay=0.9)
    assert not diverging({k: v[-1] for k, v in stable.items()})


def test_one_outlier_is_no_divergence():
    g = jnp.asarray(noise(200, 30), jnp.float32).at[150].mul(1e3)
    found = watch(mo.trace(0.9), g)
    assert not np.any(diverging(found))


def test_effective_learning_rate():
    constant = jnp.ones((400, 7))
    assert watch(optax.sgd(0.3), constant)["effective_learning_rate"][-1] == pytest.approx(0.3)
    assert watch(mo.heavy_ball(0.3, 0.9), constant)["effective_learning_rate"][-1] == pytest.approx(3.0, rel=1e-2)
    random = jnp.asarray(noise(400, 3000), jnp.float32)
    assert watch(mo.heavy_ball(0.3, 0.9), random)["effective_learning_rate"][-1] == pytest.approx(0.3, rel=2e-2)


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
        update, s, out = jax.jit(tx.update), tx.init(params), []
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
    memory = lowered.compile(compiler_options()).memory_analysis()
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


def test_verdicts_ask_every_group():
    calm = {"sign_flips": 0.1, "update_ratio": 1e-3, "gradient_growth": 1.0, "gradient_norm": 1.0, "update_norm": 1.0}
    wild = {"sign_flips": 0.7, "update_ratio": 1e-7, "gradient_growth": 1.1, "gradient_norm": 1.0, "update_norm": 1.0}
    both = {"x/" + k: v for k, v in calm.items()} | {"y/" + k: v for k, v in wild.items()}
    verdicts = [[bool(f(m)) for f in (oscillating, stalled, diverging)] for m in (calm, wild, both)]
    assert verdicts == [[False] * 3, [True] * 3, [True, False, True]]
    assert diverging({**calm, "update_norm": np.inf})


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"groups": ["a", "nothing"]}, ValueError, "no leaf matches 'nothing'.*'a', 'b'"),
        ({"groups": {"x": "a", "y": "?"}}, ValueError, "'a' is in 'x' and 'y'"),
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
