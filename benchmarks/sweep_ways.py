"""A sweep, and what people write by hand instead; shared by the benchmarks of sweeps.

All ways train the same runs with the same first params, the same order of data, and one test at the end. Each gives
the test losses of its runs, so that it can be seen that they agree.
"""

import functools
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import machine
import numpy as np
import optax
from jax.sharding import Mesh, PartitionSpec

import momentum_optax as mo
from momentum_optax.sweeps import Data, Points, SweepResult, accuracy, cross_entropy, grid, supervised, sweep

Runs = Sequence[tuple[int, int]]
"""Some runs, each by its point and its seed."""

BETAS = [0.0, 0.5, 0.8, 0.9]


def points(count: int) -> Points:
    """So many learning rates and betas."""
    return grid(learning_rate=[float(x) for x in np.geomspace(0.003, 0.1, count // len(BETAS))], beta=BETAS)


class Way(NamedTuple):
    """One way to train.

    Attributes:
      train: trains, waits, and gives the test losses.
      runs: how many runs it trains.
    """

    train: Callable[[], np.ndarray]
    runs: int


class Ways:
    """The ways to train all points from all seeds, or some runs where that would take too long.

    Attributes:
      trial: what is trained, as a sweep takes it.
      points: the points.
      seeds: how many seeds.
    """

    def __init__(self, init: Any, apply: Any, data: Data, points: Points, seeds: int, steps: int, batch: int):
        """Draws what is random.

        Args:
          init: `key -> params`.
          apply: `(params, inputs) -> logits`.
          data: as many training samples as `batch` divides: what is written by hand knows no other batches.
          points: learning rates and betas.
          seeds: how many seeds.
          steps: how many steps a run makes.
          batch: how many samples a step.
        """
        self.trial = supervised(
            (init, apply),
            cross_entropy,
            data,
            batch_size=batch,
            optimizer=lambda hp: mo.heavy_ball(hp["learning_rate"], hp["beta"]),
        )
        self.points, self.seeds = points, seeds
        self._init, self._apply, self._steps = init, apply, steps
        self._data = jax.device_put(data)
        self._draw = jax.jit(init)
        self._params, self._rows = self._drawn()
        hyper = points.arrays()
        self._rates, self._betas = hyper["learning_rate"], hyper["beta"]

    def some(self, count: int) -> Runs:
        """So many runs from all over the sweep."""
        runs = [(point, seed) for point in range(len(self.points)) for seed in range(self.seeds)]
        return runs[:: max(1, len(runs) // count)][:count]

    def sweep(self, **options: Any) -> SweepResult:
        """The sweep of this library."""
        options = {"seeds": self.seeds, "steps": self._steps, "evaluate_every": self._steps} | options
        return sweep(self.trial, self.points, **options)

    def ours(self, **options: Any) -> Way:
        """The sweep as a way to train."""
        return Way(lambda: self.sweep(**options).final("test_loss").T, len(self.points) * self.seeds)

    def together(self) -> Way:
        """`vmap` over points, which share their batches, and seeds, and `shard_map` over devices."""
        mesh = Mesh(np.asarray(jax.devices()[: math.gcd(self.seeds, len(jax.devices()))]), ("seeds",))
        over_points = jax.vmap(self._run, (0, 0, None, None, None))
        over_both = jax.vmap(over_points, (None, None, 0, 0, None))
        everywhere, cut = PartitionSpec(), PartitionSpec("seeds")
        specs = (everywhere, everywhere, cut, cut, everywhere)
        spread = jax.jit(jax.shard_map(over_both, mesh=mesh, in_specs=specs, out_specs=cut, check_vma=False))

        def train() -> np.ndarray:
            # A sweep draws these anew, too.
            params, rows = self._drawn()
            params, rows = jax.tree.map(lambda *x: np.stack(x), *params), np.stack(rows)
            return jax.device_get(spread(self._rates, self._betas, params, rows, self._data))[1]

        return Way(train, len(self.points) * self.seeds)

    def loop(self, runs: Runs) -> Way:
        """A loop over one compiled run, which takes its numbers as arguments."""
        one = jax.jit(self._run)

        def train() -> np.ndarray:
            found = [one(self._rates[p], self._betas[p], self._params[s], self._rows[s], self._data) for p, s in runs]
            return np.asarray([jax.device_get(values)[1] for values in found])

        return Way(train, len(runs))

    def step_loop(self, runs: Runs) -> Way:
        """A loop over runs and steps, each a call of one compiled step."""
        step = jax.jit(self._step, donate_argnums=(2, 3))
        test, begin = jax.jit(self._test), jax.jit(self._begin)

        def train() -> np.ndarray:
            found = []
            for p, s in runs:
                rate, beta = self._rates[p], self._betas[p]
                params, rows = jax.device_put(self._params[s]), jax.device_put(list(self._rows[s]))
                params, memory = begin(rate, beta, params)
                losses = []
                for index in rows:
                    params, memory, loss = step(rate, beta, params, memory, index, self._data)
                    losses.append(loss)
                found.append(jax.device_get((losses, test(params, self._data)))[1][0])
            return np.asarray(found)

        return Way(train, len(runs))

    def compile_each(self, runs: Runs) -> Way:
        """A function that holds its numbers, draws its params and is compiled: a new program for every point."""

        def train() -> np.ndarray:
            found = []
            for p, s in runs:
                rate, beta = self.points[p]["learning_rate"], self.points[p]["beta"]
                one = jax.jit(lambda key, rows, data, r=rate, b=beta: self._run(r, b, self._init(key), rows, data))
                found.append(jax.device_get(one(jax.random.key(s), self._rows[s], self._data))[1])
            return np.asarray(found)

        return Way(train, len(runs))

    def torch(self, build: Callable[[Any, Any], Any], runs: Runs) -> Way:
        """PyTorch's loop, with its fused optimizer.

        Args:
          build: `(torch, params) -> module`.
          runs: which runs.
        """
        import torch

        torch.set_num_threads(1)  # the fastest for small matrices
        inputs, labels, test_inputs, test_labels = (torch.from_numpy(np.array(x)) for x in self._data)
        labels, test_labels = labels.long(), test_labels.long()
        loss_of = torch.nn.functional.cross_entropy

        def train() -> np.ndarray:
            found = []
            for p, s in runs:
                net, point = build(torch, self._params[s]), self.points[p]
                rate, beta = point["learning_rate"], point["beta"]
                optimizer = torch.optim.SGD(net.parameters(), rate, momentum=beta, fused=True)
                for index in torch.from_numpy(self._rows[s]).long():
                    optimizer.zero_grad()
                    loss_of(net(inputs[index]), labels[index]).backward()
                    optimizer.step()
                with torch.no_grad():
                    logits = net(test_inputs)
                    found.append((logits.argmax(-1) == test_labels).float().mean().item())
                    found[-1] = loss_of(logits, test_labels).item()
            return np.asarray(found)

        return Way(train, len(runs))

    def _drawn(self) -> tuple[list[Any], list[np.ndarray]]:
        """First params and the samples of each step, for each seed."""
        params = jax.device_get([self._draw(jax.random.key(seed)) for seed in range(self.seeds)])
        return params, [self.trial.plan({}, seed, self._steps)["rows"] for seed in range(self.seeds)]

    def _begin(self, rate: Any, beta: Any, params: Any) -> Any:
        return params, optax.sgd(rate, beta).init(params)

    def _step(self, rate: Any, beta: Any, params: Any, memory: Any, index: Any, data: Data) -> Any:
        inputs, targets = data.train_inputs[index], data.train_targets[index]

        def objective(params: Any) -> Any:
            return cross_entropy(self._apply(params, inputs), targets).mean()

        loss, gradients = jax.value_and_grad(objective)(params)
        updates, memory = optax.sgd(rate, beta).update(gradients, memory, params)
        return optax.apply_updates(params, updates), memory, loss

    def _test(self, params: Any, data: Data) -> Any:
        logits = self._apply(params, data.test_inputs)
        return cross_entropy(logits, data.test_targets).mean(), accuracy(logits, data.test_targets).mean()

    def _run(self, rate: Any, beta: Any, params: Any, rows: Any, data: Data) -> Any:
        """One run: params `[...]`, rows `[steps, batch]`; gives losses `[steps]`, test loss and test accuracy."""

        def body(carry: Any, index: Any) -> Any:
            *carry, loss = self._step(rate, beta, *carry, index, data)
            return carry, loss

        (params, _), losses = jax.lax.scan(body, list(self._begin(rate, beta, params)), rows)
        return losses, *self._test(params, data)


class Time(NamedTuple):
    """What one way takes.

    Attributes:
      ms: milliseconds per run, by the clock.
      core_ms: milliseconds of all cores together, which others on the machine change less.
      ratio: of its time per run to that of the reference, round by round, as quartiles.
      core_ratio: the same of the time of all cores, the median.
    """

    ms: float
    core_ms: float
    ratio: tuple[float, float, float]
    core_ratio: float


def compare(ways: Mapping[str, Way], reference: str, rounds: int) -> dict[str, Time]:
    """Times all ways in turns.

    Args:
      ways: the ways by name.
      reference: the name of that which the others are compared with.
      rounds: how many times each is timed, after once for compiling.

    Returns:
      What each takes.
    """
    cores: dict[str, list[float]] = {name: [] for name in ways}

    def counted(name: str) -> None:
        begun = time.process_time()
        ways[name].train()
        cores[name].append((time.process_time() - begun) / ways[name].runs)

    taken = machine.interleave({name: functools.partial(counted, name) for name in ways}, rounds, warmup=1)
    clock = {name: [s / ways[name].runs for s in seconds] for name, seconds in taken.items()}
    found = {}
    for name in ways:
        own = cores[name][1:]  # without the warm-up
        found[name] = Time(
            ms=1e3 * statistics.median(clock[name]),
            core_ms=1e3 * statistics.median(own),
            ratio=machine.quartiles(machine.ratios(clock[name], clock[reference])),
            core_ratio=statistics.median(machine.ratios(own, cores[reference][1:])),
        )
    return found


WIDTHS = [34, 11, 24, 16, 10]


def show(times: Mapping[str, Time], markdown: bool, reference: str = "ours") -> None:
    """Prints a table; the ratios are to a reference."""
    widths = None if markdown else WIDTHS
    header = ["way", "ms per run", f"of {reference} (quartiles)", "core-ms per run", "ratio"]
    print(machine.row(header, widths))
    if markdown:
        print("|" + "---|" * len(header))
    for name, own in times.items():
        ratio = "{1:.2f} ({0:.2f}-{2:.2f})".format(*own.ratio)
        print(machine.row([name, f"{own.ms:.2f}", ratio, f"{own.core_ms:.2f}", f"{own.core_ratio:.2f}"], widths))
