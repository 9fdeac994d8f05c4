"""The functions of a trial, compiled for batches of runs."""

import functools
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, PartitionSpec

from ..points.reader import Reader
from ..trials.trial import Trial

RUN = ""
"""Which run it is, beside its hyperparameters: there is something to map over even if there are none."""

_ROWS, _RUNS, _ALL = PartitionSpec("rows"), PartitionSpec("rows", "points"), PartitionSpec()


class Compiler:
    """A function that is compiled before it is called.

    Calling this with arguments, or with their shapes, gives what to call with arguments of the same kinds. A second
    time that compiles nothing. It happens in the thread of the caller, for x64, matmul precision and the like are
    settings of a thread.

    Attributes:
      traced: the function that JAX traces.
      seconds: spent compiling so far.
    """

    def __init__(self, traced: Any):
        """Prepares a function that was given to `jax.jit`."""
        self.traced = traced
        self.seconds = 0.0
        self._memory: dict[Any, int] = {}

    def __call__(self, *arguments: Any) -> Any:
        """The function, compiled for arguments of these kinds."""
        begun = time.perf_counter()
        compiled = self.traced.lower(*arguments).compile()
        self.seconds += time.perf_counter() - begun
        return compiled

    def memory(self, *arguments: Any) -> int:
        """Bytes that a device needs for a call, beside the arguments, as if none were donated."""
        kinds = jax.tree.structure(arguments), *((x.shape, x.dtype) for x in jax.tree.leaves(arguments))
        if kinds not in self._memory:
            found = self(*arguments).memory_analysis()
            self._memory[kinds] = found.output_size_in_bytes + found.temp_size_in_bytes
        return self._memory[kinds]


class BatchedTrial:
    """The functions of a trial under one structure, each over a batch of runs `[rows, points]`.

    Arrays of a row (what its seed drew, its items, its fold) are `[rows, ...]`, hyperparameters and states
    `[rows, points, ...]`, and the data are one for all. The batch is cut over the mesh. A worker that has one run only
    does not map at all, for XLA compiles some operations, such as convolutions, worse with an axis of runs.

    Attributes:
      start: `(hyper, drawn) -> state`.
      rung: `(state, hyper, items, fold, data) -> (state, losses [rows, points, steps], metrics)`.
      step: `(state, hyper, items, fold, data, index) -> (state, losses [rows, points])`, of the items at an index;
        donates the state.
      evaluate: `(state, hyper, fold, data) -> metrics`.
    """

    def __init__(self, trial: Trial, structure: Mapping[str, Any], folds: int, mesh: Mesh):
        """Prepares the functions.

        Args:
          trial: what to run.
          structure: the hyperparameters that are part of the program.
          folds: how many folds there are; 1 for none.
          mesh: what shares a batch; its axes are `rows` and `points`.
        """

        def read(hyper: Mapping[str, jax.Array]) -> Reader:
            return Reader({**structure, **{name: value for name, value in hyper.items() if name != RUN}})

        def see(data: Any, fold: jax.Array) -> Any:
            return data if trial.fold is None or folds == 1 else trial.fold(data, fold, folds)

        def start(hyper: Any, drawn: Any) -> Any:
            state = _over(lambda hyper, drawn: _over(lambda h: trial.init(read(h), drawn), hyper), hyper, drawn)
            # Strong types, for those of Python's numbers do not come back from a folder.
            return jax.tree.map(lambda x: jax.lax.convert_element_type(x, x.dtype), state)

        def advance(state: Any, hyper: Any, item: Any, seen: Any) -> Any:
            # The item is fetched once for all points of its row.
            batch = trial.fetch(seen, item)
            return _over(lambda s, h: trial.step(read(h), s, batch), state, hyper)

        def measure(state: Any, hyper: Any, seen: Any) -> Any:
            return _over(lambda s, h: dict(trial.evaluate(read(h), s, seen)), state, hyper)

        def rung(state: Any, hyper: Any, items: Any, fold: Any, data: Any) -> Any:
            def row(state: Any, hyper: Any, items: Any, fold: Any) -> Any:
                seen = see(data, fold)
                state, losses = jax.lax.scan(lambda s, item: advance(s, hyper, item, seen), state, items)
                return state, losses.T, measure(state, hyper, seen)

            return _over(row, state, hyper, items, fold)

        def step(state: Any, hyper: Any, items: Any, fold: Any, data: Any, index: jax.Array) -> Any:
            def row(state: Any, hyper: Any, items: Any, fold: Any) -> Any:
                return advance(state, hyper, jax.tree.map(lambda x: x[index], items), see(data, fold))

            return _over(row, state, hyper, items, fold)

        def evaluate(state: Any, hyper: Any, fold: Any, data: Any) -> Any:
            return _over(lambda s, h, f: measure(s, h, see(data, f)), state, hyper, fold)

        def compiler(f: Callable[..., Any], *specs: PartitionSpec, donate: tuple[int, ...] = ()) -> Compiler:
            # check_vma=False: a scan whose first state does not depend on the mesh (zeros, say) would be refused.
            cut = jax.shard_map(f, mesh=mesh, in_specs=specs, out_specs=_RUNS, check_vma=False)
            return Compiler(jax.jit(cut, donate_argnums=donate))

        self.start = compiler(start, _RUNS, _ROWS)
        self.rung = compiler(rung, _RUNS, _RUNS, _ROWS, _ROWS, _ALL)
        self.step = compiler(step, _RUNS, _RUNS, _ROWS, _ROWS, _ALL, _ALL, donate=(0,))
        self.evaluate = compiler(evaluate, _RUNS, _RUNS, _ROWS, _ALL)

    @property
    def compiling(self) -> float:
        """Seconds spent compiling so far."""
        return sum(f.seconds for f in (self.start, self.rung, self.step, self.evaluate))


def batched(trial: Trial, structure: Mapping[str, Any], folds: int, mesh: Mesh) -> BatchedTrial:
    """The functions for these arguments; the same ones a second time, so that a second sweep compiles nothing.

    They are kept with the trial, and go with it.
    """
    kept = trial.__dict__.setdefault("_batched", {})
    kinds = tuple(structure.items()), folds, mesh
    if kinds not in kept:
        kept[kinds] = BatchedTrial(trial, structure, folds, mesh)
    return kept[kinds]


def draw(trial: Trial, structure: Mapping[str, Any], seed: int) -> Any:
    """What a seed draws, compiled once, because random initial params take longer to compile than a network."""
    return _draw(trial.draw, tuple(structure.items()))(jax.random.key(seed))


@functools.lru_cache(maxsize=64)
def _draw(draw: Callable[..., Any], structure: tuple[tuple[str, Any], ...]) -> Any:
    read: set[str] = set()
    jax.eval_shape(lambda key: draw(Reader(dict(structure), read), key), jax.random.key(0))
    # Structures that differ in what it does not ask for, such as the method, share a program.
    return _jitted(draw, tuple((name, value) for name, value in structure if name in read))


@functools.lru_cache(maxsize=64)
def _jitted(draw: Callable[..., Any], structure: tuple[tuple[str, Any], ...]) -> Any:
    return jax.jit(lambda key: draw(Reader(dict(structure)), key))


def _over(f: Callable[..., Any], *trees: Any) -> Any:
    """Maps over the first axes of trees, without a map if there is one entry only."""
    if all(x.shape[0] == 1 for x in jax.tree.leaves(trees)):
        # Numbers of Python's too, which `vmap` would make arrays of.
        return jax.tree.map(lambda x: jnp.asarray(x)[None], f(*jax.tree.map(lambda x: x[0], trees)))
    return jax.vmap(f)(*trees)
