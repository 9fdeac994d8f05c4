"""All runs of a sweep as one compiled program, advanced one rung at a time."""

import functools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from .lanes import Lanes, pad
from .points import Reader
from .trial import Trial


@functools.lru_cache(maxsize=16)
def _program(init, fetch, step, evaluate, chunk: tuple[int, int], mesh: Mesh):
    """The start and one rung; cached, so that a second sweep of the same trial compiles nothing."""
    down, across = chunk

    def start_block(hyper, drawn):
        over_points = jax.vmap(lambda h, d: init(Reader(h), d), (0, None))
        return jax.vmap(over_points, (None, 0))(hyper, drawn)

    def rung_block(hyper, state, items, data):
        def lane(hyper, state, items):
            hyper = Reader(hyper)
            state, losses = jax.lax.scan(lambda s, item: step(hyper, s, fetch(data, item)), state, items)
            return state, losses, dict(evaluate(hyper, state, data))

        def seed(state_and_items):
            # `items` is not mapped over points: a batch is fetched once for all points of its seed.
            state, items = state_and_items
            return jax.lax.map(lambda hs: lane(hs[0], hs[1], items), (hyper, state), batch_size=across)

        return jax.lax.map(seed, (state, items), batch_size=down)

    points, seeds, both = PartitionSpec("points"), PartitionSpec("seeds"), PartitionSpec("seeds", "points")
    # check_vma=False: a scan whose first state does not depend on the mesh (zeros, say) would be refused.
    sharded = functools.partial(jax.shard_map, mesh=mesh, out_specs=both, check_vma=False)
    start = jax.jit(sharded(start_block, in_specs=(points, seeds)))
    rung = jax.jit(sharded(rung_block, in_specs=(points, both, seeds, PartitionSpec())), donate_argnums=1)
    return start, rung


class Engine:
    """Runs of one trial, under way.

    Attributes:
      lanes: how the runs are laid out.
      state: the states of the runs: one tree `[seeds, points, ...]`, padded, for each block of runs.
    """

    def __init__(self, trial: Trial, lanes: Lanes, hyper: dict[str, np.ndarray], drawn: Any, devices: Sequence[Any]):
        """Places data and first states.

        Args:
          trial: what to run.
          lanes: the layout; its workers are `devices` if there are several, else threads.
          hyper: hyperparameters by name, `[points]`.
          drawn: what each seed drew, `[seeds, ...]`.
          devices: where to run.
        """
        grid = lanes.workers if len(devices) > 1 else (1, 1)
        self.lanes = lanes
        self._mesh = Mesh(np.asarray(devices).reshape(grid), ("seeds", "points"), axis_types=(AxisType.Auto,) * 2)
        blocks = lanes.blocks() if len(devices) == 1 else [(slice(None), slice(None))]
        start, self._rung = _program(trial.init, trial.fetch, trial.step, trial.evaluate, lanes.chunk, self._mesh)
        self._pool = ThreadPoolExecutor(len(blocks)) if len(blocks) > 1 else None
        self._blocks = blocks
        seeds, points = lanes.padded
        hyper, drawn = pad(hyper, points), pad(drawn, seeds)
        self._data = self._place(trial.data)
        self._hyper = [self._place(_cut(hyper, across), "points") for _, across in blocks]
        self.state = [
            start(h, self._place(_cut(drawn, down), "seeds")) for h, (down, _) in zip(self._hyper, blocks, strict=True)
        ]

    def advance(self, items: Any) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Trains every run for a rung and evaluates it.

        Args:
          items: what each step of the rung consumes, `[seeds, steps, ...]`.

        Returns:
          The loss of every step, `[seeds, points, steps]`, and the metrics after the last, `[seeds, points]`.
        """
        items = pad(items, self.lanes.padded[0])
        placed = [self._place(_cut(items, down), "seeds") for down, _ in self._blocks]
        # Compiled here, for x64, matmul precision and the like are settings of the calling thread only. JAX remembers
        # the program, and all blocks have the same shapes.
        rung = self._rung.lower(self._hyper[0], self.state[0], placed[0], self._data).compile()

        def block(index: int):
            self.state[index], losses, metrics = rung(self._hyper[index], self.state[index], placed[index], self._data)
            return jax.device_get((losses, metrics))

        everything = range(len(self._blocks))
        parts = list(self._pool.map(block, everything)) if self._pool else [block(0)]
        columns = len(self._blocks) // len({down.start for down, _ in self._blocks})
        rows = [parts[i : i + columns] for i in range(0, len(parts), columns)]
        whole = [jax.tree.map(lambda *x: np.concatenate(x, axis=1), *row) for row in rows]
        seeds, points = self.lanes.shape
        return jax.tree.map(lambda *x: np.concatenate(x)[:seeds, :points], *whole)

    def close(self) -> None:
        """Lets go of the threads and the states."""
        if self._pool:
            self._pool.shutdown(cancel_futures=True)
        self.state = []

    def _place(self, tree: Any, *axes: str) -> Any:
        return jax.device_put(tree, NamedSharding(self._mesh, PartitionSpec(*axes)))


@functools.lru_cache(maxsize=16)
def draw_program(draw):
    """`draw`, compiled; cached, because random initial params take longer to compile than a network."""
    return jax.jit(draw)


def _cut(tree: Any, part: slice) -> Any:
    return jax.tree.map(lambda x: x[part], tree)
