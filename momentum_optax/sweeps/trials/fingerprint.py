"""What tells the functions and the data of one trial from those of another."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import jax
import numpy as np

from ..points.reader import Reader
from .trial import Trial


def of_data(data: Any) -> str:
    """A digest of a tree of arrays."""
    found = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_flatten_with_path(data)[0]:
        array = np.ascontiguousarray(leaf)
        found.update(f"{jax.tree_util.keystr(path)} {array.shape} {array.dtype}".encode())
        found.update(array.tobytes())
    return found.hexdigest()


def of_functions(trial: Trial, structure: Mapping[str, Any], hyper: Iterable[str], drawn: Any, item: Any) -> str:
    """A digest of the program that a run is, which changes with the model, the loss and the optimizer, and with JAX.

    Args:
      trial: the trial.
      structure: the hyperparameters that are part of the program.
      hyper: the names of the others.
      drawn: what one seed draws.
      item: what one step consumes.

    Returns:
      The digest.
    """

    def run(numbers: Any, drawn: Any, item: Any, data: Any) -> Any:
        given = Reader({**structure, **numbers})
        state, loss = trial.step(given, trial.init(given, drawn), trial.fetch(data, item))
        return loss, trial.evaluate(given, state, data)

    numbers = {name: jax.ShapeDtypeStruct((), np.float32) for name in hyper}
    text = jax.jit(run).lower(numbers, drawn, item, trial.data).as_text()
    return hashlib.sha256(text.encode()).hexdigest()
