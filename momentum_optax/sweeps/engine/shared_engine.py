"""All runs of one structure, of which each process trains a share."""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from .engine import Engine
from .lanes import Lanes
from .shares import Shares
from .trainer import Rung, Trainer


class SharedEngine:
    """The engines of all processes as one.

    No process waits for another in the midst of a rung.

    Attributes:
      hyper: hyperparameters of all runs by name, `[rows, points]`.
      lanes: how each share is laid out.
    """

    def __init__(self, engine: Engine, hyper: Mapping[str, np.ndarray], shares: Shares):
        """Puts the engines together.

        Args:
          engine: what trains the share of this process.
          hyper: hyperparameters of all runs by name, `[rows, points]`.
          shares: of all processes.
        """
        self.hyper, self.lanes = dict(hyper), engine.lanes
        self._engine, self._shares, self._team = engine, shares, shares.team

    @property
    def trainer(self) -> Trainer:
        """What trains a batch of this process."""
        return self._engine.trainer

    @property
    def abstract(self) -> Any:
        """A tree of the structure that states have."""
        return self._engine.abstract

    def advance(self, start: int, stop: int, tick: Callable[[int], None]) -> Rung:
        """Trains every run for a rung and evaluates it, see `Engine.advance`.

        Args:
          start: the first step, from 0.
          stop: the step after the last.
          tick: called after each batch of this process, with how many runs it had, and as many for each other process.

        Returns:
          What the runs showed.
        """

        def count(runs: int) -> None:
            self._team.check()
            tick(runs * self._team.count)

        def train() -> tuple[Rung, tuple[int, int]]:
            return self._engine.advance(start, stop, count), self._engine.lanes.chunk

        rungs, chunks = zip(*self._team.each(train), strict=True)
        self._agree(chunks)
        return jax.tree.map(lambda *parts: self._shares.join(parts), *rungs)

    def fit(self, steps: int) -> None:
        """Makes the batches of all processes small enough for the memory of each, see `Engine.fit`."""

        def fit() -> tuple[int, int]:
            self._engine.fit(steps)
            return self._engine.lanes.chunk

        self._agree(self._team.each(fit))
        if self._engine.lanes != self.lanes:
            self._engine.load(self._engine.state(), self._engine.hyper, self.lanes)

    def needed(self, steps: int) -> int:
        """How many bytes of each device of this process a rung takes, see `Engine.needed`."""
        return self._engine.needed(steps)

    def state(self) -> Any:
        """The states of all runs, `[rows, points, ...]`, on the host of the first process; random keys as their data.

        The others give a tree without arrays.
        """

        def whole(leaf: np.ndarray) -> np.ndarray | None:
            parts = self._team.stack(leaf, wanted=self._team.index == 0)
            return self._shares.join(parts) if parts else None

        return jax.tree.map(whole, self._engine.state())

    def load(self, state: Any, hyper: Mapping[str, np.ndarray], points: int, lanes: Lanes) -> None:
        """Goes on with other states.

        Args:
          state: the states of all runs, of which those of the first process count.
          hyper: their hyperparameters, `[rows, points]`.
          points: how many points there are.
          lanes: how each share was laid out; if that was another share or for other workers, it is laid out anew.
        """
        shares = self._shares.fewer(points)
        if (lanes.shape, lanes.workers) != (shares.each, self.lanes.workers):
            lanes = shares.again(dataclasses.replace(self.lanes, chunk=lanes.chunk))
        self._move(state, self._team.spread, hyper, shares, lanes)

    def keep(self, points: np.ndarray) -> None:
        """Goes on with some of the points only, repacked.

        Args:
          points: their indices.
        """
        hyper = {name: values[:, points] for name, values in self.hyper.items()}
        shares = self._shares.fewer(len(points))
        self._move(
            self._engine.state(), lambda leaf: self._whole(leaf)[:, points], hyper, shares, self.lanes_of(len(points))
        )

    def copy(self, sources: np.ndarray, hyper: Mapping[str, np.ndarray]) -> None:
        """Goes on with copies of some runs' states in the place of others.

        Args:
          sources: from which point of its row each run takes its state, `[rows, points]`.
          hyper: hyperparameters of the runs, `[rows, points]`.
        """
        if (sources != np.arange(sources.shape[1])).any():
            rows = np.arange(len(sources))[:, None]
            self._move(
                self._engine.state(), lambda leaf: self._whole(leaf)[rows, sources], hyper, self._shares, self.lanes
            )

    def lanes_of(self, points: int) -> Lanes:
        """How each share would be laid out if there were so many points."""
        return self._shares.fewer(points).again(self.lanes)

    def _move(
        self,
        state: Any,
        change: Callable[[np.ndarray], np.ndarray],
        hyper: Mapping[str, np.ndarray],
        shares: Shares,
        lanes: Lanes,
    ) -> None:
        """Goes on with other states; of the whole of them, a process holds one array at a time."""
        state = jax.tree.map(lambda leaf: shares.cut(change(leaf)), state)
        self.hyper, self.lanes, self._shares = dict(hyper), lanes, shares
        own = {name: shares.cut(values) for name, values in hyper.items()}
        self._team.together(lambda: self._engine.load(state, own, lanes))

    def _whole(self, leaf: np.ndarray) -> np.ndarray:
        return self._shares.join(self._team.stack(leaf))

    def _agree(self, chunks: Sequence[tuple[int, int]]) -> None:
        """Where memory runs short in one process, all take that for the layout from now on."""
        self.lanes = dataclasses.replace(self._engine.lanes, chunk=min(chunks, key=math.prod))
