"""What tells the functions and the data of one trial from those of another."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..points.reader import Reader
from .trial import Trial


def of_data(data: Any) -> str:
    """A digest of a tree of arrays."""
    found = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_flatten_with_path(data)[0]:
        is_key = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        array = np.ascontiguousarray(jax.random.key_data(leaf) if is_key else leaf)
        found.update(f"{jax.tree_util.keystr(path)} {array.shape} {array.dtype}".encode())
        found.update(array.tobytes())
    return found.hexdigest()


def fingerprint(
    trial: Trial, structure: Mapping[str, Any], hyper: Iterable[str], drawn: Any, item: Any, items: Any
) -> dict[str, str]:
    """Digests of what a run is made of, by what a reader would call it; they change with JAX, too.

    What is drawn is told by the program that draws it, for other machines round it in another way.

    Args:
      trial: the trial.
      structure: the hyperparameters that are part of the program.
      hyper: the names of the others.
      drawn: what one seed draws.
      item: what one step consumes.
      items: what all steps of all seeds consume.

    Returns:
      The digests.
    """

    def run(numbers: Any, drawn: Any, item: Any, data: Any) -> Any:
        given = Reader({**structure, **numbers})
        state, loss = trial.step(given, trial.init(given, drawn), trial.fetch(data, item))
        return loss, trial.evaluate(given, state, data)

    def draw(key: Any) -> Any:
        return trial.draw(Reader(structure), key)

    numbers = {name: jax.ShapeDtypeStruct((), np.float32) for name in hyper}
    return {
        "initial params": _of_program(draw, jax.random.key(0)),
        "order of the data": of_data(items),
        "model, loss or optimizer": _of_program(run, numbers, drawn, item, trial.data),
    }


def _of_program(function: Callable[..., Any], *arguments: Any) -> str:
    return hashlib.sha256(jax.jit(function).lower(*arguments).as_text().encode()).hexdigest()
