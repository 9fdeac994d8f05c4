"""The processes that share a sweep."""

import contextlib
import pickle
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import jax
import numpy as np

T = TypeVar("T")

PIECE = 1 << 26
"""Bytes that the processes exchange at once, all together, for each of their devices holds them meanwhile."""

SMALL = 4096
"""Bytes of a message that takes one exchange instead of two."""


class Team:
    """The processes that share a sweep, which run the same code.

    Each trains by itself, and now and then they meet, where they wait for one another. What one of them raises between
    two meetings is raised by all at the second one, so that none waits for another that has gone.

    Attributes:
      count: how many there are.
      index: which one this is. The first, 0, decides and writes.
    """

    def __init__(self, count: int = 1, index: int = 0):
        """Knows the processes."""
        self.count, self.index = count, index
        self._interrupted = False

    def each(self, job: Callable[[], T]) -> list[T]:
        """Runs something in every process, and then meets.

        Args:
          job: what to run; what it returns must be picklable.

        Returns:
          What it returned in each process.

        Raises:
          BaseException: what it raised in any of them; in the form of a RuntimeError if it is no exception of Python's.
        """
        if self.count == 1:
            return [job()]
        value, error = None, None
        try:
            self.check()
            value = job()
            self.check()
        except BaseException as e:
            error = e
        messages = self._exchange(pickle.dumps((value, _portable(error))))
        if error is not None:
            raise error
        found = [pickle.loads(message) for message in messages]
        for index, (_, raised) in enumerate(found):
            if raised is not None:
                raised.add_note(f"Raised in process {index} of {self.count}.")
                raise raised
        return [value for value, _ in found]

    def together(self, job: Callable[[], T]) -> T:
        """Runs something in every process, see `each`, and returns what it returned in this one."""
        found: list[T] = []
        self.each(lambda: found.append(job()))
        return found[0]

    def first(self, job: Callable[[], T]) -> T:
        """Runs something in the first process only, see `each`, and returns in all what it returned there."""
        return self.each(lambda: job() if self.index == 0 else None)[0]  # pyright: ignore[reportReturnType]

    def stack(self, values: np.ndarray, wanted: bool = True) -> list[np.ndarray]:
        """Meets with an array of the same shape in every process.

        Args:
          values: the array of this process.
          wanted: whether this process wants those of the others.

        Returns:
          The arrays of all; none if they are not wanted.
        """
        if self.count == 1:
            return [values]
        flat = _bytes(values)
        found = np.empty((self.count, flat.size if wanted else 0), np.uint8)
        for start, piece in _pieces(flat, PIECE // self.count):
            stacked = _meet("process_allgather", piece)
            if wanted:
                found[:, start : start + piece.size] = stacked[:, : flat.size - start]
        return [row.view(values.dtype).reshape(values.shape) for row in found] if wanted else []

    def spread(self, values: np.ndarray) -> np.ndarray:
        """Meets, and returns an array of the first process in all of them; those of the others are not looked at."""
        if self.count == 1:
            return values
        dtype, shape = self.first(lambda: (values.dtype, values.shape))
        values = values if self.index == 0 else np.empty(shape, dtype)
        flat = _bytes(values)
        found = np.empty(flat.size, np.uint8)
        for start, piece in _pieces(flat, PIECE // 2):
            found[start : start + piece.size] = _meet("broadcast_one_to_all", piece)[: flat.size - start]
        return found.view(dtype).reshape(shape)

    def check(self) -> None:
        """Raises KeyboardInterrupt if there was a Ctrl-C."""
        if self._interrupted:
            raise KeyboardInterrupt

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Meanwhile a first Ctrl-C is only noted, to be raised where the others learn of it; a second is as usual."""
        previous = signal.getsignal(signal.SIGINT)
        in_main = threading.current_thread() is threading.main_thread()
        if self.count == 1 or not in_main or not callable(previous):
            yield
            return

        def note(signum: int, frame: object) -> None:
            del signum, frame
            self._interrupted = True
            signal.signal(signal.SIGINT, previous)

        signal.signal(signal.SIGINT, note)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, previous)
        self.check()

    def _exchange(self, message: bytes) -> list[bytes]:
        """The messages of all processes."""
        head = len(message).to_bytes(8, "big") + message[:SMALL].ljust(SMALL, b"\0")
        heads = self._messages(head)
        lengths = [int.from_bytes(row[:8], "big") for row in heads]
        rows = [row[8:] for row in heads]
        if max(lengths) > SMALL:
            rows = self._messages(message.ljust(max(lengths), b"\0"))
        return [row[:length] for row, length in zip(rows, lengths, strict=True)]

    def _messages(self, message: bytes) -> list[bytes]:
        """The messages of all processes, if they are of one length."""
        return [row.tobytes() for row in self.stack(np.frombuffer(message, np.uint8))]


def team_of(devices: Sequence[Any]) -> Team:
    """The processes whose devices these are.

    Args:
      devices: as many of each process, or some of this one only, which then is by itself.

    Raises:
      ValueError: they are neither.
    """
    counts = Counter(device.process_index for device in devices)
    me, everyone = jax.process_index(), range(jax.process_count())
    if list(counts) == [me]:
        return Team()
    if len({counts[process] for process in everyone}) > 1:
        each = ", ".join(f"{counts[process]} of process {process}" for process in everyone)
        raise ValueError(
            f"devices must be as many of each process, not {each}; or only of this one (jax.local_devices()), "
            "which then trains by itself."
        )
    return Team(jax.process_count(), me)


def _meet(how: str, piece: np.ndarray) -> np.ndarray:
    from jax.experimental import multihost_utils  # here, for few need it

    try:
        return getattr(multihost_utils, how)(piece)
    except Exception as error:  # JAX has several, by kind of device
        raise RuntimeError(
            "Another process of this sweep has ended or cannot be reached. Start all of them again; with a folder, "
            f"the sweep goes on from its last rung. ({error})"
        ) from error


def _pieces(flat: np.ndarray, limit: int) -> Iterator[tuple[int, np.ndarray]]:
    """Pieces of some bytes and where they start, of few sizes, for each size is compiled."""
    for start in range(0, flat.size, limit):
        piece = flat[start : start + limit]
        size = min(limit, 1 << (piece.size - 1).bit_length())
        yield start, np.pad(piece, (0, size - piece.size))


def _bytes(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values).reshape(-1).view(np.uint8)


def _portable(error: BaseException | None) -> BaseException | None:
    """An error in a form that another process can read."""
    if error is None or type(error).__module__ == "builtins":
        try:
            pickle.loads(pickle.dumps(error))
            return error
        except Exception:  # something that it holds
            pass
    return RuntimeError(f"{type(error).__name__}: {error}")
