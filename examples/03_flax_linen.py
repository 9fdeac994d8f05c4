"""The same digits with Flax linen: our optimizers go wherever Optax's go, here into a `TrainState`.

Each layer has its own beta, by a tree with the names of the params.

    python examples/03_flax_linen.py
"""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax.training.train_state import TrainState
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import momentum_optax as mo


class Classifier(nn.Module):
    """64 pixels, one hidden layer, 10 logits."""

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        """Logits `[samples, 10]` of images `[samples, 64]`."""
        return nn.Dense(10, name="logits")(nn.relu(nn.Dense(128, name="hidden")(images)))


# Donation lets the new params and velocity take the place of the old ones in memory.
@functools.partial(jax.jit, donate_argnums=0)
def train_step(state: TrainState, images: jax.Array, labels: jax.Array) -> tuple[TrainState, jax.Array]:
    def loss(params):
        logits = state.apply_fn({"params": params}, images)
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

    value, grads = jax.value_and_grad(loss)(state.params)
    return state.apply_gradients(grads=grads), value


@jax.jit
def accuracy(state: TrainState, images: jax.Array, labels: jax.Array) -> jax.Array:
    logits = state.apply_fn({"params": state.params}, images)
    return jnp.mean(jnp.argmax(logits, axis=-1) == labels)


def main(steps: int = 400, seed: int = 0) -> float:
    """The share of held-out digits that the network reads correctly."""
    images, labels = load_digits(return_X_y=True)
    split = train_test_split((images / 16).astype(np.float32), labels, test_size=0.2, random_state=0)
    train_images, test_images, train_labels, test_labels = split

    model = Classifier()
    params = model.init(jax.random.key(seed), jnp.zeros((1, 64)))["params"]
    tx = optax.chain(
        optax.clip_by_global_norm(1.0),
        # One beta for each layer: a tree with the names of the params, as deep as you need it.
        mo.qhm(0.5, beta={"hidden": 0.99, "logits": 0.9}, nu=0.7),
    )
    state = TrainState.create(apply_fn=model.apply, params=params, tx=tx)

    order = np.random.default_rng(seed)
    for count in range(1, steps + 1):
        rows = order.integers(len(train_images), size=64)
        state, value = train_step(state, train_images[rows], train_labels[rows])
        if count % 100 == 0:
            print(f"step {count:4}  loss {value:.4f}")

    result = float(accuracy(state, test_images, test_labels))
    print(f"held-out accuracy after {steps} steps: {result:.3f}")
    return result


if __name__ == "__main__":
    main()
