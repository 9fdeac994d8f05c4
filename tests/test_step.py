"""The ready training step, on trees."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import noise

import momentum_optax as mo

X, Y = (jnp.asarray(noise(8, k, seed=k), jnp.float32) for k in (3, 2))


def fresh():
    return {"w": jnp.full((3, 2), 0.1, jnp.float32), "b": jnp.zeros((1, 2))}


def loss_fn(params, batch):
    x, y = batch
    return jnp.mean((x @ params["w"] + params["b"] - y) ** 2)


def test_the_step_is_the_one_written_by_hand():
    tx = optax.chain(optax.clip_by_global_norm(0.5), mo.nesterov(0.1, weight_decay=0.01))
    step = mo.make_step(loss_fn, tx)
    params, mine = fresh(), fresh()
    state, my_state = tx.init(params), tx.init(mine)
    for _ in range(5):
        params, state, metrics = step(params, state, (X, Y))
        loss, gradients = jax.value_and_grad(loss_fn)(mine, (X, Y))
        updates, my_state = tx.update(gradients, my_state, mine)
        mine = optax.apply_updates(mine, updates)
        np.testing.assert_allclose(metrics["loss"], loss, rtol=1e-6)
        assert set(metrics) == {"loss"}
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7), (params, state), (mine, my_state))


def test_the_step_is_compiled_once():
    traces = []

    def counted(params, batch):
        traces.append(1)
        return loss_fn(params, batch)

    tx = mo.qhm(optax.linear_schedule(0.1, 0.0, 10), 0.9)
    step = mo.make_step(counted, tx)
    params = fresh()
    state = tx.init(params)
    params, state, _ = step(params, state, (X, Y))
    first = len(traces)
    for _ in range(3):
        params, state, _ = step(params, state, (X, Y))
    assert len(traces) == first


def by_hand(tx, steps, look=lambda state, params: params):
    """The params after these many steps that nobody compiled, and the losses."""
    params, losses = fresh(), []
    state = tx.init(params)
    for _ in range(steps):
        loss, gradients = jax.value_and_grad(loss_fn)(look(state, params), (X, Y))
        updates, state = tx.update(gradients, state, params)
        params = mo.apply_updates(params, updates)
        losses.append(loss)
    return params, losses


def assert_same(actual, expected):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7), actual, expected)


def test_a_step_can_be_part_of_a_larger_program():
    tx = mo.nesterov(0.1, lambda count: 1 - 3 / (count + 3))
    step = mo.make_step(loss_fn, tx)
    expected, losses = by_hand(tx, 4)

    def body(carry, _):
        params, state, metrics = step(*carry, (X, Y))
        return (params, state), metrics["loss"]

    @jax.jit
    def scanned(params):
        (params, _), losses = jax.lax.scan(body, (params, tx.init(params)), None, 4)
        return params, losses

    @jax.jit
    def unrolled(params):
        carry, losses = (params, tx.init(params)), []
        for _ in range(4):
            carry, loss = body(carry, None)
            losses.append(loss)
        return carry[0], jnp.stack(losses)

    for program in (scanned, unrolled):
        params = fresh()
        assert_same(program(params), (expected, np.stack(losses)))
        assert not any(leaf.is_deleted() for leaf in jax.tree.leaves(params))
    # A scan that is not itself inside of `jit`; what it starts from is not used up.
    params = fresh()
    state = tx.init(params)
    (last, _), _ = jax.lax.scan(body, (params, state), None, 4)
    assert_same(last, expected)
    assert not any(leaf.is_deleted() for leaf in jax.tree.leaves((params, state)))


def test_steps_of_several_runs_can_be_mapped():
    def trained(learning_rate):
        tx = mo.heavy_ball(learning_rate)
        params = fresh()
        return mo.make_step(loss_fn, tx)(params, tx.init(params), (X, Y))[0]

    lanes = jax.jit(jax.vmap(trained))(jnp.asarray([0.1, 0.2]))
    for lane, learning_rate in enumerate((0.1, 0.2)):
        assert_same(jax.tree.map(lambda p, lane=lane: p[lane], lanes), by_hand(mo.heavy_ball(learning_rate), 1)[0])


@pytest.mark.parametrize("wrap", [lambda tx: tx, lambda tx: optax.chain(optax.clip_by_global_norm(0.5), tx)])
def test_the_gradient_is_taken_where_the_method_wants_it(wrap):
    tx = wrap(mo.nesterov_lookahead(0.1, lambda count: 1 - 3 / (count + 3)))
    step, params, losses = mo.make_step(loss_fn, tx), fresh(), []
    state = tx.init(params)
    for _ in range(6):
        params, state, metrics = step(params, state, (X, Y))
        losses.append(metrics["loss"])
    assert_same((params, losses), by_hand(tx, 6, mo.lookahead_params))
    at_the_params, _ = by_hand(tx, 6)
    assert np.max(np.abs(at_the_params["w"] - params["w"])) > 1e-3


def test_a_batch_may_hold_the_params_and_what_nobody_uses():
    tx, params = mo.heavy_ball(0.1), {"w": jnp.ones((3, 2)), "b": jnp.zeros((1, 2))}
    gone = jnp.ones(3)
    gone.delete()
    batch = {"xy": (X, Y), "start": params, "gone": gone}
    pulled = lambda p, batch: loss_fn(p, batch["xy"]) + jnp.sum((p["w"] - batch["start"]["w"]) ** 2)  # noqa: E731
    step = mo.make_step(pulled, tx)
    _, _, metrics = step(params, tx.init(params), batch)
    np.testing.assert_allclose(
        metrics["loss"], loss_fn({"w": np.ones((3, 2)), "b": np.zeros((1, 2))}, (X, Y)), rtol=1e-6
    )


def test_params_and_state_are_used_up_unless_told_otherwise():
    tx = mo.heavy_ball(0.1)
    for donate in (True, False):
        params = fresh()
        state = tx.init(params)
        mo.make_step(loss_fn, tx, donate=donate)(params, state, (X, Y))
        assert params["w"].is_deleted() is donate
        assert state[0].velocity["w"].is_deleted() is donate
        assert not X.is_deleted()


def test_what_the_loss_returns_beside_the_loss_is_among_the_metrics():
    def with_aux(params, batch):
        return loss_fn(params, batch), {"largest": jnp.max(params["w"]), "kind": (params["b"],)}

    tx = mo.heavy_ball(0.1)
    params = fresh()
    params, _, metrics = mo.make_step(with_aux, tx, has_aux=True)(params, tx.init(params), (X, Y))
    assert set(metrics) == {"loss", "aux"}
    np.testing.assert_allclose(metrics["loss"], loss_fn(fresh(), (X, Y)), rtol=1e-6)
    np.testing.assert_allclose(metrics["aux"]["largest"], 0.1)
    np.testing.assert_array_equal(metrics["aux"]["kind"][0], np.zeros((1, 2)))


def listener(heard):
    """A transformation that keeps what it is told in its state."""

    def update(updates, state, params=None, **extra):
        del state, params
        return updates, heard(updates, extra)

    return optax.GradientTransformationExtraArgs(lambda params: jnp.zeros(()), update)


def test_the_chain_is_told_the_loss_the_gradient_and_the_function():
    def heard(updates, extra):
        assert set(extra) == {"value", "grad", "value_fn"}
        same = jnp.all(extra["grad"]["w"] == updates["w"])
        return jnp.where(same, extra["value"] + extra["value_fn"](jax.tree.map(jnp.zeros_like, updates)), jnp.nan)

    tx = optax.chain(listener(heard), mo.heavy_ball(0.1))
    params = fresh()
    _, state, metrics = mo.make_step(loss_fn, tx)(params, tx.init(params), (X, Y))
    at_zero = loss_fn(jax.tree.map(jnp.zeros_like, fresh()), (X, Y))
    np.testing.assert_allclose(state[0], metrics["loss"] + at_zero, rtol=1e-6)


def test_extra_arguments_of_the_caller_reach_the_chain_and_win():
    tx = optax.chain(listener(lambda _, extra: extra["value"] + extra["temperature"]), mo.heavy_ball(0.1))
    params = fresh()
    _, state, _ = mo.make_step(loss_fn, tx)(params, tx.init(params), (X, Y), temperature=jnp.float32(3), value=4.0)
    assert float(state[0]) == 7.0


def test_a_rate_that_waits_for_a_plateau_sees_the_loss():
    """The loss cannot fall, so that after the patience the learning rate is halved at every step."""
    tx = optax.chain(mo.heavy_ball(0.0), optax.contrib.reduce_on_plateau(factor=0.5, patience=1, cooldown=0))
    params = fresh()
    state = tx.init(params)
    step = mo.make_step(loss_fn, tx)
    scales = []
    for _ in range(5):
        params, state, _ = step(params, state, (X, Y))
        scales.append(float(state[-1].scale))
    assert scales[0] == 1.0
    assert scales[-1] < 0.5


def test_a_line_search_can_evaluate_the_loss_and_hold_one_array_twice():
    """The first state of L-BFGS has the same zeros in several places, which cannot all be used up."""
    tx = optax.lbfgs()
    params = fresh()
    state = tx.init(params)
    step, losses = mo.make_step(loss_fn, tx), []
    for _ in range(10):
        params, state, metrics = step(params, state, (X, Y))
        losses.append(float(metrics["loss"]))
    least = np.linalg.lstsq(np.c_[X, np.ones(8)], np.asarray(Y), rcond=None)[1].sum() / Y.size
    np.testing.assert_allclose(losses[-1], least, rtol=1e-3)


def test_transformations_without_extra_arguments_and_low_precision_work():
    params = jax.tree.map(lambda p: p.astype(jnp.bfloat16), fresh())
    tx = optax.sgd(0.1)
    params, _, metrics = mo.make_step(loss_fn, tx)(params, tx.init(params), (X, Y))
    assert params["w"].dtype == jnp.bfloat16
    assert np.isfinite(metrics["loss"])


def test_what_is_no_function_or_no_transformation_is_refused():
    with pytest.raises(TypeError, match=r"loss_fn must be a function of \(params, batch\); got 3"):
        mo.make_step(3, mo.heavy_ball(0.1))
    with pytest.raises(TypeError, match="tx must be a gradient transformation; got <function"):
        mo.make_step(loss_fn, mo.heavy_ball)


def test_a_loss_that_is_no_scalar_says_so():
    tx = mo.heavy_ball(0.1)
    params = fresh()
    with pytest.raises(TypeError, match="scalar"):
        mo.make_step(lambda p, batch: batch[0] @ p["w"], tx)(params, tx.init(params), (X, Y))
