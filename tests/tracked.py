"""What the tests of `track` share: a stream of gradients, and the metrics after each of them."""

import jax
import jax.numpy as jnp
import numpy as np
from helpers import noise

from momentum_optax import metrics, track

NAMES = (
    *("gradient_norm", "velocity_norm", "update_norm", "param_norm", "update_ratio", "cosine"),
    *("effective_learning_rate", "effective_horizon", "sign_flips", "gradient_growth", "restarts", "skipped"),
)


def watch(tx, gradients, params=None, **options) -> dict[str, np.ndarray]:
    """The metrics after each of a stream of gradients."""
    tx = track(tx, **options)

    def body(state, g):
        _, state = tx.update(g, state, params)
        return state, metrics(state)

    return jax.tree.map(
        np.asarray, jax.jit(lambda g: jax.lax.scan(body, tx.init(jax.tree.map(lambda x: x[0], g)), g)[1])(gradients)
    )


def stream(steps=60, seed=0):
    return {
        "a": jnp.asarray(noise(steps, 40, 30, seed=seed), jnp.float32),
        "b": jnp.asarray(noise(steps, 50, seed=seed + 1), jnp.float32),
    }
