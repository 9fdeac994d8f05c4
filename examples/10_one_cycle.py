"""One-cycle training: the learning rate goes up and down once while momentum goes down and up, against constants.

Each schedule gets the same budget: the same learning rates are tried, the best on validation digits is kept, and its
accuracy on test digits is reported, as a mean over seeds with its 95 % interval.

    python examples/10_one_cycle.py
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import momentum_optax as mo
from momentum_optax import schedules

BATCH, HIGH, LOW = 64, 0.95, 0.85
RATES = np.geomspace(0.01, 1.0, 7)


def methods(rate: jax.Array, steps: int) -> dict[str, optax.GradientTransformation]:
    """Each schedule at one (peak) learning rate."""

    def up_and_down(count):
        """As high as the momentum is low, from a tenth of the rate to all of it."""
        away = (HIGH - inverse(count)) / (HIGH - LOW)
        return rate * (0.1 + 0.9 * away)

    inverse = schedules.one_cycle(steps, base=HIGH, low=LOW)
    return {
        "constant rate, constant beta of 0.85": mo.nesterov(rate, LOW),
        "constant rate, constant beta of 0.95": mo.nesterov(rate, HIGH),
        "one-cycle rate, constant beta of 0.85": mo.nesterov(up_and_down, LOW),
        "one-cycle rate, constant beta of 0.95": mo.nesterov(up_and_down, HIGH),
        "one-cycle rate, inverse momentum": mo.nesterov(up_and_down, inverse),
    }


def data() -> list[jax.Array]:
    images, labels = load_digits(return_X_y=True)
    images = (images / 16).astype(np.float32)
    images, test_images, labels, test_labels = train_test_split(images, labels, test_size=0.4, random_state=0)
    split = train_test_split(images, labels, test_size=0.3, random_state=0)
    return [jnp.asarray(part) for part in (*split, test_images, test_labels)]


def network(key: jax.Array) -> dict[str, jax.Array]:
    first, second = jax.random.split(key)
    return {
        "hidden": jax.random.normal(first, (64, 64)) / 8,
        "logits": jax.random.normal(second, (64, 10)) / 8,
    }


def predict(params: dict[str, jax.Array], images: jax.Array) -> jax.Array:
    return jax.nn.relu(images @ params["hidden"]) @ params["logits"]


def main(steps: int = 200, seeds: int = 20) -> dict[str, tuple[float, np.ndarray]]:
    """For each schedule, its best learning rate and the test accuracies there, one for each seed."""
    train_images, valid_images, train_labels, valid_labels, test_images, test_labels = data()

    def loss(params, rows):
        logits = predict(params, train_images[rows])
        return optax.softmax_cross_entropy_with_integer_labels(logits, train_labels[rows]).mean()

    def accuracy(params, images, labels):
        return jnp.mean(jnp.argmax(predict(params, images), axis=-1) == labels)

    def train(name, rate, key):
        start, shuffle = jax.random.split(key)
        tx, params = methods(rate, steps)[name], network(start)

        def step(carry, rows):
            params, state = carry
            updates, state = tx.update(jax.grad(loss)(params, rows), state, params)
            return (mo.apply_updates(params, updates), state), None

        rows = jax.random.randint(shuffle, (steps, BATCH), 0, len(train_images))
        (params, state), _ = jax.lax.scan(step, (params, tx.init(params)), rows)
        answer = mo.eval_params(state, params, missing="params")
        return accuracy(answer, valid_images, valid_labels), accuracy(answer, test_images, test_labels)

    keys, results = jax.random.split(jax.random.key(0), seeds), {}
    print(f"after {steps} steps, {seeds} seeds               learning rate   test accuracy")
    for name in methods(jnp.asarray(0.1), steps):
        over_seeds = jax.vmap(lambda rate, key, name=name: train(name, rate, key), in_axes=(None, 0))
        valid, test = jax.jit(jax.vmap(over_seeds, in_axes=(0, None)))(jnp.asarray(RATES), keys)
        best = int(np.argmax(np.mean(valid, axis=1)))
        results[name] = (float(RATES[best]), np.asarray(test[best], np.float64))
        half = 1.96 * np.std(results[name][1], ddof=1) / np.sqrt(seeds)
        print(f"{name:45}{RATES[best]:6.3f}   {np.mean(results[name][1]):.4f} ± {half:.4f}")
    return results


if __name__ == "__main__":
    main()
