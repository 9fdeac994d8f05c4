"""Fine-tuning a pretrained network with another momentum, or another learning rate, in its early layers.

A Flax network learns the digits 0 to 4, then reads 5 to 9 from a few images of each. One line says what the early
layers do differently; the table says what it was worth, as a mean over seeds with its 95 % interval, beside one beta
for all. In heavy ball a lower beta also makes the steps smaller, by 1 / (1 - beta); in `ema_momentum` it does not.

    python examples/08_layerwise_fine_tuning.py
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import momentum_optax as mo

BATCH, SHOTS = 32, 10  # images of each new digit
RATE, BETA, LOW = 0.05, 0.9, 0.5
EARLY = "body/*"

REDUCED_BETA = mo.layerwise({EARLY: LOW}, default=BETA)
REDUCED_RATE = mo.layerwise({EARLY: RATE / 10}, default=RATE)
METHODS = {
    "one beta": mo.heavy_ball(RATE, BETA),
    "beta reduced early": mo.heavy_ball(RATE, REDUCED_BETA),
    "beta reduced early, same size of steps": mo.ema_momentum(RATE / (1 - BETA), REDUCED_BETA),
    "beta by depth": mo.heavy_ball(RATE, mo.by_depth(lambda depth: LOW + (BETA - LOW) * depth, [EARLY, "head"])),
    "learning rate reduced early": mo.heavy_ball(REDUCED_RATE, BETA),
    "both reduced early": mo.heavy_ball(REDUCED_RATE, REDUCED_BETA),
    "early layers frozen": mo.layerwise_chain({"head": mo.heavy_ball(RATE, BETA)}, default="freeze"),
}


class Network(nnx.Module):
    """64 pixels, two hidden layers that are carried over, and logits of five digits."""

    def __init__(self, rngs: nnx.Rngs):
        self.body = nnx.List([nnx.Linear(64, 64, rngs=rngs), nnx.Linear(64, 64, rngs=rngs)])
        self.head = nnx.Linear(64, 5, rngs=rngs)

    def __call__(self, images: jax.Array) -> jax.Array:
        """Logits `[samples, 5]` of images `[samples, 64]`."""
        for layer in self.body:
            images = nnx.relu(layer(images))
        return self.head(images)


GRAPH = nnx.graphdef(nnx.eval_shape(lambda: Network(nnx.Rngs(0))))


def loss(model: Network, images: jax.Array, labels: jax.Array) -> jax.Array:
    return optax.softmax_cross_entropy_with_integer_labels(model(images), labels).mean()


def train(params: nnx.State, tx, images, labels, steps: int, key: jax.Array) -> nnx.State:
    """The params after `steps` batches, drawn with replacement."""

    def step(carry, rows):
        params, state = carry
        gradient = jax.grad(lambda p: loss(nnx.merge(GRAPH, p), images[rows], labels[rows]))(params)
        updates, state = tx.update(gradient, state, params)
        return (mo.apply_updates(params, updates), state), None

    rows = jax.random.randint(key, (steps, BATCH), 0, len(images))
    return jax.lax.scan(step, (params, tx.init(params)), rows)[0][0]


def main(steps: int = 400, seeds: int = 20) -> dict[str, np.ndarray]:
    """Held-out accuracies on the new digits after `steps` updates, one for each seed."""
    images, labels = load_digits(return_X_y=True)
    images = (images / 16).astype(np.float32)
    old, new = (jnp.asarray(images[labels < 5]), jnp.asarray(labels[labels < 5])), labels >= 5
    split = train_test_split(images[new], labels[new] - 5, train_size=5 * SHOTS, stratify=labels[new], random_state=0)
    few, held_out, few_labels, held_out_labels = map(jnp.asarray, split)

    def fresh(key):
        return nnx.state(Network(nnx.Rngs(key)), nnx.Param)

    def pretrained(key):
        return train(fresh(key), METHODS["one beta"], *old, 300, key)

    def accuracy(tx, params, key):
        params = nnx.State({**params, "head": fresh(jax.random.fold_in(key, 1))["head"]})
        params = train(params, tx, few, few_labels, steps, key)
        return jnp.mean(jnp.argmax(nnx.merge(GRAPH, params)(held_out), axis=-1) == held_out_labels)

    keys = jax.random.split(jax.random.key(0), seeds)
    starts = {"": jax.jit(jax.vmap(pretrained))(keys), "not pretrained": jax.jit(jax.vmap(fresh))(keys)}
    print(mo.describe(REDUCED_BETA, starts[""]))
    print(f"\n{'':40}accuracy           against one beta, of {seeds} seeds")
    results = {}
    for name, tx in (METHODS | {"not pretrained": METHODS["one beta"]}).items():
        over_seeds = jax.jit(jax.vmap(lambda params, key, tx=tx: accuracy(tx, params, key)))
        results[name] = np.asarray(over_seeds(starts.get(name, starts[""]), keys), np.float64)
        difference = results[name] - results["one beta"]
        print(f"{name:40}{interval(results[name])}   {interval(difference)}")
    return results


def interval(values: np.ndarray) -> str:
    """The mean and the half-width of its 95 % interval, by the normal approximation."""
    half = 1.96 * np.std(values, ddof=1) / np.sqrt(len(values))
    return f"{np.mean(values):7.4f} ± {half:.4f}"


if __name__ == "__main__":
    main()
