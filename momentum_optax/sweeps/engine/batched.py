"""The functions of a trial, compiled for batches of runs."""

import dataclasses
import functools
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, PartitionSpec

from ..._compiled import compiler_options
from ..points.reader import Reader
from ..trials.narrow import turning
from ..trials.trial import Trial
from .products import with_fast_products

RUN = ""
"""The name under which the number of a run stands in for hyperparameters: something to map over if there are none."""

_ROWS, _RUNS, _ALL = PartitionSpec("rows"), PartitionSpec("rows", "points"), PartitionSpec()


class Compiler:
    """A function that is compiled before it is called.

    Calling this with arguments gives what to call with arguments of the same kinds; a second time, or in a second
    sweep, nothing is traced. It happens in the thread of the caller, for x64, matmul precision and the like are
    settings of a thread; there is a compiler for each of these, see `_settings`.

    Attributes:
      seconds: spent compiling so far.
    """

    def __init__(self, jitted: Any):
        """Prepares a function that was given to `jax.jit`."""
        self.seconds = 0.0
        self._jitted = jitted
        self._compiled: dict[Any, Any] = {}
        self._memory: dict[Any, int] = {}

    def __call__(self, *arguments: Any) -> Any:
        """The function, compiled for arguments of these kinds."""
        kinds = _kinds(arguments)
        if kinds not in self._compiled:
            begun = time.perf_counter()
            self._compiled[kinds] = self._jitted.lower(*arguments).compile(compiler_options())
            self.seconds += time.perf_counter() - begun
        return self._compiled[kinds]

    def memory(self, *arguments: Any) -> int:
        """Bytes that a device needs for a call, beside the arguments, as if none were donated."""
        kinds = _kinds(arguments)
        if kinds not in self._memory:
            found = self(*arguments).memory_analysis()
            self._memory[kinds] = found.output_size_in_bytes + found.temp_size_in_bytes
        return self._memory[kinds]


def _kinds(arguments: Any) -> Any:
    """What tells programs for some arguments from others: names, shapes, dtypes."""
    leaves, tree = jax.tree.flatten(arguments)
    return tree, *((x.shape, x.dtype) for x in leaves)


_nothing = jax.jit(lambda: 0.0)


def _settings() -> Any:
    """What tells the settings of this thread from others, as far as programs depend on them."""
    # JAX traces anew under other settings: as long as they are the same, so is what it traced. But it does not tell
    # programs apart by how random bits are made.
    return _nothing.trace().jaxpr, jax.config.jax_default_prng_impl  # pyright: ignore[reportAttributeAccessIssue]


class BatchedTrial:
    """The functions of a trial under one structure, each over a batch of runs `[rows, points]`.

    Arrays of a row (what its seed drew, its items, its fold) are `[rows, ...]`, hyperparameters and states
    `[rows, points, ...]`, and the data are one for all; without a cross-validation, `None` stands for the fold. The
    batch is cut over the mesh. A worker that has one run only does not map at all, for XLA compiles some operations,
    such as convolutions, worse with an axis of runs.

    Attributes:
      start: `(hyper, drawn) -> (hyper, state)`; takes hyperparameters on the host, and gives them on the devices.
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
        # Without what is kept with a trial, this among it: that must go when the trial goes, for it holds much memory.
        trial = dataclasses.replace(trial, data=None)

        def read(hyper: Mapping[str, jax.Array]) -> Reader:
            return Reader({**structure, **{name: value for name, value in hyper.items() if name != RUN}})

        def see(data: Any, fold: jax.Array | None) -> Any:
            return data if trial.fold is None or fold is None else trial.fold(data, fold, folds)

        def start(hyper: Any, drawn: Any) -> Any:
            state = _over(lambda hyper, drawn: _over(lambda h: trial.init(read(h), drawn), hyper), hyper, drawn)
            # Those of Python's numbers do not come back from a folder.
            return hyper, _strongly_typed(state)

        def advance(state: Any, hyper: Any, item: Any, seen: Any) -> Any:
            # The item is fetched once for all points of its row.
            batch = trial.fetch(seen, item)

            @with_fast_products
            def step(state: Any, hyper: Any) -> Any:
                return _over(lambda s, h: trial.step(read(h), s, batch), state, hyper)

            return step(state, hyper)

        def measure(state: Any, hyper: Any, seen: Any) -> Any:
            return _over(lambda s, h: dict(trial.evaluate(read(h), s, seen)), state, hyper)

        def rung(state: Any, hyper: Any, items: Any, fold: Any, data: Any) -> Any:
            def row(state: Any, hyper: Any, items: Any, fold: Any) -> Any:
                seen = see(data, fold)
                turn = turning(state, axes=1)

                def body(state: Any, item: Any) -> Any:
                    state, losses = advance(turn(state), hyper, item, seen)
                    return turn(state), losses

                state, losses = jax.lax.scan(body, turn(state), items)
                state = turn(state)
                return state, losses.T, measure(state, hyper, seen)

            return _over(row, state, hyper, items, fold)

        def step(state: Any, hyper: Any, items: Any, fold: Any, data: Any, index: jax.Array) -> Any:
            def row(state: Any, hyper: Any, items: Any, fold: Any) -> Any:
                return advance(state, hyper, jax.tree.map(lambda x: x[index], items), see(data, fold))

            return _over(row, state, hyper, items, fold)

        def evaluate(state: Any, hyper: Any, fold: Any, data: Any) -> Any:
            return _over(lambda s, h, f: measure(s, h, see(data, f)), state, hyper, fold)

        self.start = _compiler(start, mesh, (_RUNS, _ROWS))
        self.rung = _compiler(rung, mesh, (_RUNS, _RUNS, _ROWS, _ROWS, _ALL))
        self.step = _compiler(step, mesh, (_RUNS, _RUNS, _ROWS, _ROWS, _ALL, _ALL), donate=(0,))
        self.evaluate = _compiler(evaluate, mesh, (_RUNS, _RUNS, _ROWS, _ALL))

    @property
    def compiling(self) -> float:
        """Seconds spent compiling so far."""
        return sum(f.seconds for f in (self.start, self.rung, self.step, self.evaluate))


def batched(trial: Trial, structure: Mapping[str, Any], folds: int, mesh: Mesh) -> BatchedTrial:
    """The functions for these arguments and settings; the same ones a second time: a second sweep compiles nothing.

    They are kept with the trial, and go with it.
    """
    kept = trial.__dict__.setdefault("_batched", {})
    kinds = tuple(structure.items()), folds, mesh, _settings()
    if kinds not in kept:
        kept[kinds] = BatchedTrial(trial, structure, folds, mesh)
    return kept[kinds]


def drawing(trial: Trial, structure: Mapping[str, Any], mesh: Mesh) -> Compiler:
    """`seeds [rows] -> drawn [rows, ...]`, compiled by itself, for random params take longer to compile than a network.

    Each device draws for its rows, one after the other, so that no seed depends on how many there are.
    """
    return _drawing(trial.draw, _asked(trial.draw, tuple(structure.items())), mesh, _settings())


@functools.lru_cache(maxsize=64)
def _asked(draw: Callable[..., Any], structure: tuple[tuple[str, Any], ...]) -> tuple[tuple[str, Any], ...]:
    """What `draw` asks for: structures that differ in something else, such as the method, share a program."""
    read: set[str] = set()
    jax.eval_shape(lambda key: draw(Reader(dict(structure), read), key), jax.random.key(0))
    return tuple((name, value) for name, value in structure if name in read)


@functools.lru_cache(maxsize=64)
def _drawing(draw: Callable[..., Any], structure: tuple[tuple[str, Any], ...], mesh: Mesh, settings: Any) -> Compiler:
    del settings  # they only tell one program from another

    def one(seed: jax.Array) -> Any:
        return draw(Reader(dict(structure)), jax.random.key(seed))

    return _compiler(lambda seeds: _strongly_typed(jax.lax.map(one, seeds)), mesh, (_ROWS,), _ROWS)


def _compiler(
    function: Callable[..., Any],
    mesh: Mesh,
    specs: tuple[PartitionSpec, ...],
    out: PartitionSpec = _RUNS,
    donate: tuple[int, ...] = (),
) -> Compiler:
    """Cuts the arguments of a function over a mesh."""
    # check_vma=False: a scan whose first state does not depend on the mesh (zeros, say) would be refused.
    cut = jax.shard_map(function, mesh=mesh, in_specs=specs, out_specs=out, check_vma=False)
    return Compiler(jax.jit(cut, donate_argnums=donate))


def _strongly_typed(tree: Any) -> Any:
    return jax.tree.map(lambda x: jax.lax.convert_element_type(x, x.dtype), tree)


def _over(f: Callable[..., Any], *trees: Any) -> Any:
    """Maps over the first axes of trees, without a map if there is one entry only."""
    if all(x.shape[0] == 1 for x in jax.tree.leaves(trees)):
        # Numbers of Python's too, which `vmap` would make arrays of.
        return jax.tree.map(lambda x: jnp.asarray(x)[None], f(*jax.tree.map(lambda x: x[0], trees)))
    return jax.vmap(f)(*trees)
