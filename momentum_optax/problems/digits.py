"""Handwritten digits: 1,797 images of 8 x 8 pixels, from scikit-learn, without a download."""

import functools

import jax
import numpy as np

from ..sweeps import Data

try:
    from flax import nnx
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split
except ImportError as error:
    raise ImportError(f'The digits problem needs {error.name}: pip install ".[sweep]" in a clone') from error

DESCRIPTION = {
    "data": "sklearn.datasets.load_digits, standardized; 1437 images to train on, 360 to test on",
    "model": "64-64-10 with rectified linear units (momentum_optax.problems.digits.MLP)",
}
"""What to write down beside results."""


class MLP(nnx.Module):
    """A network with one hidden layer: 64 pixels, 64 rectified units, 10 logits."""

    def __init__(self, rngs: nnx.Rngs):
        self.hidden = nnx.Linear(64, 64, rngs=rngs)
        self.output = nnx.Linear(64, 10, rngs=rngs)

    def __call__(self, images: jax.Array) -> jax.Array:
        """Logits `[samples, 10]` of images `[samples, 64]`."""
        return self.output(jax.nn.relu(self.hidden(images)))


@functools.cache
def load() -> Data:
    """Four fifths of the digits to train on, one fifth, with the same share of each digit, to test on.

    Returns:
      float32 images `[1437, 64]` and `[360, 64]`, each pixel with mean 0 and deviation 1 over the training
      images (a pixel that is always blank there stays 0), and int32 labels.
    """
    images, labels = load_digits(return_X_y=True)
    split = train_test_split(images, labels, test_size=360, stratify=labels, random_state=0)
    train, test, train_labels, test_labels = (np.asarray(part) for part in split)
    mean, deviation = train.mean(axis=0), train.std(axis=0)
    scale = np.where(deviation > 0, deviation, np.inf)
    train, test = ((x - mean) / scale for x in (train, test))
    return Data(
        train.astype(np.float32),
        train_labels.astype(np.int32),
        test.astype(np.float32),
        test_labels.astype(np.int32),
    )
