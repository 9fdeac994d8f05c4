"""Learning rates x betas x seeds in one compiled program, in plain JAX.

A training run is a pure function of its hyperparameters and a key, so `jax.vmap` turns it into a sweep. This works
because the optimizers take traced numbers for their coefficients, in every dtype; here the network is bfloat16.
`momentum_optax.sweeps.sweep` does the same for large grids, with progress, tables and pictures.

    python examples/04_vmapped_sweep.py
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import momentum_optax as mo

LEARNING_RATES = jnp.array([0.01, 0.1, 1.0, 10.0])
BETAS = jnp.array([0.0, 0.9, 0.99])
BATCH = 64


def data() -> tuple[jax.Array, ...]:
    images, labels = load_digits(return_X_y=True)
    split = train_test_split(images / 16, labels, test_size=0.2, random_state=0)
    train_images, test_images, train_labels, test_labels = map(jnp.asarray, split)
    return train_images.astype(jnp.bfloat16), train_labels, test_images.astype(jnp.bfloat16), test_labels


def network(key: jax.Array) -> dict[str, jax.Array]:
    first, second = jax.random.split(key)
    return {
        "hidden": jax.random.normal(first, (64, 64), jnp.bfloat16) / 8,
        "logits": jax.random.normal(second, (64, 10), jnp.bfloat16) / 8,
    }


def predict(params: dict[str, jax.Array], images: jax.Array) -> jax.Array:
    return (jax.nn.relu(images @ params["hidden"]) @ params["logits"]).astype(jnp.float32)


def main(steps: int = 200, seeds: int = 3) -> np.ndarray:
    """Held-out accuracy, `[learning rates, betas, seeds]`."""
    train_images, train_labels, test_images, test_labels = data()

    def loss(params, rows):
        logits = predict(params, train_images[rows])
        return optax.softmax_cross_entropy_with_integer_labels(logits, train_labels[rows]).mean()

    def train(learning_rate, beta, key):
        """One run, from nothing to its accuracy."""
        tx = mo.ema_momentum(learning_rate, beta, state_dtype=jnp.float32)
        start, shuffle = jax.random.split(key)

        def step(carry, rows):
            params, state = carry
            updates, state = tx.update(jax.grad(loss)(params, rows), state, params)
            return (mo.apply_updates(params, updates), state), None

        params = network(start)
        rows = jax.random.randint(shuffle, (steps, BATCH), 0, len(train_images))
        (params, _), _ = jax.lax.scan(step, (params, tx.init(params)), rows)
        hits = jnp.argmax(predict(params, test_images), axis=-1) == test_labels
        return jnp.mean(hits, dtype=jnp.float32)

    over_seeds = jax.vmap(train, in_axes=(None, None, 0))
    over_betas = jax.vmap(over_seeds, in_axes=(None, 0, None))
    over_all = jax.vmap(over_betas, in_axes=(0, None, None))
    accuracy = np.asarray(jax.jit(over_all)(LEARNING_RATES, BETAS, jax.random.split(jax.random.key(0), seeds)))

    print(f"median held-out accuracy over {seeds} seeds after {steps} steps")
    print("learning rate" + "".join(f"   beta {beta:<5.3g}" for beta in BETAS))
    for learning_rate, row in zip(LEARNING_RATES, np.median(accuracy, axis=-1), strict=True):
        print(f"{learning_rate:13.3g}" + "".join(f"{value:13.3f}" for value in row))
    return accuracy


if __name__ == "__main__":
    main()
