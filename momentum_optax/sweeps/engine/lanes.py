"""How runs are laid out: rows x points, cut into batches of one shape, which workers share."""

import dataclasses
import math

import numpy as np


@dataclasses.dataclass(frozen=True)
class Lanes:
    """A rectangle of runs, and its cutting.

    The runs of a program form a rectangle `[rows, points]`, where a row is a seed, and in a cross-validation a seed and
    a fold; all pairs below are in this order.

    Attributes:
      shape: how many rows and points there are.
      workers: how many of them are side by side in a batch; each trains a part of it.
      chunk: how many rows and points a worker trains at the same time.
    """

    shape: tuple[int, int]
    workers: tuple[int, int]
    chunk: tuple[int, int]

    @property
    def batch(self) -> tuple[int, int]:
        """How many rows and points all workers train at the same time."""
        return self.workers[0] * self.chunk[0], self.workers[1] * self.chunk[1]

    def batches(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """The rows and points of each batch; the last row and the last point are repeated where one is not full."""
        rows, points = (_pieces(size, piece) for size, piece in zip(self.shape, self.batch, strict=True))
        return [(down, across) for down in rows for across in points]

    def few(self, batches: int) -> tuple[int, int]:
        """How many rows and points some batches have, or all."""
        rows, points = self.batch
        across = min(batches, math.ceil(self.shape[1] / points))
        down = math.ceil(batches / across)
        return min(self.shape[0], rows * down), min(self.shape[1], points * across)

    @property
    def trained(self) -> int:
        """How many runs are trained, repeated ones included."""
        return math.prod(math.ceil(n / piece) * piece for n, piece in zip(self.shape, self.batch, strict=True))


def arrange(rows: int, points: int, workers: int) -> tuple[int, int]:
    """How many workers share the rows, and how many the points, so that as few runs as possible are trained twice."""

    def trained(high: int) -> int:
        return math.ceil(rows / high) * high * math.ceil(points / (workers // high)) * (workers // high)

    # Of equal ways the one with most workers on top of one another: then fewest fetch the data of the same row.
    return min(((high, workers // high) for high in _divisors(workers)), key=lambda grid: (trained(grid[0]), -grid[0]))


def lay_out(rows: int, points: int, workers: tuple[int, int], chunk: int | None) -> Lanes:
    """Cuts a rectangle of runs into chunks of one size, as few and as equal as possible.

    Args:
      rows: how many rows there are.
      points: how many points there are.
      workers: how many share the rows and the points, see `arrange`.
      chunk: how many runs a worker trains at the same time, at most; `None` for all that it has.

    Returns:
      The cutting.
    """
    tall, broad = math.ceil(rows / workers[0]), math.ceil(points / workers[1])
    across = _even(broad, broad if chunk is None else chunk)
    # Points go together first, because they share the batches of their row.
    down = _even(tall, tall if chunk is None else max(1, chunk // across))
    return Lanes((rows, points), workers, (down, across))


def again(lanes: Lanes, points: int) -> Lanes:
    """The cutting of fewer points: as before, which compiles nothing, unless that would train much too many."""
    before = dataclasses.replace(lanes, shape=(lanes.shape[0], points))
    anew = lay_out(lanes.shape[0], points, lanes.workers, math.prod(lanes.chunk))
    return before if before.trained <= 1.25 * anew.trained else anew


def _pieces(size: int, piece: int) -> list[np.ndarray]:
    return [np.minimum(np.arange(start, start + piece), size - 1) for start in range(0, size, piece)]


def _even(size: int, limit: int) -> int:
    """The chunk of at most `limit` that cuts `size` into as few, as equal pieces as possible."""
    return math.ceil(size / math.ceil(size / max(1, limit)))


def _divisors(number: int) -> list[int]:
    return [n for n in range(1, number + 1) if number % n == 0]
