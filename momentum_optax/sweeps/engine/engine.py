"""All runs of one structure, under way: a rectangle `[rows, points]`, trained batch by batch."""

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar

import jax
import numpy as np

from . import memory
from .batched import RUN
from .lanes import Lanes
from .placement import Placement, key_kinds
from .trainer import Rung, Trainer

T = TypeVar("T")

SHARE = 0.9
"""How much of the free memory is used."""

TOO_LITTLE = "The memory of a device is not enough for a single run."


@dataclasses.dataclass(eq=False)
class Batch:
    """Runs that are trained at the same time.

    Attributes:
      rows: which of the rows, `[R]`; the last may be repeated.
      points: which of the points, `[P]`; the last may be repeated.
      hyper: their hyperparameters, `[R, P]` each, on the devices.
      state: their states, `[R, P, ...]`; on the host if those of all batches do not fit on the devices.
    """

    rows: np.ndarray
    points: np.ndarray
    hyper: Any
    state: Any


class _ThisThread(Executor):
    """Does at once what is submitted."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        done: Future[T] = Future()
        done.set_result(fn(*args, **kwargs))
        return done


def _launchers(count: int) -> Executor:
    return ThreadPoolExecutor(count) if count > 1 else _ThisThread()


class Engine:
    """All runs of one structure.

    Attributes:
      trainer: what trains a batch of them.
      lanes: how they are laid out.
      hyper: their hyperparameters by name, `[rows, points]`.
    """

    def __init__(
        self, trainer: Trainer, hyper: Mapping[str, np.ndarray], lanes: Lanes, placement: Placement, threads: int = 1
    ):
        """Starts the runs.

        Args:
          trainer: what trains a batch.
          hyper: hyperparameters by name, `[rows, points]`.
          lanes: the layout.
          placement: where.
          threads: how many launch batches; one only if there are several devices, which must all be given their work
            in the same order.

        Raises:
          MemoryError: a single run does not fit.
        """
        self.trainer, self.lanes, self.hyper = trainer, lanes, dict(hyper)
        self._placement, self._threads = placement, threads
        while isinstance(found := _outcome(self._start), Exception):
            rows, points = self.lanes.chunk
            if rows * points == 1:
                raise MemoryError(TOO_LITTLE) from found
            chunk = (rows, -(-points // 2)) if points > 1 else (-(-rows // 2), 1)
            self.lanes = dataclasses.replace(self.lanes, chunk=chunk)
        self._batches = found

    def _start(self) -> list[Batch]:
        batches: list[Batch] = []
        drawn: dict[bytes, Any] = {}
        for rows, points in self.lanes.batches():
            if rows.tobytes() not in drawn:
                drawn = {rows.tobytes(): self.trainer.drawn(rows)}  # batches of the same rows follow one another
            mine, state = self.trainer.start(self._hyper(rows, points), drawn[rows.tobytes()])
            if not batches:
                self._keys = key_kinds(state)
                # A single batch is on the devices anyway.
                free = memory.free(self._placement.device) if len(self.lanes.batches()) > 1 else None
                bytes_ = sum(leaf.nbytes for leaf in jax.tree.leaves(state)) // self._placement.mesh.size
                self._resident = free is None or bytes_ * len(self.lanes.batches()) < free / 2
            batches.append(Batch(rows, points, mine, state if self._resident else self._placement.get(state)))
        return batches

    def advance(self, start: int, stop: int, tick: Callable[[int], None] = lambda runs: None) -> Rung:
        """Trains every run for a rung and evaluates it.

        A batch that does not fit into the memory is cut in two.

        Args:
          start: the first step, from 0.
          stop: the step after the last.
          tick: called after each batch, with how many runs it had.

        Returns:
          What the runs showed.

        Raises:
          MemoryError: a single run does not fit.
        """
        losses, metrics = np.empty(0), {}
        todo = self._batches
        while todo:
            failed = []
            for batch, found in self._train(todo, start, stop):
                if isinstance(found, Exception):
                    failed.append((batch, found))
                    continue
                if not metrics:
                    losses = np.empty((*self.lanes.shape, stop - start), found.losses.dtype)
                    metrics = {name: np.empty(self.lanes.shape, x.dtype) for name, x in found.metrics.items()}
                place = np.ix_(batch.rows, batch.points)
                losses[place] = found.losses
                for name, values in found.metrics.items():
                    metrics[name][place] = values
                tick(len(set(batch.rows)) * len(set(batch.points)))
            todo = [half for batch, error in failed for half in self._halve(batch, error)]
        return Rung(losses, metrics)

    def state(self) -> Any:
        """The states of all runs, `[rows, points, ...]`, on the host; random keys as their data."""
        parts = [self._on_host(batch) for batch in self._batches]
        whole = jax.tree.map(lambda x: np.empty((*self.lanes.shape, *x.shape[2:]), x.dtype), parts[0])
        for batch, part in zip(self._batches, parts, strict=True):
            place = np.ix_(batch.rows, batch.points)
            jax.tree.map(lambda x, y: x.__setitem__(place, y), whole, part)  # noqa: B023
        return whole

    def load(self, state: Any, hyper: Mapping[str, np.ndarray], lanes: Lanes | None = None) -> None:
        """Goes on with other states, as `state` gives them.

        Args:
          state: the states, `[rows, points, ...]`.
          hyper: their hyperparameters, `[rows, points]`.
          lanes: their layout; `None` for the present one.
        """
        self.lanes = self.lanes if lanes is None else lanes
        self.hyper = dict(hyper)
        self._batches = [self._batch(r, p, _cut(state, r, p)) for r, p in self.lanes.batches()]

    @property
    def abstract(self) -> Any:
        """A tree of the structure that states have."""
        return self._keys

    def fit(self, steps: int) -> None:
        """Makes the batches small enough for the memory of the devices, as far as the compiler knows what they need.

        Args:
          steps: how many steps make a rung.
        """
        while (free := memory.free(self._placement.device)) is not None and math.prod(self.lanes.chunk) > 1:
            needed = self.needed(steps)
            if needed <= SHARE * free:
                return
            rows, points = self.lanes.chunk
            smaller = max(1, min(rows * points // 2, int(rows * points * SHARE * free / needed)))
            chunk = (1, smaller) if smaller <= points else (smaller // points, points)
            self.load(self.state(), self.hyper, dataclasses.replace(self.lanes, chunk=chunk))

    def needed(self, steps: int) -> int:
        """How many bytes of each device a rung of so many steps takes, beside the states, the hyperparameters and data.

        As far as the compiler knows; the states count once, for the old ones are kept until a rung has gone well.
        """
        batch = self._batches[0]
        one = self.trainer.memory(self._on_devices(batch), batch.hyper, batch.rows, steps)
        return one * min(self._threads + 1, len(self._batches))

    def _hyper(self, rows: np.ndarray, points: np.ndarray) -> Any:
        runs = np.arange(math.prod(self.lanes.shape), dtype=np.int32).reshape(self.lanes.shape)
        return _cut(self.hyper or {RUN: runs}, rows, points)

    def _batch(self, rows: np.ndarray, points: np.ndarray, state: Any) -> Batch:
        state = self._placement.put_states(state, self._keys) if self._resident else state
        return Batch(rows, points, self.trainer.hyper(self._hyper(rows, points)), state)

    def _on_host(self, batch: Batch) -> Any:
        return self._placement.get(batch.state) if self._resident else batch.state

    def _on_devices(self, batch: Batch) -> Any:
        return batch.state if self._resident else self._placement.put_states(batch.state, self._keys)

    def _train(self, batches: Sequence[Batch], start: int, stop: int) -> Iterator[tuple[Batch, Rung | Exception]]:
        """Each batch with its rung, as they are finished, or with the error that memory was not enough."""
        items: dict[bytes, Any] = {}
        launched: dict[Future[Callable[[], Rung] | Exception], Batch] = {}
        waiting = iter(batches)
        pool = _launchers(self._threads)
        try:
            while True:
                # One more than there are threads: no device waits for Python, and few batches take memory.
                for batch in itertools.islice(waiting, self._threads + 1 - len(launched)):
                    rows = batch.rows.tobytes()
                    if rows not in items:
                        items = {rows: self.trainer.items(batch.rows, start, stop)}  # the next ones have the same rows
                    launched[pool.submit(_outcome, self._job(batch, items[rows]))] = batch
                if not launched:
                    return
                wait(launched, return_when=FIRST_COMPLETED)
                done = next(future for future in launched if future.done())
                finish = done.result()
                yield launched[done], finish if isinstance(finish, Exception) else _outcome(finish)
                del launched[done]
        finally:
            pool.shutdown(cancel_futures=True)  # Ctrl-C does not wait for batches that have not begun

    def _job(self, batch: Batch, items: Any) -> Callable[[], Callable[[], Rung]]:
        train = self.trainer.train(self._on_devices(batch), batch.hyper, batch.rows, items)

        def job() -> Callable[[], Rung]:
            state, rung = train(self._on_devices(batch))

            def finish() -> Rung:
                found = rung()
                batch.state = state if self._resident else self._placement.get(state)
                return found

            return finish

        return job

    def _halve(self, batch: Batch, error: Exception) -> list[Batch]:
        workers = self.lanes.workers
        axis = 1 if len(batch.points) > workers[1] else 0
        kept = (batch.rows, batch.points)[axis]
        if len(kept) <= workers[axis]:
            raise MemoryError(TOO_LITTLE) from error
        chunk = -(-len(kept) // (2 * workers[axis]))
        smaller = list(self.lanes.chunk)
        smaller[axis] = min(smaller[axis], chunk)
        self.lanes = dataclasses.replace(self.lanes, chunk=(smaller[0], smaller[1]))
        state, piece, halves = self._on_host(batch), chunk * workers[axis], []
        for first in range(0, len(kept), piece):
            taken = np.minimum(np.arange(first, first + piece), len(kept) - 1)
            rows, points = (batch.rows, batch.points[taken]) if axis else (batch.rows[taken], batch.points)
            halves.append(self._batch(rows, points, jax.tree.map(lambda x: x.take(taken, axis), state)))  # noqa: B023
        at = self._batches.index(batch)
        self._batches[at : at + 1] = halves
        return halves


def _cut(tree: Any, rows: np.ndarray, points: np.ndarray) -> Any:
    return jax.tree.map(lambda x: x[np.ix_(rows, points)], tree)


def _outcome(job: Callable[[], T]) -> T | Exception:
    try:
        return job()
    except Exception as error:
        if memory.is_exhausted(error):
            return error
        raise
