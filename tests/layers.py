"""What the tests of layer-wise coefficients share: a model of several layers, and its velocities in NumPy."""

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from helpers import noise

import momentum_optax as mo

STEPS = 4


SHAPES = {"embed": (3,), "layers/0/kernel": (2, 3), "layers/0/bias": (2,), "layers/1/kernel": (2, 3), "head": ()}


BETAS = {"embed": 0.0, "layers/0/kernel": 0.5, "layers/0/bias": 0.5, "layers/1/kernel": 0.8, "head": 0.95}


LAYERWISE = mo.layerwise({"embed": 0.0, "layers/0": 0.5, re.compile("1/kernel$"): 0.8}, default=0.95)


STREAMS = {path: noise(STEPS, *shape, seed=i).astype(np.float32) for i, (path, shape) in enumerate(SHAPES.items())}


def as_dict(leaf) -> dict[str, Any]:
    layers = [{"kernel": leaf("layers/0/kernel"), "bias": leaf("layers/0/bias")}, {"kernel": leaf("layers/1/kernel")}]
    return {"embed": leaf("embed"), "layers": layers, "head": leaf("head")}


def zeros(path):
    return jnp.zeros(SHAPES[path])


def gradients(step, container=as_dict):
    return container(lambda path: jnp.asarray(STREAMS[path][step]))


def by_path(tree) -> dict[str, np.ndarray]:
    flat = jax.tree_util.tree_flatten_with_path(nnx.as_pure(tree))[0]
    name = lambda k: str(getattr(k, "key", getattr(k, "name", getattr(k, "idx", None))))  # noqa: E731
    return {"/".join(map(name, path)): np.asarray(leaf) for path, leaf in flat}


def run(tx, container=as_dict, steps=range(STEPS), params=None):
    params = container(zeros) if params is None else params
    state = tx.init(params)
    rows, update = [], jax.jit(tx.update)
    for step in steps:
        updates, state = update(gradients(step, container), state, params)
        rows.append(by_path(updates))
    return rows, state


def trace_in_numpy(betas=BETAS, debias=None):
    """The velocities, each leaf by itself; `debias=True` for a debiased average."""
    rows = []
    velocity, weight = dict.fromkeys(SHAPES, 0.0), dict.fromkeys(SHAPES, 0.0)
    for step in range(STEPS):
        for path in SHAPES:
            beta = betas[path](step) if callable(betas[path]) else betas[path]
            new = 1.0 if debias is None else 1 - beta
            velocity[path] = beta * velocity[path] + new * STREAMS[path][step].astype(np.float64)
            weight[path] = beta * weight[path] + (1 - beta)
        rows.append({path: velocity[path] / (weight[path] if debias else 1) for path in SHAPES})
    return rows


def assert_rows(actual, expected, rtol=1e-5):
    assert len(actual) == len(expected)
    for a, e in zip(actual, expected, strict=True):
        assert set(a) == set(e)
        for path in e:
            np.testing.assert_allclose(a[path], e[path], rtol=rtol, atol=1e-6, err_msg=path)
