"""The plateau rule beside Optax's for learning rates."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import noise

import momentum_optax as mo

LOSSES = np.concatenate([np.linspace(3, 1, 12), 1 + 0.2 * noise(60), np.linspace(1, 0.2, 10), 0.2 + 0.05 * noise(60)])
NUMBERS = {"start": 0.8, "high": 0.995, "factor": 0.5, "patience": 5.0, "rtol": 0.05, "cooldown": 3.0}


def betas(losses, **numbers):
    tx = mo.heavy_ball(0.1, mo.rules.plateau(**numbers))

    def body(state, loss):
        _, state = tx.update(jnp.ones(2), state, value=loss)
        return state, state.values["beta"]

    return jax.lax.scan(body, tx.init(jnp.ones(2)), jnp.asarray(losses))[1]


def scales(losses, *, start, high, decay=0.0, **numbers):
    """`(1 - beta) / (1 - start)` by Optax; the average with explicit weights."""
    numbers["cooldown"], numbers["patience"] = int(numbers["cooldown"]), int(numbers["patience"])
    tx = optax.contrib.reduce_on_plateau(**numbers, min_scale=(1 - high) / (1 - start))
    smooth = []
    for t in range(len(losses)):
        weights = decay ** np.arange(t, -1, -1.0)
        smooth.append(weights @ losses[: t + 1] / weights.sum())

    def body(state, loss):
        return tx.update(jnp.ones(()), state, value=loss)[::-1]

    return jax.lax.scan(body, tx.init(jnp.ones(())), jnp.asarray(smooth))[1]


@pytest.mark.parametrize("decay", [0.0, 0.9])
def test_one_minus_beta_falls_as_the_learning_rate_does_in_optax(decay):
    with jax.enable_x64(True):
        ours = jax.jit(lambda n: betas(LOSSES, **n))(NUMBERS | {"decay": decay})
        theirs = scales(LOSSES, **NUMBERS, decay=decay)
    np.testing.assert_allclose(1 - np.asarray(ours), 0.2 * np.asarray(theirs), rtol=1e-12)
    assert len(np.unique(ours)) > 3


def test_a_negative_loss_improves_as_a_positive_one_does():
    """Optax compares with `(1 - rtol) * best`, which lies above a best below 0, so that nothing new would be better."""
    still = betas(np.full(4, -2.0), start=0.5, patience=2)
    np.testing.assert_allclose(still, [0.5, 0.5, 0.75, 0.75], rtol=1e-6)
    falling = betas(-2.0 * 1.01 ** np.arange(8), start=0.5, patience=2, rtol=1e-3)
    np.testing.assert_allclose(falling, 0.5)


def test_a_loss_that_is_not_finite_is_not_counted():
    losses = np.array([1.0, np.nan, 1.0, np.inf, np.nan, 1.0, 1.0])
    counted = betas(losses[np.isfinite(losses)], start=0.5, patience=2)
    np.testing.assert_array_equal(betas(losses, start=0.5, patience=2)[np.isfinite(losses)], counted)


def test_at_first_not_finite_is_not_counted_either():
    np.testing.assert_allclose(betas(np.array([np.inf, 1.0, 1.0, 1.0]), start=0.5, patience=2)[-1], 0.75)


def test_the_loss_is_needed():
    tx = mo.heavy_ball(0.1, mo.rules.plateau())
    state = tx.init(jnp.ones(2))
    with pytest.raises(ValueError, match=r"beta is rules\.plateau, which needs value"):
        tx.update(jnp.ones(2), state)
    with pytest.raises(ValueError, match=r"value must be one number, the loss; got shape \(2,\)"):
        tx.update(jnp.ones(2), state, value=jnp.ones(2))


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ({"factor": 1.0}, r"factor must be in \(0, 1\)"),
        ({"patience": 0}, "patience must be finite and at least 1"),
        ({"rtol": 2.0}, r"rtol must be in \[0, 1\]"),
        ({"cooldown": -1}, "cooldown must be"),
        ({"start": 0.9, "high": 0.8}, "start must be at most high"),
    ],
)
def test_bad_numbers_are_refused(numbers, words):
    with pytest.raises(ValueError, match=words):
        mo.rules.plateau(**numbers)
