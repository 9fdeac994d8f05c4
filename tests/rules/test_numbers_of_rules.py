"""The numbers that rules take are hyperparameters: they can be swept, and derived by."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ruled import NAMES, PARAMS, finite, gradients, rule

import momentum_optax as mo

NUMBERS = {
    "alignment": {"low": [0.1, 0.4], "high": [0.7, 0.95], "decay": [0.0, 0.9]},
    "hypergradient": {"rate": [0.0, 0.02], "start": [0.3, 0.8], "low": [0.0, 0.2], "high": [0.85, 0.9]},
    "yellowfin": {"learning_rate": [0.1, 0.01], "decay": [0.5, 0.9], "eps": [1e-6, 1e-3]},
    "plateau": {"start": [0.2, 0.5], "high": [0.9, 0.8], "factor": [0.5, 0.1], "patience": [1.0, 2.0],
                "rtol": [0.1, 0.2], "atol": [0.0, 0.1], "cooldown": [0.0, 2.0], "decay": [0.0, 0.5]},
    "lipschitz_ratio": {"delta": [0.1, 0.95]},
}  # fmt: skip


def method(name, numbers):
    if name != "yellowfin":
        return mo.heavy_ball(0.1, rule(name, **numbers))
    tuner = mo.rules.yellowfin(window=3, **numbers)
    return mo.heavy_ball(tuner.learning_rate, tuner.beta)


def scanned(name, numbers, steps=6):
    tx, start = method(name, numbers), jax.tree.map(lambda p: p.astype(float), PARAMS)

    def body(carry, t):
        params, state = carry
        updates, state = tx.update(gradients(t, params), state, params, value=jnp.cos(2.0 * t) + 2)
        return (mo.apply_updates(params, updates), state), None

    (params, state), _ = jax.lax.scan(body, (start, tx.init(start)), jnp.arange(float(steps)))
    return params, state.values


@pytest.mark.parametrize("name", NAMES)
def test_a_sweep_over_the_numbers_of_a_rule_is_the_single_runs(name):
    numbers = {k: jnp.asarray(v, jnp.float32) for k, v in NUMBERS[name].items()}
    train = jax.jit(lambda n: scanned(name, n))
    many = jax.jit(jax.vmap(lambda n: scanned(name, n)))(numbers)
    for lane in range(2):
        one = train({k: v[lane] for k, v in numbers.items()})
        jax.tree.map(lambda m, o, i=lane: np.testing.assert_allclose(m[i], o, rtol=1e-5, atol=1e-6), many, one)
    assert np.any(many[0]["a"]["w"][0] != many[0]["a"]["w"][1])


@pytest.mark.parametrize("name", NAMES)
def test_derivatives_by_the_numbers_of_a_rule_are_finite_and_right(name):
    """Through the whole run, in float64, beside differences; patience and cooldown are counted, not differentiated."""
    smooth = {k: v[1] for k, v in NUMBERS[name].items() if k not in ("patience", "cooldown", "rtol", "atol")}

    def outcome(numbers):
        params, _ = scanned(name, {**{k: v[1] for k, v in NUMBERS[name].items()}, **numbers})
        return sum(jnp.sum(p**2) for p in jax.tree.leaves(params))

    with jax.enable_x64(True):
        function, slope = jax.jit(outcome), jax.jit(jax.grad(outcome))
        slopes = slope(smooth)
        for key, number in smooth.items():
            h = 1e-6 * number
            ahead, behind = (float(function(smooth | {key: number + s * h})) for s in (1, -1))
            np.testing.assert_allclose(slopes[key], (ahead - behind) / (2 * h), rtol=1e-4, atol=1e-7, err_msg=key)
        assert any(abs(s) > 1e-6 for s in slopes.values())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [0.0, 1e-30, 1e12, 1e30, 3e38])
def test_derivatives_stay_finite_where_gradients_are_none_or_huge(name, size):
    numbers = {k: jnp.float32(v[1]) for k, v in NUMBERS[name].items()}

    def last(numbers):
        tx = method(name, numbers)
        state = tx.init(jnp.zeros(2))
        for t in range(3):
            _, state = tx.update(jnp.full(2, size) * (-1) ** t, state, jnp.zeros(2), value=size)
        return state.values["beta"], state

    slopes, state = jax.jit(jax.grad(last, has_aux=True))(numbers)
    assert size > 1e38 or finite(slopes)  # beyond, differences of gradients overflow
    assert finite((state.values, state.rules))
    assert 0 <= float(state.values["beta"]) < 1
