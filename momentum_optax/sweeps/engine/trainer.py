"""What trains one batch of runs."""

import functools
import weakref
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import jax
import numpy as np

from ..trials.trial import Trial
from .batched import batched, drawing
from .placement import Placement
from .preparation import Prepared

Loop = Literal["scan", "step"]
"""Whether the steps of a rung are one compiled loop, or one compiled step called from Python."""


class Rung(NamedTuple):
    """What runs showed in a rung.

    Attributes:
      losses: of every step, `[rows, points, steps]`.
      metrics: after the last, by name, `[rows, points]`.
    """

    losses: np.ndarray
    metrics: Mapping[str, np.ndarray]


class Trainer:
    """The functions of a trial under one structure, with its data on the devices.

    Attributes:
      batched: the functions.
    """

    def __init__(self, prepared: Prepared, loop: Loop, placement: Placement, own: np.ndarray):
        """Places the data.

        Args:
          prepared: the program.
          loop: how the steps are run.
          placement: where.
          own: which of all rows are trained here; in what follows, rows are indices into it. Row `i` of all is seed
            `i // folds`, fold `i % folds`.
        """
        trial, structure, folds = prepared.trial, prepared.structure, prepared.folds
        self.batched = batched(trial, structure, folds, placement.mesh)
        self._draw = drawing(trial, structure, placement.mesh)
        self._prepared = prepared
        self._seed_of, self._fold_of = np.divmod(own, folds)
        self._loop, self._placement = loop, placement
        self._placed = _placed(trial, placement)
        self._folds_of: dict[bytes, Any] = {}
        self._index = functools.cache(lambda index: placement.put(np.int32(index)))

    def drawn(self, rows: np.ndarray) -> Any:
        """What the seeds of some rows draw, on the devices."""
        seeds = np.asarray(self._prepared.seeds, np.uint32)[self._seed_of[rows]]
        return self._draw(seeds)(seeds)

    def start(self, hyper: Mapping[str, np.ndarray], drawn: Any) -> tuple[Any, Any]:
        """Hyperparameters, given as `[rows, points]`, and first states, `[rows, points, ...]`, on the devices."""
        return self.batched.start(hyper, drawn)(hyper, drawn)

    def hyper(self, hyper: Mapping[str, np.ndarray]) -> Any:
        """Hyperparameters, `[rows, points]`, on the devices."""
        return self._placement.put(hyper, "rows", "points")

    def items(self, rows: np.ndarray, start: int, stop: int) -> Any:
        """What some steps of some rows consume; on the devices for a loop in Python, which passes it to each step."""
        part = jax.tree.map(lambda x: x[self._seed_of[rows], start:stop], self._prepared.items)
        return part if self._loop == "scan" else self._placement.put(part, "rows")

    def train(
        self, state: Any, hyper: Any, rows: np.ndarray, items: Any
    ) -> Callable[[Any], tuple[Any, Callable[[], Rung]]]:
        """What takes states through a rung; compiled here, in the thread of the caller.

        Args:
          state: states like those that will be trained.
          hyper: their hyperparameters.
          rows: their rows.
          items: what their steps consume.

        Returns:
          `state -> (state, rung)`. It does not wait for the devices, but what gives the rung does. The given states
          stay as they are, to be trained again if memory runs out.
        """
        get, data, fold = self._placement.get, self._placed.data, self._fold(rows)
        if self._loop == "scan":
            rung = self.batched.rung(state, hyper, items, fold, data)

            def scan(state: Any) -> tuple[Any, Callable[[], Rung]]:
                state, *found = rung(state, hyper, items, fold, data)
                return state, lambda: Rung(*get(found))

            return scan
        indices = [self._index(i) for i in range(_steps(items))]
        step = self.batched.step(state, hyper, items, fold, data, indices[0])
        evaluate = self.batched.evaluate(state, hyper, fold, data)

        def steps(state: Any) -> tuple[Any, Callable[[], Rung]]:
            state, losses = jax.tree.map(lambda x: x.copy(), state), []  # a step donates what it is given
            for index in indices:
                state, loss = step(state, hyper, items, fold, data, index)
                losses.append(loss)
            found = losses, evaluate(state, hyper, fold, data)

            def rung() -> Rung:
                losses, metrics = get(found)
                return Rung(np.stack(losses, axis=-1), metrics)

            return state, rung

        return steps

    def memory(self, state: Any, hyper: Any, rows: np.ndarray, steps: int) -> int:
        """How many bytes of each device a rung takes for a batch, beside its arguments; new states are among them."""
        items = jax.tree.map(
            lambda x: jax.ShapeDtypeStruct((len(rows), steps, *x.shape[2:]), x.dtype), self._prepared.items
        )
        arguments = state, hyper, items, self._fold(rows), self._placed.data
        if self._loop == "scan":
            return self.batched.rung.memory(*arguments)
        return self.batched.step.memory(*arguments, self._placement.put(np.int32(0)))

    def _fold(self, rows: np.ndarray) -> Any:
        if self._prepared.folds == 1:
            return None
        key = rows.tobytes()
        if key not in self._folds_of:
            self._folds_of[key] = self._placement.put(self._fold_of[rows].astype(np.int32), "rows")
        return self._folds_of[key]


class _Placed:
    """Data on the devices."""

    def __init__(self, data: Any):
        self.data = data


def _placed(trial: Trial, placement: Placement) -> _Placed:
    """The data of a trial on the devices: the same for all programs of a sweep; the latest stay for the next sweep."""
    known = trial.__dict__.setdefault("_placed", weakref.WeakValueDictionary())
    where = placement.mesh, jax.dtypes.canonicalize_dtype(np.float64)  # float32 where x64 is off
    found = known.get(where)
    if found is None:
        known[where] = found = _Placed(placement.put(trial.data))
    trial.__dict__["_latest"] = found
    return found


def _steps(items: Any) -> int:
    return jax.tree.leaves(items)[0].shape[1]
