"""How runs are laid out: seeds x points, cut over workers, and within a worker into chunks."""

import dataclasses
import math
from typing import Any

import jax
import numpy as np

CPU_CHUNK = 16
"""Runs that go through a CPU core together: enough to fill its vector units, few enough for its cache.

Measured with a 64-64-10 network: 8 to 32 are equal within noise; 256 is a third slower.
"""


@dataclasses.dataclass(frozen=True)
class Lanes:
    """A rectangle of runs, and its cutting.

    The runs of a sweep form a rectangle `[seeds, points]`; all pairs below are in this order.

    Attributes:
      shape: how many seeds and points there are.
      workers: into how many parts each side is cut; a part goes to one device or one thread.
      chunk: how many seeds and points of a part are trained at the same time.
    """

    shape: tuple[int, int]
    workers: tuple[int, int]
    chunk: tuple[int, int]

    @property
    def padded(self) -> tuple[int, int]:
        """The shape after repeating the last seed and the last point until workers and chunks divide it."""
        seeds, points = (
            math.ceil(size / (workers * chunk)) * workers * chunk
            for size, workers, chunk in zip(self.shape, self.workers, self.chunk, strict=True)
        )
        return seeds, points

    def blocks(self) -> list[tuple[slice, slice]]:
        """The part of each worker, row by row."""
        (seeds, points), (rows, columns) = self.padded, self.workers
        tall, wide = seeds // rows, points // columns
        return [
            (slice(i * tall, (i + 1) * tall), slice(j * wide, (j + 1) * wide))
            for i in range(rows)
            for j in range(columns)
        ]


def lay_out(seeds: int, points: int, workers: int, chunk: int | None) -> Lanes:
    """Cuts a rectangle of runs so that as few runs as possible are padding.

    Args:
      seeds: how many seeds there are.
      points: how many points there are.
      workers: among how many devices or threads to share.
      chunk: how many runs a worker trains at the same time, at most; `None` for all that it has.

    Returns:
      The cutting.
    """

    def cut(rows: int) -> Lanes:
        columns = workers // rows
        tall, wide = math.ceil(seeds / rows), math.ceil(points / columns)
        across = _even(wide, wide if chunk is None else chunk)
        # Points go together first, because they share the batches of their seed.
        down = _even(tall, tall if chunk is None else max(1, chunk // across))
        return Lanes((seeds, points), (rows, columns), (down, across))

    cuts = [cut(rows) for rows in range(1, workers + 1) if workers % rows == 0]
    # Of equal cuts the one with most rows: then fewest workers fetch the batches of the same seed.
    return min(cuts, key=lambda lanes: (math.prod(lanes.padded), -lanes.workers[0]))


def pad(tree: Any, size: int) -> Any:
    """Repeats the last entry of the first axis of each leaf up to the given size."""

    def leaf(x: Any) -> Any:
        return x if len(x) == size else x[np.minimum(np.arange(size), len(x) - 1)]

    return jax.tree.map(leaf, tree)


def _even(size: int, limit: int) -> int:
    """The chunk of at most `limit` that cuts `size` into as few, as equal pieces as possible."""
    return math.ceil(size / math.ceil(size / max(1, limit)))
