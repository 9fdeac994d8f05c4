"""Lion: the published method, though it is computed from the new velocity."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import oracles_signs
import pytest
from compiling import AS_FOR_USERS
from helpers import assert_close, feed, moving, noise, per_leaf, split

import momentum_optax as mo
from momentum_optax._compiled import compiler_options

GRADIENTS = noise(40, 5)
MANY = noise(12, 20_000, seed=3)


def ours(gradients, b1, b2, *, traced=False, **rest):
    """The signs; with `traced` the decays are inputs of the compiled program."""
    if not traced:
        return feed(mo.scale_by_lion(b1, b2, **rest), gradients)[0]
    with jax.enable_x64(True):

        def run(b1, b2, gradients):
            tx = mo.scale_by_lion(b1, b2, **rest)
            body = lambda state, g: tx.update(g, state)[::-1]  # noqa: E731
            return jax.lax.scan(body, tx.init(jnp.zeros_like(gradients[0])), gradients)[1]

        return np.asarray(jax.jit(run)(b1, b2, jnp.asarray(gradients)))


def exact(gradients, b1, b2):
    return oracles_signs.lion(gradients, b1, b2)


@pytest.mark.parametrize("traced", [False, True])
@pytest.mark.parametrize("b2", [0.99, 0.9, 0.5, 0.01, 0.0])
@pytest.mark.parametrize("b1", [0.9, 0.0])
def test_it_is_the_published_method(b1, b2, traced):
    assert np.array_equal(ours(MANY, b1, b2, traced=traced), exact(MANY, b1, b2))


def test_decays_that_move_through_zero_are_the_published_method():
    b1, b2 = moving(0.9), lambda count: 0.99 * (count % 3) / 2  # 0, .495, .99, 0, ...
    assert np.array_equal(ours(MANY, b1, b2), exact(MANY, b1, b2))


@pytest.mark.parametrize("b2", [{"w": 0.9, "b": 0.0}, {"w": 0.0, "b": moving(0.9)}])
@pytest.mark.parametrize("b1", [{"w": 0.0, "b": 0.8}, {"w": 0.7, "b": moving(0.9)}, 0.9])
def test_each_leaf_has_its_own_decays(b1, b2):
    def vector(tree):
        at = lambda part, count: part(count) if callable(part) else part  # noqa: E731
        tree = tree if isinstance(tree, dict) else {"w": tree, "b": tree}
        return lambda count: per_leaf(at(tree["w"], count), at(tree["b"], count))

    signs, states = feed(mo.scale_by_lion(b1, b2), split(GRADIENTS))
    expected = split(exact(GRADIENTS, vector(b1), vector(b2)))
    assert np.array_equal(signs["w"], expected["w"])
    assert np.array_equal(signs["b"]["deep"], expected["b"]["deep"])
    assert isinstance(states.velocity["w"], tuple) == (isinstance(b1, dict) and b1["w"] == 0)


def test_a_step_is_learning_rate_and_decay():
    tx = mo.lion({"w": moving(0.1), "b": 0.2}, 0.9, 0.99, weight_decay=0.3, mask={"w": True, "b": False})
    params = noise(40, 5, seed=8)
    steps, _ = feed(tx, split(GRADIENTS), split(params))
    signs = exact(GRADIENTS, 0.9, 0.99)
    rate = np.array([moving(0.1)(count) for count in range(40)])[:, None]
    assert_close(steps["w"], -rate * (signs + 0.3 * params)[:, :3])
    assert_close(steps["b"]["deep"], -0.2 * signs[:, 3:])


@pytest.mark.parametrize("b1", [0.9, 0.95])
def test_it_is_optax_lion(b1):
    params = noise(40, 5, seed=4)
    args = (0.1, b1, 0.98, None, 0.2)
    assert_close(feed(mo.lion(*args), GRADIENTS, params)[0], feed(optax.lion(*args), GRADIENTS, params)[0])
    assert_close(feed(mo.lion(0.1), GRADIENTS, params)[0], feed(optax.lion(0.1), GRADIENTS, params)[0])


@pytest.mark.parametrize("mode", ["hard", "smooth", "refined"])
def test_its_modes_are_those_of_optax(mode):
    arguments = {"mode": mode, "smooth_beta": 2.5}
    found, _ = feed(mo.scale_by_lion(0.9, 0.98, **arguments), 5 * MANY)
    assert_close(found, feed(optax.scale_by_lion(0.9, 0.98, **arguments), 5 * MANY)[0])
    small = np.mean(np.abs(found) < 0.5)
    assert small == 0 if mode == "hard" else 0.1 < small < 0.9


def test_each_leaf_has_its_own_smoothness():
    tree, one = ({"w": 0.5, "b": moving(3.0)}, 0.5)
    found, alone = (feed(mo.scale_by_lion(mode="smooth", smooth_beta=s), split(GRADIENTS))[0] for s in (tree, one))
    assert_close(found["w"], alone["w"])
    steepness = np.array([moving(3.0)(count) for count in range(40)])[:, None]
    assert_close(found["b"]["deep"], np.tanh(steepness * 2 * np.arctanh(alone["b"]["deep"])), 1e-10)


@pytest.mark.parametrize("b", [0.0, 0.5, 0.9, moving(0.99)])
def test_with_equal_decays_it_is_signum(b):
    signs, states = feed(mo.scale_by_lion(b, b), MANY)
    others, velocities = feed(mo.scale_by_signum(b), MANY)
    assert np.array_equal(signs, others)
    assert np.array_equal(np.asarray(states.velocity), np.asarray(velocities[0].velocity))


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.float32])
@pytest.mark.parametrize("b2", [0.99, 0.9, 0.3])
def test_a_narrow_velocity_turns_only_signs_that_are_near_zero(dtype, b2):
    """The velocity is rounded before the sign is taken: by half a unit in its last place, times `b1 / b2`."""
    stored, _ = feed(mo.scale_by_lion(0.9, b2, mu_dtype=dtype), MANY)
    velocities = np.zeros_like(MANY[0])
    eps = float(jnp.finfo(dtype).eps)
    for g, signs in zip(MANY, stored, strict=True):
        before = 0.9 * velocities + 0.1 * g
        new = b2 * velocities + (1 - b2) * g
        sure = np.abs(before) > 0.9 / b2 * 0.51 * eps * np.abs(new) + 1e-7
        assert np.array_equal(signs[sure], np.sign(before[sure]))
        assert np.mean(sure) > 0.98
        velocities = np.asarray(new.astype(dtype), np.float64)


@pytest.mark.parametrize("b2", [0.99, 0.5, 0.02, 0.0])
def test_in_float32_hardly_a_sign_differs(b2):
    """With a b2 that is not known to be 0, too: then both numbers have half the digits."""
    with jax.enable_x64(False):

        def run(b2):
            tx = mo.scale_by_lion(0.9, b2)
            body = lambda state, g: tx.update(g, state)[::-1]  # noqa: E731
            return jax.lax.scan(body, tx.init(jnp.zeros(MANY.shape[1])), jnp.asarray(MANY, jnp.float32))[1]

        signs = np.asarray(jax.jit(run)(jnp.float32(b2)))
    different = np.mean(signs != exact(MANY.astype(np.float32).astype(np.float64), 0.9, b2))
    assert different < (1e-3 if b2 == 0 else 1e-4)


def test_both_decays_are_seen():
    """In many numbers: of the few that the laws look at none turns."""
    for few, many in (((0.2, 0.99), (0.8, 0.99)), ((0.9, 0.2), (0.9, 0.8))):
        assert 0.01 < np.mean(ours(MANY, *few) != ours(MANY, *many)) < 0.95


def temporary(tx, options):
    params = jnp.ones(100_000)

    def step(params, state, gradient):
        updates, state = tx.update(gradient, state, params)
        return mo.apply_updates(params, updates), state

    lowered = jax.jit(step, donate_argnums=(0, 1)).lower(params, tx.init(params), params)
    return lowered.compile(AS_FOR_USERS | options).memory_analysis().temp_size_in_bytes / params.nbytes


@pytest.mark.parametrize("b2", [0.99, lambda count: count / (count + 100.0)])
@pytest.mark.parametrize("dtype", [None, jnp.bfloat16])
def test_nothing_of_the_size_of_the_tree_is_allocated(b2, dtype):
    """By default options: the old velocity need not outlive the new one. Optax's twin copies it."""
    assert temporary(mo.lion(0.1, b2=b2, state_dtype=dtype), {}) < 0.01
    assert temporary(optax.lion(0.1), {}) > 0.9


def test_at_a_plain_zero_the_old_velocity_is_read():
    assert temporary(mo.lion(0.1, b2=0.0), {}) > 0.9
    assert temporary(mo.lion(0.1, b2=0.0), compiler_options()) < 0.01


def test_without_a_past_none_is_kept():
    for zero in (0, 0.0, None):
        assert not any(leaf.shape for leaf in jax.tree.leaves(mo.scale_by_lion(zero, 0.9).init(jnp.ones(3))))


def test_reset_finds_the_velocity():
    tx = mo.scale_by_lion()
    _, state = tx.update(jnp.ones(3), tx.init(jnp.ones(3)))
    assert np.all(mo.reset(state).velocity == 0)


def test_numbers_out_of_range_are_refused_by_name():
    with pytest.raises(ValueError, match=r"b2 must be in \[0, 1\); got 1.0"):
        mo.lion(0.1, b2=1.0)
    with pytest.raises(TypeError, match="mu_dtype must be a floating dtype"):
        mo.lion(0.1, mu_dtype=jnp.int32)
    with pytest.raises(ValueError, match="b1 is a tree that does not fit"):
        mo.lion(0.1, {"x": 0.9}).init({"w": jnp.ones(2)})
    with pytest.raises(ValueError, match="smooth_beta is a tree that does not fit"):
        mo.scale_by_lion(smooth_beta={"x": 0.9}).init({"w": jnp.ones(2)})
    with pytest.raises(ValueError, match=r"smooth_beta must be finite and above 0; got 0\.0"):
        mo.scale_by_lion(smooth_beta=0.0)
    with pytest.raises(ValueError, match="mode must be one of 'hard', 'smooth', 'refined'; got 'soft'"):
        mo.scale_by_lion(mode="soft")  # pyright: ignore[reportArgumentType]
