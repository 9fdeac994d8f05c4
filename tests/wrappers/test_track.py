"""What `track` measures, against NumPy in float64, known betas and the theory of the quadratic."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import MATRIX, START, join, noise, split
from tracked import stream, watch

import momentum_optax as mo
from momentum_optax import diverging, metrics, oscillating, stalled, track


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
    assert watch(optax.sgd(0.3), constant)["effective_learning_rate"][-1] == pytest.approx(0.3, rel=1e-5)
    assert watch(mo.heavy_ball(0.3, 0.9), constant)["effective_learning_rate"][-1] == pytest.approx(3.0, rel=1e-2)
    random = jnp.asarray(noise(400, 3000), jnp.float32)
    assert watch(mo.heavy_ball(0.3, 0.9), random)["effective_learning_rate"][-1] == pytest.approx(0.3, rel=2e-2)


def test_verdicts_ask_every_group():
    calm = {"sign_flips": 0.1, "update_ratio": 1e-3, "gradient_growth": 1.0, "gradient_norm": 1.0, "update_norm": 1.0}
    wild = {"sign_flips": 0.7, "update_ratio": 1e-7, "gradient_growth": 1.1, "gradient_norm": 1.0, "update_norm": 1.0}
    both = {"x/" + k: v for k, v in calm.items()} | {"y/" + k: v for k, v in wild.items()}
    verdicts = [[bool(f(m)) for f in (oscillating, stalled, diverging)] for m in (calm, wild, both)]
    assert verdicts == [[False] * 3, [True] * 3, [True, False, True]]
    assert diverging({**calm, "update_norm": np.inf})
