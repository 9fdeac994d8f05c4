"""A problem that compiles in a moment: three classes of points in four dimensions, eight hidden units."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from momentum_optax.sweeps import Data, cross_entropy, supervised


def make_data(train=60, test=30):
    rng = np.random.default_rng(0)
    labels = np.arange(train + test, dtype=np.int32) % 3
    inputs = (rng.normal(size=(train + test, 4)) + 2 * np.eye(3, 4)[labels]).astype(np.float32)
    return Data(inputs[:train], labels[:train], inputs[train:], labels[train:])


def init(key):
    a, b = jax.random.split(key)
    return {"a": jax.random.normal(a, (4, 8)) / 2, "b": jax.random.normal(b, (8, 3)) / 3, "c": jnp.zeros(3)}


def apply(params, inputs):
    return jnp.tanh(inputs @ params["a"]) @ params["b"] + params["c"][None]


def sgd(hyper):
    return optax.sgd(hyper["learning_rate"], hyper["beta"])


def make_trial(batch_size=6, optimizer=sgd, **options):
    return supervised((init, apply), cross_entropy, make_data(), optimizer=optimizer, batch_size=batch_size, **options)
