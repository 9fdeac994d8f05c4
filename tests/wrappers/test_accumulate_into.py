"""`accumulate_into` against the mean gradient in NumPy, and against `optax.MultiSteps`."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import assert_close, feed, moving, noise, split

import momentum_optax as mo
from momentum_optax.wrappers.accumulate_into import accumulate_into

K, GROUPS = 3, 8
MICRO = noise(K * GROUPS, 5, seed=1)
MEANS = MICRO.reshape(GROUPS, K, 5).mean(1)


def reference(learning_rate, beta, *, average=False, inside=False):
    """Momentum on the mean gradients, with coefficients that see the count of the groups; zeros between."""
    velocity, out = np.zeros(5), []
    for count, g in enumerate(MEANS):
        b, lr = beta(count), learning_rate(count)
        velocity = b * velocity + (1 - b if average else lr if inside else 1) * g
        out += [0 * g] * (K - 1) + [-velocity if inside else -lr * velocity]
    return np.array(out)


@pytest.mark.parametrize(
    ("build", "options"),
    [
        (mo.heavy_ball, {}),
        (mo.ema_momentum, {"average": True}),
        (lambda lr, beta: mo.heavy_ball(lr, beta, lr_in_velocity=True), {"inside": True}),
        (lambda lr, beta: optax.chain(mo.scale_by_learning_rate(lr), mo.trace(beta)), {"inside": True}),
    ],
    ids=["heavy_ball", "ema_momentum", "lr_in_velocity", "lr_before"],
)
def test_the_mean_gradient_under_schedules_that_count_groups(build, options):
    learning_rate, beta = moving(0.1), moving(0.9)
    updates, _ = feed(accumulate_into(build(learning_rate, beta), K), MICRO)
    assert_close(updates, reference(learning_rate, beta, **options))


METHODS = {
    "heavy_ball": mo.heavy_ball(moving(0.1), {"w": 0.9, "b": 0.5}, weight_decay=0.1),
    "debiased": mo.ema(moving(0.9)),
    "pnm": mo.pnm(0.1),
    "coupled decay": optax.chain(mo.add_decayed_weights(0.1), mo.trace(0.9), mo.scale_by_learning_rate(0.1)),
    "torch": mo.compat.torch_sgd(0.1, 0.9, dampening=0.5),
    "keras": mo.compat.keras_sgd(0.1, 0.9, weight_decay=0.1),
    "Optax": optax.sgd(moving(0.1), momentum=0.9),
    "clipped after": optax.chain(mo.trace(0.9), optax.clip_by_global_norm(0.5)),
    "injected": optax.inject_hyperparams(mo.heavy_ball)(learning_rate=moving(0.1), beta=0.9),
    "two parts": mo.blend((0.3, mo.trace(0.9)), (0.7, mo.ema(0.5))),
}


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("k", [1, 4])
def test_same_as_multi_steps_and_nothing_more_in_the_state(name, k):
    tx = METHODS[name]
    params = split(np.broadcast_to(noise(5, seed=2), (24, 5)))
    updates, states = feed(accumulate_into(tx, k), split(MICRO), params)
    at_means, alone = feed(tx, split(MICRO.reshape(-1, k, 5).mean(1)), jax.tree.map(lambda p: p[::k], params))
    # The mean of MultiSteps divides counts, in float32 whatever the params.
    peer, _ = feed(optax.MultiSteps(tx, k).gradient_transformation(), split(MICRO), params)
    for ours, expected, theirs in zip(*map(jax.tree.leaves, (updates, at_means, peer)), strict=True):
        assert_close(ours[k - 1 :: k], expected, 1e-11)
        assert_close(ours, theirs, 1e-5)
    for ours, expected in zip(*map(jax.tree.leaves, (states.inner_state, alone)), strict=True):
        np.testing.assert_allclose(ours[k - 1 :: k], expected, rtol=1e-11)


def test_bytes():
    params = {"w": jnp.ones((100, 10)), "b": jnp.ones(10)}
    size = lambda state: sum(x.nbytes for x in jax.tree.leaves(state))  # noqa: E731
    tx = mo.heavy_ball(0.1)
    alone = size(tx.init(params))
    assert size(accumulate_into(tx, 4).init(params)) == alone + 4
    assert size(optax.MultiSteps(tx, 4).init(params)) > alone + 4000


def test_low_precision_is_rounded_only_when_stored():
    gradients = jnp.asarray(MICRO[:, :3], jnp.bfloat16)
    for dtype in ("bfloat16", "float16"):
        tx = accumulate_into(mo.heavy_ball(0.1, 0.9), K)
        state = tx.init(jnp.zeros(3, dtype))
        for g in gradients[:K]:
            updates, state = tx.update(g.astype(dtype), state)
        mean = np.asarray(gradients[:K], np.float64).mean(0)
        np.testing.assert_allclose(updates.astype("float32"), -0.1 * mean, rtol=0.03)
        assert state.inner_state[0].velocity.dtype == dtype


@pytest.mark.parametrize(
    ("tx", "why"),
    [
        (mo.nesterov(0.1), "besides the velocity"),
        (mo.qhm(0.1), "besides the velocity"),
        (mo.aggmo(0.1), "besides the velocity"),  # one of its betas is 0
        (mo.heavy_ball(0.1, {"w": 0.9, "b": 0.0}), "besides the velocity"),
        (optax.adam(0.1), "besides the velocity"),
        (mo.divide(mo.ema(0.9), by=mo.root_mean_square(0.99)), "besides the velocity"),
        (optax.sgd(0.1, momentum=0.9, nesterov=True), "besides the velocity"),
        (optax.chain(optax.clip_by_global_norm(1.0), mo.trace(0.9)), "not linear"),
        (optax.chain(optax.scale_by_sign(), mo.trace(0.9)), "not linear"),
        (mo.heavy_ball(0.1, 0.0), "keeps no velocity"),
        (mo.difference(), "keeps no velocity"),
        (optax.sgd(0.1), "keeps no velocity"),
    ],
)
def test_what_needs_the_mean_gradient_is_refused(tx, why):
    params = {"w": jnp.ones(3), "b": jnp.ones(2)}
    with pytest.raises(ValueError, match=why):
        accumulate_into(tx, 2).init(params)
    with pytest.raises(ValueError, match=why):
        jax.eval_shape(accumulate_into(tx, 2).init, params)


def test_traced_coefficients_are_looked_through():
    def last(beta, k):
        tx = accumulate_into(mo.heavy_ball(0.1, beta), k)
        return jax.lax.scan(lambda s, g: tx.update(g, s)[::-1], tx.init(jnp.zeros(5)), jnp.asarray(MICRO))[1]

    with jax.enable_x64(True):
        lanes = jax.vmap(lambda beta: last(beta, K))(jnp.array([0.0, 0.9]))
    for lane, beta in zip(lanes, (0.0, 0.9), strict=True):
        assert_close(lane, reference(lambda count: 0.1, lambda count, beta=beta: beta))
    with pytest.raises(ValueError, match="besides the velocity"):
        jax.vmap(lambda beta: accumulate_into(mo.nesterov(0.1, beta), 2).init(jnp.ones(2)))(jnp.array([0.5, 0.9]))


@pytest.mark.parametrize(("k", "error"), [(0, ValueError), (2.0, TypeError), (True, TypeError), (None, TypeError)])
def test_bad_k(k, error):
    with pytest.raises(error, match="k must be"):
        accumulate_into(mo.heavy_ball(0.1), k)
