"""Outlier gradients, and what keeps them out of the velocity.

Every fortieth batch of digits gets a gradient that is a hundred times too large and points the wrong way, as from
corrupt data; one is NaN. Clipping the update is too late, for by then the velocity holds the outlier. Each defence
wraps the whole optimizer and sees the gradient first; clipping gradients at a fixed norm works where you know it.

    python examples/09_planted_spikes.py
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import momentum_optax as mo
from momentum_optax import wrappers

BATCH, EVERY, SIZE = 64, 40, -100.0

HEAVY_BALL = mo.heavy_ball(0.1, beta=0.9)
DEFENCES = {
    "none": HEAVY_BALL,
    "clipped updates": optax.chain(HEAVY_BALL, optax.clip_by_global_norm(1.0)),
    "clipped gradients": optax.chain(optax.clip_by_global_norm(1.0), HEAVY_BALL),
    "clip_by_velocity": wrappers.clip_by_velocity(HEAVY_BALL, ratio=3.0),
    "skip_spikes": wrappers.skip_spikes(HEAVY_BALL, threshold=4.0),
    "guard_finite": wrappers.guard_finite(HEAVY_BALL),
    "guard_finite and clip": wrappers.guard_finite(wrappers.clip_by_velocity(HEAVY_BALL, ratio=3.0)),
    "guard_finite and skip": wrappers.guard_finite(wrappers.skip_spikes(HEAVY_BALL, threshold=4.0)),
}


def data() -> list[jax.Array]:
    images, labels = load_digits(return_X_y=True)
    split = train_test_split((images / 16).astype(np.float32), labels, test_size=0.2, random_state=0)
    return [jnp.asarray(part) for part in split]


def network(key: jax.Array) -> dict[str, jax.Array]:
    first, second = jax.random.split(key)
    return {
        "hidden": jax.random.normal(first, (64, 64)) / 8,
        "logits": jax.random.normal(second, (64, 10)) / 8,
    }


def predict(params: dict[str, jax.Array], images: jax.Array) -> jax.Array:
    return jax.nn.relu(images @ params["hidden"]) @ params["logits"]


def main(steps: int = 300, seeds: int = 5) -> dict[str, tuple[float, float]]:
    """Median final loss and held-out accuracy of each defence; "undisturbed" is what there is to save."""
    train_images, test_images, train_labels, test_labels = data()

    def loss(params, rows):
        logits = predict(params, train_images[rows])
        return optax.softmax_cross_entropy_with_integer_labels(logits, train_labels[rows]).mean()

    def train(tx, planted, key):
        start, shuffle = jax.random.split(key)

        def step(carry, inputs):
            params, state = carry
            rows, factor = inputs
            gradient = jax.tree.map(lambda g: factor * g, jax.grad(loss)(params, rows))
            updates, state = tx.update(gradient, state, params)
            return (mo.apply_updates(params, updates), state), None

        params = network(start)
        rows = jax.random.randint(shuffle, (steps, BATCH), 0, len(train_images))
        (params, _), _ = jax.lax.scan(step, (params, tx.init(params)), (rows, planted))
        hits = jnp.argmax(predict(params, test_images), axis=-1) == test_labels
        return loss(params, jnp.arange(len(train_images))), jnp.mean(hits)

    spikes = np.ones(steps, np.float32)
    spikes[EVERY::EVERY] = SIZE
    with_nan = spikes.copy()
    with_nan[steps // 2] = np.nan
    runs = {f"{name}, spikes": (tx, spikes) for name, tx in DEFENCES.items()}
    runs |= {f"{name}, spikes and a NaN": (tx, with_nan) for name, tx in DEFENCES.items()}
    keys = jax.random.split(jax.random.key(0), seeds)

    results = {}
    print(f"medians over {seeds} seeds after {steps} steps       loss   held-out accuracy")
    for name, (tx, planted) in {"undisturbed": (HEAVY_BALL, np.ones(steps, np.float32)), **runs}.items():
        over_seeds = jax.jit(jax.vmap(lambda key, tx=tx, planted=planted: train(tx, planted, key)))
        results[name] = tuple(float(np.median(value)) for value in over_seeds(keys))
        print(f"{name:42}{results[name][0]:10.4f}{results[name][1]:20.3f}")
    return results


if __name__ == "__main__":
    main()
