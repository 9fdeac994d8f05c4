"""Which process trains which runs."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from .lanes import Lanes, again, arrange
from .team import Team


@dataclasses.dataclass(frozen=True)
class Shares:
    """A rectangle of runs, cut into a share for each process.

    Shares are rectangles of one shape, so that all processes compile the same programs; where they do not fit, the last
    row or the last point is in several.

    Attributes:
      team: the processes.
      shape: how many rows and points there are.
      grid: how many processes share the rows, and how many the points.
    """

    team: Team
    shape: tuple[int, int]
    grid: tuple[int, int]

    @classmethod
    def of(cls, team: Team, rows: int, points: int) -> "Shares":
        """Cuts a rectangle."""
        return cls(team, (rows, points), arrange(rows, points, team.count))

    @property
    def each(self) -> tuple[int, int]:
        """How many rows and points each share has."""
        return math.ceil(self.shape[0] / self.grid[0]), math.ceil(self.shape[1] / self.grid[1])

    def runs(self, process: int) -> tuple[np.ndarray, np.ndarray]:
        """The rows and the points of a process."""
        place = divmod(process, self.grid[1])
        rows, points = (_part(*n) for n in zip(self.shape, self.each, place, strict=True))
        return rows, points

    def cut(self, whole: np.ndarray) -> np.ndarray:
        """The share of this process of an array `[rows, points, ...]`."""
        return whole if self.team.count == 1 else whole[np.ix_(*self.runs(self.team.index))]

    def join(self, parts: Sequence[np.ndarray]) -> np.ndarray:
        """The whole of the shares of all processes."""
        if self.team.count == 1:
            return parts[0]
        whole = np.empty((*self.shape, *parts[0].shape[2:]), parts[0].dtype)
        for process, part in enumerate(parts):
            whole[np.ix_(*self.runs(process))] = part
        return whole

    def fewer(self, points: int) -> "Shares":
        """The shares when there are fewer points."""
        return dataclasses.replace(self, shape=(self.shape[0], points))

    def again(self, lanes: Lanes) -> Lanes:
        """The layout of each share, from that of another one, see `lanes.again`."""
        return again(dataclasses.replace(lanes, shape=self.each), self.each[1])


def _part(size: int, piece: int, which: int) -> np.ndarray:
    return np.minimum(np.arange(which * piece, (which + 1) * piece), size - 1)
