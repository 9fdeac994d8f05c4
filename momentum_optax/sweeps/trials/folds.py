"""Cross-validation: the samples of each fold, as weights of 0 and 1, so that all folds have arrays of one shape."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .data import Data


class Fold(NamedTuple):
    """Data as a fold sees them: its own samples are held out, all others are to train on.

    Attributes:
      data: all of them.
      index: which fold it is, int32 of shape `()`.
      place: the fold in which each sample is held out, int32 `[samples]`.
      instead: for each sample one of another fold, with the same label where there is one, int32 `[samples]`.
      own: the samples held out, int32 `[samples / folds]`, rounded up.
      counts: which of `own` are some, bool; `None` for all.
    """

    data: Data
    index: jax.Array
    place: jax.Array
    instead: jax.Array
    own: jax.Array
    counts: jax.Array | None

    def trained(self, rows: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Rows of a batch and which of them count, bool; others take the place of those that are held out.

        Nothing of a sample held out may be seen, not even by the statistics of a batch.
        """
        counts = self.place[rows] != self.index
        return jnp.where(counts, rows, self.instead[rows]), counts


def fold(data: Data, order: np.ndarray, index: jax.Array, count: int) -> Fold:
    """The data as a fold sees them.

    Args:
      data: all of them.
      order: see `order`; every `count`-th of these samples is held out together.
      index: which fold, traced.
      count: how many folds there are, from 2 to the number of samples.
    """
    samples = len(order)
    # Sample `order[p]` belongs to fold p modulo count.
    place, instead = np.empty((2, samples), np.int32)
    place[order] = np.arange(samples) % count
    instead[order] = np.append(order[1:], order[-2])
    at = index + count * np.arange(-(-samples // count), dtype=np.int32)
    own = jnp.asarray(order, jnp.int32)[jnp.minimum(at, samples - 1)]
    counts = None if samples % count == 0 else at < samples
    return Fold(data, index, jnp.asarray(place), jnp.asarray(instead), own, counts)


def order(targets: np.ndarray) -> np.ndarray:
    """The samples shuffled, always in the same way, and then, if the targets are labels, sorted by label.

    Where every k-th of them goes into the same fold, the folds differ by at most one sample, and so do their shares of
    each label.
    """
    shuffled = np.random.default_rng(0).permutation(len(targets)).astype(np.int32)
    if targets.ndim == 1 and np.issubdtype(targets.dtype, np.integer):
        return shuffled[np.argsort(targets[shuffled], kind="stable")]
    return shuffled
