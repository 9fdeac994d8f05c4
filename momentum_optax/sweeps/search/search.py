"""A search for good hyperparameters: Optuna asks, sweeps answer, a batch of points at a time."""

import dataclasses
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jax

from .._extras import need
from ..points.points import Points
from ..points.sampling import Space
from ..results.best import Mode, Statistic, check_metric, scores
from ..results.results import SweepResult, join
from ..run import sweep
from ..trials.trial import Trial
from ..values import whole
from .suggestions import suggestions

if TYPE_CHECKING:
    import optuna


class Search(NamedTuple):
    """What a search found.

    Attributes:
      study: Optuna's study, with its analyses and pictures.
      result: all metrics of the points that this call has trained, or has found in its folder, in the order of their
        numbers in the study, which are `result.settings["trials"]`; `None` if there are none.
    """

    study: "optuna.Study"
    result: SweepResult | None


def optuna_search(
    trial: Trial,
    space: Mapping[str, Space],
    *,
    metric: str,
    mode: Mode | None = None,
    statistic: Statistic = "median",
    n: int = 64,
    batch: int = 16,
    seed: int = 0,
    study: "optuna.Study | str | Path | None" = None,
    worker: str = "",
    folder: str | Path | None = None,
    **options: Any,
) -> Search:
    """Searches for the best point with Optuna, training a whole batch of points at once.

    Optuna proposes a batch of points (by TPE, which keeps the points of a batch apart), one `sweep` trains them, and
    Optuna is told the results. A point of which a run diverged or was stopped early is told as pruned: to TPE it is
    worse than all others, while one told as failed would be forgotten. So the best trial of the study is
    `result.best(metric, mode, statistic)`.

    A search that was stopped, even by `kill -9`, goes on when the same call is made again with the same study: what was
    proposed and never told is trained first. With a `folder`, nothing is trained twice.

    Args:
      trial: what to run, see `sweep`.
      space: by hyperparameter, a scale without a count, or a list to choose from.
      metric: what to optimize, at the last evaluation.
      mode: `"max"` or `"min"`; `None` for the direction of a study that is given, else for `"min"` if the name of the
        metric ends in `loss` or `error`, else for `"max"`.
      statistic: what is taken over the runs of a point, see `best`.
      n: how many points the study is to have, with those of earlier calls and of other processes. Processes that ask at
        the same moment may go beyond it by a batch each.
      batch: how many points to train at once. If all hyperparameters are floats, all batches of a size are the same
        compiled program.
      seed: of the proposals, a whole number.
      study: a study of Optuna, with any storage and sampler; or the path of an SQLite file or the address of a
        database, where the study is, or is made; `None` for a file in `folder`, or without one for a study in memory.
      worker: where several processes search one study, a name for this one. On restart it takes up the points that a
        process of this name left unfinished.
      folder: where the results are kept, of each batch in a folder of its own, see `sweep`. Workers need one each.
      **options: further arguments of `sweep`, such as `seeds` and `steps`.

    Returns:
      The study and the result.

    Raises:
      ImportError: Optuna is not installed.
      ValueError: an argument is out of its range, see also `sweep`, or is not that of the study; or several processes
        are one, by `jax.distributed`.
      KeyError: there is no such metric.

    Examples:
      >>> import jax.numpy as jnp
      >>> from momentum_optax import sweeps
      >>> def step(hp, x, key):
      ...     return x - hp["learning_rate"] * x, x**2 / 2
      >>> trial = sweeps.trial(lambda hp, key: jnp.ones(()), step, lambda hp, x: {"test_loss": x**2 / 2})
      >>> space = {"learning_rate": sweeps.log(1e-3, 10)}
      >>> study, result = sweeps.optuna_search(trial, space, metric="test_loss", n=32, batch=8, seeds=1, steps=20)
      >>> len(study.trials), study.best_value < 1e-9
      (32, True)
    """
    need("optuna", "Searches", extra="optuna")
    from .asking import Desk, open_study

    if jax.process_count() > 1:
        raise ValueError(
            f"A search is of one process, but here are {jax.process_count()} that jax.distributed has joined. Let each "
            "search by itself, with the address of one database as study and a worker's name of its own."
        )
    n, batch, seed = whole("n", n, 1), whole("batch", batch, 1), whole("seed", seed, 0)
    suggested = suggestions(space)
    study, mode, sampler = open_study(study, folder, metric, mode, seed, worker)
    desk = Desk(study, suggested, worker, sampler)
    results: list[SweepResult] = []
    numbers: list[int] = []
    for asked in desk.batches(n, batch, again=folder is not None):
        where = None if folder is None else Path(folder) / f"batch_{asked.first:05d}"
        result = sweep(trial, Points(asked.points), metric=metric, mode=mode, folder=where, **options)
        desk.tell(asked.numbers, values(result, metric, statistic))
        results.append(result)
        numbers.extend(asked.numbers)
    if not results:
        return Search(study, None)
    result = _joined(results, numbers)
    if folder is not None:
        result.save(folder, metric)
    return Search(study, result)


def values(result: SweepResult, metric: str, statistic: Statistic) -> list[float | None]:
    """What to tell of each point; `None` for one that is worse than all others."""
    found = scores(result, check_metric(result, metric), statistic)
    whole_runs = (found.diverged == 0) & (found.pruned == 0)
    return [float(value) if good else None for value, good in zip(found.value, whole_runs, strict=True)]


def _joined(results: Sequence[SweepResult], numbers: Sequence[int]) -> SweepResult:
    """The results of all batches as one, in the order of the numbers of their trials."""
    seconds: dict[str, float] = defaultdict(float)
    for result in results:
        for name, duration in result.settings["seconds"].items():
            seconds[name] += duration
    joined = join(results)
    settings = {**joined.settings, "seconds": dict(seconds), "trials": list(numbers)}
    return dataclasses.replace(joined, settings=settings)
