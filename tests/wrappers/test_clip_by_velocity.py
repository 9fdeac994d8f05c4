"""`clip_by_velocity` against sums over the whole history in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import assert_close, feed, noise

import momentum_optax as mo
from momentum_optax.wrappers.clip_by_velocity import clip_by_velocity

STEPS = 40


def reference(gradients, beta, ratio, decay):
    """The clipped gradients, with the velocity of trace."""
    velocity, seen, clipped = np.zeros(gradients.shape[1:]), [], []
    for g in gradients:
        size, speed = np.linalg.norm(g), np.linalg.norm(velocity)
        if speed > 0 and size > 0:
            x = np.log(size / speed)
            if seen:
                weights = decay ** np.arange(len(seen))[::-1]
                x = min(x, np.log(ratio) + np.sum(weights * seen) / weights.sum())
            seen.append(x)
            g = g * (np.exp(x) * speed / size)
        clipped.append(g)
        velocity = beta * velocity + g
    return np.array(clipped)


def trace(gradients, beta):
    velocity, out = np.zeros(gradients.shape[1:]), []
    for g in gradients:
        velocity = beta * velocity + g
        out.append(velocity)
    return np.array(out)


def stream(seed=0):
    gradients = noise(STEPS, 4, seed=seed) + 0.5
    gradients[[12, 25, 26]] *= 1000.0
    gradients[20] = 0.0
    return gradients


def test_spikes_are_clipped_to_the_expected_size_per_leaf():
    gradients = {"w": stream(1), "b": stream(2)[:, :2]}
    updates, _ = feed(clip_by_velocity(mo.trace(0.9), 2.0, decay=0.9), gradients)
    for name, g in gradients.items():
        clipped = reference(g, 0.9, 2.0, 0.9)
        sizes, before = np.linalg.norm(clipped, axis=-1), np.linalg.norm(g, axis=-1)
        assert np.all(sizes[[12, 25, 26]] < 0.02 * before[[12, 25, 26]])
        np.testing.assert_allclose(clipped[:2], g[:2], rtol=1e-12)
        assert_close(updates[name], trace(clipped, 0.9), 1e-10)


def test_one_factor_for_the_whole_tree():
    gradients = stream(3)
    tree = {"w": gradients[:, :3], "b": gradients[:, 3:]}
    updates, states = feed(clip_by_velocity(mo.trace(0.9), 2.0, decay=0.9, per_leaf=False), tree)
    expected = trace(reference(gradients, 0.9, 2.0, 0.9), 0.9)
    assert_close(np.concatenate([updates["w"], updates["b"]], -1), expected, 1e-10)
    assert states.usual.shape == (STEPS,)


def test_conventions_of_the_velocity_do_not_matter():
    gradients, ways = stream(4), {}
    for name, tx, unit in (
        ("trace", mo.heavy_ball(0.1, 0.9), -0.1),
        ("learning rate inside", mo.heavy_ball(0.1, 0.9, lr_in_velocity=True), -0.1),
        ("average", mo.ema_momentum(0.1, 0.9), -0.01),
        ("Optax", optax.sgd(0.1, momentum=0.9), -0.1),
        ("nested", optax.chain(optax.identity(), optax.masked(mo.trace(0.9), True)), 1.0),
    ):
        ways[name] = feed(clip_by_velocity(tx, 2.0), gradients)[0] / unit
    for way in ways.values():
        assert_close(way, ways["trace"], 1e-10)


def test_several_velocities_of_a_leaf_count_together():
    gradients = stream(5)
    tx = mo.blend((0.5, mo.trace(0.9)), (0.5, mo.trace(0.9)))
    updates, _ = feed(clip_by_velocity(tx, 2.0), gradients)
    alone, _ = feed(clip_by_velocity(mo.trace(0.9), 2.0), gradients)
    assert_close(updates, alone, 1e-10)


def test_a_lasting_change_of_level_is_followed():
    gradients = np.concatenate([np.ones(30), np.full(60, 1000.0)])
    updates, _ = feed(clip_by_velocity(mo.ema(0.9, debias=False), 2.0), gradients)
    assert updates[30] < 2
    np.testing.assert_allclose(updates[-1], 1000.0, rtol=0.05)


def test_a_huge_spike_is_clipped_and_not_lost():
    tx = clip_by_velocity(mo.trace(0.5), 2.0)
    state = tx.init(jnp.zeros(2, jnp.float32))
    for size in (1.0, 1.0, 1.0, 1e30):
        updates, state = tx.update(jnp.full(2, size, jnp.float32), state)
    # Ratios 1 and 2/3 so far, of which the geometric mean is half known to float32; the velocity was 1.75.
    usual = np.exp(0.97 * np.log(1.0) / 1.97 + np.log(2 / 3) / 1.97)
    np.testing.assert_allclose(updates, 0.5 * 1.75 + 2 * usual * 1.75, rtol=1e-4)


def test_where_no_velocity_is_kept_all_passes():
    gradients = {"w": stream(6), "b": stream(7)}
    updates, _ = feed(clip_by_velocity(mo.trace({"w": 0.9, "b": 0.0}), 1.5), gradients)
    assert np.array_equal(updates["b"], gradients["b"])
    assert not np.allclose(updates["w"], trace(gradients["w"], 0.9))


def test_ratio_may_be_a_tree_and_a_schedule():
    gradients = {"w": stream(8), "b": stream(8)}
    tx = clip_by_velocity(mo.trace(0.9), {"w": lambda count: 2.0 + 0 * count, "b": 1e6})
    updates, _ = feed(tx, gradients)
    assert_close(updates["w"], trace(reference(gradients["w"], 0.9, 2.0, 0.97), 0.9), 1e-10)
    assert_close(updates["b"], trace(gradients["b"], 0.9), 1e-10)


def test_bad_arguments():
    with pytest.raises(ValueError, match="tx holds no velocity; among its parts are EmptyState"):
        clip_by_velocity(optax.sgd(0.1)).init(jnp.ones(2))
    with pytest.raises(ValueError, match="ratio"):
        clip_by_velocity(mo.trace(0.9), 0.0)
    with pytest.raises(ValueError, match="ratio"):
        clip_by_velocity(mo.trace(0.9), {"nonsense": 2.0}).init({"w": jnp.ones(2)})
    with pytest.raises(ValueError, match="per_leaf=False"):
        clip_by_velocity(mo.trace(0.9), {"w": 2.0}, per_leaf=False).init({"w": jnp.ones(2)})
    with pytest.raises(TypeError, match="decay"):
        clip_by_velocity(mo.trace(0.9), decay=lambda count: 0.9)


def test_lanes_of_a_sweep_have_their_own_ratio():
    gradients = stream(9)

    def last(ratio):
        tx = clip_by_velocity(mo.trace(0.9), ratio, decay=0.9)
        step = lambda state, g: tx.update(g, state)[::-1]  # noqa: E731
        return jax.lax.scan(step, tx.init(jnp.zeros(4)), gradients)[1][-1]

    with jax.enable_x64(True):
        lanes = jax.vmap(last)(jnp.array([1.5, 4.0]))
    for lane, ratio in zip(lanes, (1.5, 4.0), strict=True):
        assert_close(lane[None], trace(reference(gradients, 0.9, ratio, 0.9), 0.9)[-1:], 1e-10)
