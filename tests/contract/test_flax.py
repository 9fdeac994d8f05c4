"""Every optimizer in the hands of Flax: `nnx.Optimizer` and linen's `TrainState`."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from flax.training.train_state import TrainState

from momentum_optax.catalog import CATALOG

OPTIMIZERS = [m for m in CATALOG if m.kind == "optimizer" and "learning_rate" in m.defaults and not m.lookahead]
X = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
Y = X @ np.array([[1.0], [-2.0], [0.5]], np.float32)


def build(method):
    return method.build(**{**method.defaults, "learning_rate": 0.01})


@pytest.mark.parametrize("method", OPTIMIZERS, ids=lambda m: m.name)
def test_nnx_optimizer_trains(method):
    model = nnx.Linear(3, 1, rngs=nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, build(method), wrt=nnx.Param)

    @nnx.jit
    def step(model, optimizer):
        loss, grads = nnx.value_and_grad(lambda m: jnp.mean((m(X) - Y) ** 2))(model)
        optimizer.update(model, grads)
        return loss

    losses = [float(step(model, optimizer)) for _ in range(10)]
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]


class Linear(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(1)(x)


@pytest.mark.parametrize("method", OPTIMIZERS, ids=lambda m: m.name)
def test_linen_train_state_trains(method):
    model = Linear()
    state = TrainState.create(apply_fn=model.apply, params=model.init(jax.random.key(0), X), tx=build(method))

    @jax.jit
    def step(state):
        loss, grads = jax.value_and_grad(lambda p: jnp.mean((state.apply_fn(p, X) - Y) ** 2))(state.params)
        return state.apply_gradients(grads=grads), loss

    losses = []
    for _ in range(10):
        state, loss = step(state)
        losses.append(float(loss))
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]
