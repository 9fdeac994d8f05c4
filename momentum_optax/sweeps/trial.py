"""What one training run is: pure functions of hyperparameters and a seed."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import chex
import jax

Hyper = Mapping[str, Any]
"""Hyperparameters of one run by name: float32 arrays of shape `()`, traced inside a sweep."""


@dataclasses.dataclass(frozen=True, eq=False)
class Trial:
    """A training run, in five pure functions.

    What a run draws at random comes from `draw` and `plan`, which see the seed and not the hyperparameters.
    So runs that share a seed share their start and the order of their data, which makes them comparable and
    is computed once for all of them, outside the compiled program. `init`, `step` and `evaluate` are traced,
    mapped over hyperparameters, and must not use Python side effects.

    Attributes:
      draw: `key -> drawn`: all that is random and drawn once, such as initial params.
      plan: `(seed, steps) -> items`: what each step consumes, such as the indices of its batch; a tree of
        NumPy arrays `[steps, ...]`.
      fetch: `(data, item) -> batch`: the batch of one step, shared by the runs of one seed.
      init: `(hyper, drawn) -> state`: the first state of a run, any tree of arrays.
      step: `(hyper, state, batch) -> (state, loss)`: one update; `loss` has shape `()`.
      evaluate: `(hyper, state, data) -> metrics`: scalars by name.
      data: a tree of arrays that `fetch` and `evaluate` read, one copy for all runs.
      settings: what to write down beside the results.
    """

    draw: Callable[[jax.Array], chex.ArrayTree]
    plan: Callable[[int, int], chex.ArrayTree]
    fetch: Callable[[Any, Any], Any]
    init: Callable[[Hyper, Any], Any]
    step: Callable[[Hyper, Any, Any], tuple[Any, jax.Array]]
    evaluate: Callable[[Hyper, Any, Any], Mapping[str, jax.Array]]
    data: Any
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
