"""A Flax NNX network that learns to read digits, trained with one compiled, donated step.

`make_step` takes a loss of `(model, batch)` and an optimizer. The step it returns changes the model in place; batch
statistics and random streams of the model move with it.

    python examples/02_flax_nnx.py
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import momentum_optax as mo


class Classifier(nnx.Module):
    """64 pixels, a hidden layer with batch normalisation and dropout, 10 logits."""

    def __init__(self, rngs: nnx.Rngs):
        self.hidden = nnx.Linear(64, 128, rngs=rngs)
        self.norm = nnx.BatchNorm(128, rngs=rngs)
        self.dropout = nnx.Dropout(0.2, rngs=rngs)
        self.logits = nnx.Linear(128, 10, rngs=rngs)

    def __call__(self, images: jax.Array) -> jax.Array:
        """Logits `[samples, 10]` of images `[samples, 64]`."""
        return self.logits(self.dropout(nnx.relu(self.norm(self.hidden(images)))))


def loss(model: Classifier, batch: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
    images, labels = batch
    logits = model(images)
    hits = jnp.mean(jnp.argmax(logits, axis=-1) == labels)
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean(), hits


@nnx.jit
def accuracy(model: Classifier, images: jax.Array, labels: jax.Array) -> jax.Array:
    return jnp.mean(jnp.argmax(model(images), axis=-1) == labels)


def decayed(params):
    """Weight decay for matrices, none for biases and scales."""
    return jax.tree.map(lambda p: p.ndim > 1, params)


def main(steps: int = 400, seed: int = 0) -> float:
    """The share of held-out digits that the network reads correctly."""
    images, labels = load_digits(return_X_y=True)
    split = train_test_split((images / 16).astype(np.float32), labels, test_size=0.2, random_state=0)
    train_images, test_images, train_labels, test_labels = split

    model = Classifier(nnx.Rngs(seed))
    tx = mo.nesterov(
        optax.cosine_decay_schedule(0.2, steps),
        beta=optax.linear_schedule(0.5, 0.95, max(1, steps // 4)),
        weight_decay=1e-3,
        mask=decayed,
    )
    state = tx.init(nnx.state(model, nnx.Param))
    step = mo.make_step(loss, tx, has_aux=True)

    order = np.random.default_rng(seed)
    for count in range(1, steps + 1):
        rows = order.integers(len(train_images), size=64)
        model, state, metrics = step(model, state, (train_images[rows], train_labels[rows]))
        if count % 100 == 0:
            print(f"step {count:4}  loss {metrics['loss']:.4f}  accuracy of the batch {metrics['aux']:.3f}")

    # Nesterov's method trains ahead of its answer; evaluate the answer.
    nnx.update(model, mo.eval_params(state, nnx.state(model, nnx.Param)))
    model.eval()
    result = float(accuracy(model, test_images, test_labels))
    print(f"held-out accuracy after {steps} steps: {result:.3f}")
    return result


if __name__ == "__main__":
    main()
