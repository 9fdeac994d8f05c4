"""`skip_spikes` against sums over the whole history in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_close, feed, noise

import momentum_optax as mo
from momentum_optax.wrappers.skip_spikes import skip_spikes

SETTINGS = {"threshold": 3.0, "decay": 0.9, "warmup": 6, "floor": 0.05, "max_consecutive": 3}


def reference(gradients, learning_rate, beta, *, threshold, decay, warmup, floor, max_consecutive):
    """The equations of the docstring: mean and deviation are sums over the norms that are kept in a list."""
    kept, streak, velocity = [], 0, np.zeros(gradients.shape[1:])
    updates, means, deviations, skips = [], [], [], []
    for g in gradients:
        norm = np.sqrt(np.sum(g**2)) if np.isfinite(g).all() else np.nan
        spike = not np.isfinite(norm)
        if not spike and len(kept) >= warmup:
            spike = np.log(max(norm, 1e-300)) > means[-1] + threshold * max(deviations[-1], floor)
            if spike and streak >= max_consecutive:
                kept, spike = [], False
        streak = streak + 1 if spike else 0
        if not spike:
            velocity = beta * velocity + g
            if norm > 0:
                kept.append(np.log(norm))
        weights = decay ** np.arange(len(kept))[::-1]
        mean = np.sum(weights * kept) / weights.sum() if kept else 0.0
        means.append(mean)
        deviations.append(np.sqrt(np.sum(weights * (np.array(kept) - mean) ** 2) / weights.sum()) if kept else 0.0)
        updates.append(np.zeros_like(g) if spike else -learning_rate * velocity)
        skips.append(spike)
    return np.array(updates), np.array(means), np.array(deviations), np.array(skips)


def stream():
    """Noise with single spikes, a double one, NaN, zeros, an early spike, and a level that rises for good."""
    gradients = noise(60, 5, seed=3) + 1.0
    gradients[[2, 15, 22, 23]] *= 50.0
    gradients[[4, 30]] = np.nan
    gradients[35] = 0.0
    gradients[40:] *= 30.0
    return gradients


def test_spikes_are_skipped_and_the_statistics_are_exact():
    gradients = stream()
    updates, states = feed(skip_spikes(mo.heavy_ball(0.1, 0.9), **SETTINGS), gradients)
    expected, means, deviations, skips = reference(gradients, 0.1, 0.9, **SETTINGS)
    assert skips[[15, 22, 23, 4, 30, 40, 41, 42]].all()  # the spikes, NaN, and three of the new level
    assert not skips[[2, 35, 43]].any()  # warm-up, zero, and the new level from here on
    assert np.array_equal(np.diff(states.skipped, prepend=0), skips)
    assert_close(updates, expected)
    np.testing.assert_allclose(states.mean, means, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(np.sqrt(states.variance), deviations, rtol=1e-9, atol=1e-12)


def test_a_skipped_step_leaves_the_inner_state_alone():
    _, states = feed(skip_spikes(mo.ema_momentum(0.1, 0.9), **SETTINGS), stream())
    inner, skipped = states.inner_state[0], np.diff(states.skipped, prepend=0) > 0
    moved = np.diff(inner.count, prepend=0)
    assert np.array_equal(moved == 0, skipped)
    still = np.all(inner.velocity[1:] == inner.velocity[:-1], axis=-1)
    assert np.array_equal(still, skipped[1:])


def test_scale_does_not_matter():
    gradients = stream()
    one, _ = feed(skip_spikes(mo.heavy_ball(0.1, 0.9), **SETTINGS), gradients)
    other, _ = feed(skip_spikes(mo.heavy_ball(0.1, 0.9), **SETTINGS), 1e-6 * gradients)
    assert_close(1e6 * other, one, 1e-9)


def test_a_lasting_change_is_accepted_after_a_bounded_number_of_skips():
    gradients = np.concatenate([np.ones(20), np.full(20, 100.0), np.full(20, 1e4)])
    for most in (0, 1, 4):
        tx = skip_spikes(mo.heavy_ball(1.0, 0.5), warmup=5, max_consecutive=most)
        _, states = feed(tx, gradients)
        assert states.skipped[-1] == 2 * most
        assert states.consecutive.max() == most


def test_a_spike_too_large_to_square_is_one():
    gradients = np.ones(10, np.float32)
    gradients[8] = 1e30
    tx = skip_spikes(mo.heavy_ball(1.0, 0.5), warmup=5)
    state = tx.init(jnp.zeros((), jnp.float32))
    for g in gradients:
        updates, state = tx.update(jnp.asarray(g), state)
        assert jnp.isfinite(updates)
    assert state.skipped == 1


def test_each_lane_has_its_own_threshold_and_skips():
    gradients = jnp.asarray(np.where(np.arange(30) == 25, 5.0, 1.0 + 0.1 * noise(30, seed=4)))

    def skipped(threshold):
        tx = skip_spikes(mo.heavy_ball(0.1, 0.9), threshold, warmup=5)
        step = lambda state, g: (tx.update(g, state)[1], None)  # noqa: E731
        return jax.lax.scan(step, tx.init(jnp.zeros(())), gradients)[0].skipped

    assert jax.vmap(skipped)(jnp.array([5.0, 100.0])).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("name", "value"),
    [("threshold", 0.0), ("decay", 1.0), ("warmup", -1), ("floor", -0.1), ("max_consecutive", -1)],
)
def test_bad_arguments(name, value):
    with pytest.raises(ValueError, match=name):
        skip_spikes(mo.heavy_ball(0.1), **{name: value})
    with pytest.raises(TypeError, match=name):
        skip_spikes(mo.heavy_ball(0.1), **{name: [value]})
