"""The ready training step, on models of `flax.nnx`."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from helpers import noise

import momentum_optax as mo

X, Y = (jnp.asarray(noise(8, k, seed=k), jnp.float32) for k in (3, 2))


def test_a_model_looks_ahead_too():
    tx = mo.nesterov_lookahead(0.1)
    model, twin = (nnx.Linear(3, 2, rngs=nnx.Rngs(0)) for _ in range(2))
    graph, mine = nnx.split(twin)
    state, my_state = tx.init(nnx.state(model, nnx.Param)), tx.init(mine)
    step = mo.make_step(model_loss, tx)
    for _ in range(4):
        model, state, _ = step(model, state, (X, Y))
        ahead = mo.lookahead_params(my_state, mine)
        gradients = jax.grad(lambda p: model_loss(nnx.merge(graph, p), (X, Y)))(ahead)
        updates, my_state = tx.update(gradients, my_state, mine)
        mine = mo.apply_updates(mine, updates)
    trained, by_hand = nnx.to_pure_dict(nnx.state(model, nnx.Param)), nnx.to_pure_dict(mine)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7), trained, by_hand)


class Network(nnx.Module):
    """A layer, running statistics and random numbers."""

    def __init__(self, rngs):
        self.first = nnx.Linear(3, 4, rngs=rngs)
        self.norm = nnx.BatchNorm(4, rngs=rngs)
        self.drop = nnx.Dropout(0.5, rngs=rngs)
        self.last = nnx.Linear(4, 2, rngs=rngs)

    def __call__(self, x):
        return self.last(self.drop(jax.nn.relu(self.norm(self.first(x)))))


def model_loss(model, batch):
    x, y = batch
    return jnp.mean((model(x) - y) ** 2)


def snapshot(model):
    return jax.tree.map(np.array, nnx.to_pure_dict(nnx.state(model, nnx.Not(nnx.RngKey))))


def test_a_model_is_trained_in_place_with_its_statistics_and_keys():
    model, twin = Network(nnx.Rngs(0)), Network(nnx.Rngs(0))
    tx = mo.heavy_ball(0.05)
    state = tx.init(nnx.state(model, nnx.Param))
    step = mo.make_step(model_loss, tx)
    optimizer = nnx.Optimizer(twin, tx, wrt=nnx.Param)
    before = snapshot(model)
    for _ in range(3):
        same, state, metrics = step(model, state, (X, Y))
        loss, gradients = nnx.value_and_grad(model_loss)(twin, (X, Y))
        optimizer.update(twin, gradients)
        assert same is model
        np.testing.assert_allclose(metrics["loss"], loss, rtol=1e-5)
    after, by_hand = snapshot(model), snapshot(twin)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), after, by_hand)
    assert np.any(after["norm"]["mean"] != before["norm"]["mean"])
    assert after["drop"]["rngs"]["count"] == before["drop"]["rngs"]["count"] + 3
    assert np.any(after["first"]["kernel"] != before["first"]["kernel"])


def test_a_models_loss_may_return_more_and_its_old_params_are_used_up():
    model = nnx.Linear(3, 2, rngs=nnx.Rngs(0))
    tx = mo.nesterov(0.1)
    state, old = tx.init(nnx.state(model, nnx.Param)), model.kernel[...]
    step = mo.make_step(lambda m, batch: (model_loss(m, batch), m(batch[0])), tx, has_aux=True)
    model, state, metrics = step(model, state, (X, Y))
    assert metrics["aux"].shape == (8, 2)
    assert old.is_deleted()
    # The state knows the point to evaluate at, as a tree like the one that `init` saw.
    answer = mo.eval_params(state, nnx.state(model, nnx.Param))
    assert np.any(np.asarray(answer["kernel"][...]) != np.asarray(model.kernel[...]))
