"""Cosine annealing with warm restarts, with and without a velocity that starts anew.

`warm_restarts` hands out the learning rate and the times of the restarts, so that they cannot drift apart. Where the
learning rate is outside the velocity (heavy ball), the velocity of the last cycle's end is multiplied by the new peak;
where it is inside (Nesterov), the velocity has shrunk with the learning rate already.

    python examples/13_warm_restarts.py
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import momentum_optax as mo
from momentum_optax import schedules, wrappers

BATCH, RATE, BETA = 64, 0.1, 0.95


def methods(steps: int) -> dict[str, optax.GradientTransformation]:
    """Three cycles, each twice as long as the one before."""
    warm = schedules.warm_restarts(RATE, period=steps // 7, t_mult=2, beta=BETA)
    heavy_ball, nesterov = mo.heavy_ball(warm.learning_rate, warm.beta), mo.nesterov(warm.learning_rate, warm.beta)
    return {
        "heavy ball": heavy_ball,
        "heavy ball, velocity anew": wrappers.restart_when(heavy_ball, warm.restarts),
        "Nesterov": nesterov,
        "Nesterov, velocity anew": wrappers.restart_when(nesterov, warm.restarts),
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


def main(steps: int = 280, seeds: int = 20) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """For each method, the loss on all training digits before each update `[seeds, steps]`, and test accuracies."""
    train_images, test_images, train_labels, test_labels = data()

    def loss(params, rows=slice(None)):
        logits = predict(params, train_images[rows])
        return optax.softmax_cross_entropy_with_integer_labels(logits, train_labels[rows]).mean()

    def train(tx, key):
        start, shuffle = jax.random.split(key)

        def step(carry, rows):
            params, state = carry
            updates, new = tx.update(jax.grad(loss)(params, rows), state, params)
            return (mo.apply_updates(params, updates), new), loss(mo.eval_params(state, params, missing="params"))

        params = network(start)
        rows = jax.random.randint(shuffle, (steps, BATCH), 0, len(train_images))
        (params, state), losses = jax.lax.scan(step, (params, tx.init(params)), rows)
        hits = jnp.argmax(predict(mo.eval_params(state, params, missing="params"), test_images), axis=-1) == test_labels
        return losses, jnp.mean(hits)

    keys, results = jax.random.split(jax.random.key(0), seeds), {}
    third = 3 * (steps // 7)
    print(f"medians of {seeds} seeds            the loss before the third cycle, its peak in it, at the end   accuracy")
    for name, tx in methods(steps).items():
        losses, accuracy = jax.jit(jax.vmap(lambda key, tx=tx: train(tx, key)))(keys)
        results[name] = losses, accuracy = np.asarray(losses, np.float64), np.asarray(accuracy, np.float64)
        marks = losses[:, third], losses[:, third : 2 * third].max(axis=1), losses[:, -1]
        half = 1.96 * np.std(accuracy, ddof=1) / np.sqrt(seeds)
        shown = "".join(f"{np.median(mark):14.5f}" for mark in marks)
        print(f"{name:40}{shown}   {np.mean(accuracy):.4f} ± {half:.4f}")
    return results


if __name__ == "__main__":
    main()
