"""AdamP's projection, in the layouts of Flax and torch."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import oracles_signs
import pytest
from helpers import assert_close, feed, moving, noise

import momentum_optax as mo

STEPS, SHAPE = 6, (4, 3, 7)  # torch's: outputs first


def streams(kind):
    """Params and gradients that are orthogonal output by output, as a whole, or not at all."""
    p, g = noise(STEPS, *SHAPE), noise(STEPS, *SHAPE, seed=1)
    axes = {"outputs": (2, 3), "nearly": (2, 3), "leaf": (1, 2, 3)}.get(kind)
    if axes:
        g = g - np.sum(g * p, axes, keepdims=True) / np.sum(p * p, axes, keepdims=True) * p
    return p, g + {"outputs": 0.001, "nearly": 0.05, "leaf": 0.0, "no": 0.5}[kind] * p


def last(x):
    """The outputs of a stream moved to the end."""
    return np.moveaxis(x, 1, -1)


@pytest.mark.parametrize("kind", ["outputs", "leaf", "nearly", "no"])
def test_it_is_the_authors_projection(kind):
    params, gradients = streams(kind)
    inner = mo.heavy_ball(moving(0.1), moving(0.9))
    plain, _ = feed(inner, gradients)
    rows = zip(params, gradients, plain, strict=True)
    expected = np.array([oracles_signs.adamp_projection(p, g, u, 0.1) for p, g, u in rows])
    assert np.allclose(expected, plain) == (kind in ("no", "nearly"))
    found, _ = feed(mo.orthogonal_to_params(inner, output_axis=0), gradients, params)
    assert_close(found, expected)
    flax, _ = feed(mo.orthogonal_to_params(inner), last(gradients), last(params))
    assert_close(flax, last(expected))


def test_a_large_delta_projects_always_and_vectors_pass():
    p, g = noise(STEPS, 5, 3), noise(STEPS, 5, 3, seed=1)
    tx = mo.orthogonal_to_params(optax.adam(0.1), 10.0)
    found, _ = feed(tx, {"w": g, "b": g[:, 0]}, {"w": p, "b": p[:, 0]})
    np.testing.assert_allclose(np.sum(found["w"] * p, 1), 0, atol=1e-14)
    assert_close(found["b"], feed(optax.adam(0.1), g[:, 0])[0])


def test_what_is_remembered_is_not_changed():
    p, g = streams("outputs")
    _, states = feed(mo.orthogonal_to_params(mo.ema(0.9)), g, p)
    _, inner = feed(mo.ema(0.9), g)
    for mine, theirs in zip(jax.tree.leaves(states.inner_state), jax.tree.leaves(inner), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-12)


def test_normalized_weights_do_not_grow_by_momentum():
    """The point of the paper: of a loss of `w / |w|`, momentum makes w longer than steps across it do."""
    target = jnp.asarray(noise(20, 1, seed=5))

    def length(tx):
        w = jnp.asarray(noise(20, 1, seed=6))
        gradient = jax.grad(lambda w: -jnp.vdot(w, target) / jnp.linalg.norm(w))

        def body(carry, _):
            w, state = carry
            updates, state = tx.update(gradient(w), state, w)
            return (w + updates, state), None

        return float(jnp.linalg.norm(jax.lax.scan(body, (w, tx.init(w)), None, 100)[0][0]) / jnp.linalg.norm(w))

    plain, projected = length(mo.heavy_ball(0.5, 0.9)), length(mo.orthogonal_to_params(mo.heavy_ball(0.5, 0.9)))
    assert 1 < projected < 0.8 * plain


def test_params_of_zero_and_gradients_of_zero():
    tx = mo.orthogonal_to_params(mo.heavy_ball(0.1))
    zero, one = jnp.zeros((2, 2)), jnp.ones((2, 2))
    np.testing.assert_allclose(tx.update(one, tx.init(zero), zero)[0], -0.1, rtol=1e-6)
    assert np.all(tx.update(zero, tx.init(one), one)[0] == 0)


def test_bad_arguments():
    tx = mo.orthogonal_to_params(mo.heavy_ball(0.1))
    with pytest.raises(ValueError, match="orthogonal_to_params needs the params"):
        tx.update(jnp.ones((2, 2)), tx.init(jnp.ones((2, 2))))
    with pytest.raises(ValueError, match="delta must be finite and above 0"):
        mo.orthogonal_to_params(mo.heavy_ball(0.1), 0.0)
    with pytest.raises(ValueError, match="output_axis must be an axis"):
        mo.orthogonal_to_params(mo.heavy_ball(0.1), output_axis=2).init(jnp.ones((2, 2)))
    with pytest.raises(TypeError, match="output_axis must be an integer"):
        mo.orthogonal_to_params(mo.heavy_ball(0.1), output_axis=None)
