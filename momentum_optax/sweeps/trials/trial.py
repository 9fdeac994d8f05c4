"""What one training run is: pure functions of hyperparameters and a seed."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import chex
import jax
import numpy as np

Hyper = Mapping[str, Any]
"""Hyperparameters of one run by name.

Floats of the points are float32 arrays of shape `()`, traced inside a sweep; integers, strings and booleans are
themselves, and part of the program.
"""


@dataclasses.dataclass(frozen=True, eq=False)
class Trial:
    """A training run, in pure functions; see `trial` for the three that are enough.

    What a run draws at random comes from `draw` and `plan`, which see the seed and the structural hyperparameters, but
    not the numbers. So runs that share a seed share their start and the order of their data, which makes them
    comparable and is computed for all of them together, outside the program of the steps. `fetch`, `init`, `step` and
    `evaluate` are traced, mapped over runs, and must have no side effects.

    Attributes:
      init: `(hyper, drawn) -> state`: the first state of a run, any tree of arrays.
      step: `(hyper, state, batch) -> (state, loss)`: one update; `loss` has shape `()`, the state keeps its types.
      evaluate: `(hyper, state, data) -> metrics`: scalars by name.
      draw: `(structure, key) -> drawn`: all that is random and drawn once, such as initial params.
      plan: `(structure, seed, steps) -> items`: what each step consumes, such as the indices of its batch; a tree of
        NumPy arrays `[steps, ...]`.
      fetch: `(data, item) -> batch`: the batch of one step, shared by the runs of one seed.
      data: a tree of arrays that `fetch` and `evaluate` read, one copy for all runs; not to be changed.
      fold: `(data, index, count) -> data`: what `fetch` and `evaluate` see in fold `index` (traced) of `count` in a
        cross-validation; `None` if the trial has no folds.
      samples: how many samples there are to make folds of; `None` if the trial has none.
      steps_per_epoch: `structure -> steps`; `None` if the trial knows no epochs.
      settings: what to write down beside the results.
    """

    init: Callable[[Hyper, Any], Any]
    step: Callable[[Hyper, Any, Any], tuple[Any, jax.Array]]
    evaluate: Callable[[Hyper, Any, Any], Mapping[str, jax.Array]]
    draw: Callable[[Hyper, jax.Array], chex.ArrayTree]
    plan: Callable[[Hyper, int, int], chex.ArrayTree]
    fetch: Callable[[Any, Any], Any]
    data: Any = None
    fold: Callable[[Any, jax.Array, int], Any] | None = None
    samples: int | None = None
    steps_per_epoch: Callable[[Hyper], int] | None = None
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def trial(
    init: Callable[[Hyper, jax.Array], Any],
    step: Callable[[Hyper, Any, jax.Array], tuple[Any, jax.Array]],
    evaluate: Callable[[Hyper, Any], Mapping[str, jax.Array]],
) -> Trial:
    """A trial of three pure functions.

    The keys depend on the seed only: runs of one seed that ask them for the same numbers get the same.

    Args:
      init: `(hyper, key) -> state`: the first state of a run, any tree of arrays.
      step: `(hyper, state, key) -> (state, loss)`: one update, with a key of its own; `loss` has shape `()`.
      evaluate: `(hyper, state) -> metrics`: scalars by name.

    Returns:
      The trial.

    Examples:
      >>> import optax
      >>> from momentum_optax import sweeps
      >>> def step(hp, state, key):
      ...     x, memory = state
      ...     updates, memory = optax.sgd(hp["learning_rate"], hp["beta"]).update(x, memory, x)
      ...     return (x + updates, memory), x**2 / 2
      >>> def init(hp, key):
      ...     x = jax.random.normal(key)
      ...     return x, optax.sgd(hp["learning_rate"], hp["beta"]).init(x)
      >>> trial = sweeps.trial(init, step, lambda hp, state: {"distance": abs(state[0])})
      >>> result = sweeps.sweep(trial, sweeps.grid(learning_rate=[0.1], beta=[0.0, 0.5]), seeds=2, steps=20)
      >>> result.metrics["distance"].shape  # points, seeds, evaluations
      (2, 2, 10)
    """

    def draw(structure: Hyper, key: jax.Array) -> jax.Array:
        del structure
        return key

    def plan(structure: Hyper, seed: int, steps: int) -> np.ndarray:
        del structure
        # Steps from 0 are folded into a key of their own, so that none is the key of `init`.
        root = jax.random.fold_in(jax.random.key(seed), 1)
        keys = jax.vmap(jax.random.fold_in, (None, 0))(root, np.arange(steps, dtype=np.uint32))
        return np.asarray(jax.random.key_data(keys))

    def fetch(data: None, item: jax.Array) -> jax.Array:
        del data
        return jax.random.wrap_key_data(item)

    def evaluate_(hyper: Hyper, state: Any, data: None) -> Mapping[str, jax.Array]:
        del data
        return evaluate(hyper, state)

    return Trial(init, step, evaluate_, draw, plan, fetch)
