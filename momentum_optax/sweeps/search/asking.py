"""Asking Optuna for batches of points, and telling it what became of them."""

import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import optuna
from optuna.study import StudyDirection
from optuna.trial import TrialState
from sqlalchemy import NullPool
from sqlalchemy.exc import DatabaseError

from ..results.best import Mode, check_mode
from ..values import Value, listing
from .suggestions import Suggestion

NAME = "momentum_optax"
"""Of a study that is made here, and of the note at each of its trials."""

TRIES = 6
"""How often a database is tried to be opened, half a second apart."""

Sampler = Callable[[int], optuna.samplers.BaseSampler]
"""The sampler for a study that has so many points."""


class Batch(NamedTuple):
    """Points that are trained together.

    Attributes:
      first: the number of the trial that was the first to be asked for; the batch is known by it.
      numbers: the numbers of the trials.
      points: their points.
    """

    first: int
    numbers: list[int]
    points: list[dict[str, Value]]


class Desk:
    """Where points are asked for and results are told.

    A trial is noted to be of a worker and a batch as soon as it is there. So a worker that was stopped, wherever that
    was, knows which trials are its own and still running, and finishes them.
    """

    def __init__(self, study: optuna.Study, space: Mapping[str, Suggestion], worker: str, sampler: Sampler | None):
        """Opens.

        Args:
          study: whom to ask.
          space: what to ask for, by hyperparameter.
          worker: the name of this process.
          sampler: makes the sampler for each question; `None` to leave that of the study.
        """
        self._study = study
        self._space = space
        self._worker = worker
        self._sampler = sampler
        self._names = {suggestion.name for suggestion in space.values()}

    def batches(self, n: int, size: int, *, again: bool) -> Iterator[Batch]:
        """The batches to train: first what this worker has begun, then new ones.

        Args:
          n: how many points the study is to have.
          size: of a new batch.
          again: whether batches come again that were told already.
        """
        begun: dict[int, list[optuna.trial.FrozenTrial]] = {}
        for trial in self._study.get_trials(deepcopy=False):
            note = trial.user_attrs.get(NAME, {})
            if self._is_lost(trial):
                self._study.tell(trial.number, state=TrialState.FAIL)
            elif note.get("worker") == self._worker and trial.state != TrialState.FAIL:
                self._check_names(trial)
                begun.setdefault(note["batch"], []).append(trial)
        for first, trials in begun.items():
            if again or any(trial.state == TrialState.RUNNING for trial in trials):
                known = [(trial.number, trial.params) for trial in trials]
                yield self._fill(known, trials[0].user_attrs[NAME]["size"], first)
        while (left := n - self._count()) > 0:
            yield self._fill([], min(size, left))

    def tell(self, numbers: Sequence[int], values: Sequence[float | None]) -> None:
        """Tells the results of trials that have none yet; `None` for a point that is worse than all others."""
        running = {t.number for t in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))}
        for number, value in zip(numbers, values, strict=True):
            if number in running:
                # Another process that took up the same batch has the same result.
                state = TrialState.PRUNED if value is None else TrialState.COMPLETE
                self._study.tell(number, value, state, skip_if_finished=True)

    def _is_lost(self, trial: optuna.trial.FrozenTrial) -> bool:
        """Whether this worker was stopped in the middle of asking for a trial."""
        if trial.state != TrialState.RUNNING:
            return False
        if NAME in trial.user_attrs:
            return trial.user_attrs[NAME]["worker"] == self._worker and set(trial.params) < self._names
        # Before it was noted. Only if no one else is asking here, it must have been this one.
        return not trial.params and not self._worker and self._sampler is not None

    def _check_names(self, trial: optuna.trial.FrozenTrial) -> None:
        if set(trial.params) != self._names:
            raise ValueError(
                f"space: the study {self._study.study_name!r} is about {listing(sorted(trial.params))}, not "
                f"{listing(sorted(self._names))}. Give another study."
            )

    def _fill(self, known: list[tuple[int, Any]], size: int, first: int | None = None) -> Batch:
        """A batch of what is known already and as many new trials as are missing."""
        while len(known) < size:
            if self._sampler is not None:
                self._study.sampler = self._sampler(self._count())
            asked = self._study.ask()
            first = asked.number if first is None else first
            asked.set_user_attr(NAME, {"worker": self._worker, "batch": first, "size": size})
            known.append(
                (asked.number, {suggestion.name: suggestion.ask(asked) for suggestion in self._space.values()})
            )
        assert first is not None
        points = [{name: s.value(params[s.name]) for name, s in self._space.items()} for _, params in known]
        return Batch(first, [number for number, _ in known], points)

    def _count(self) -> int:
        """How many points the study has, those included that are being trained elsewhere."""
        trials = self._study.get_trials(deepcopy=False)
        return sum(trial.state != TrialState.FAIL and bool(trial.params) for trial in trials)


def open_study(
    study: optuna.Study | str | Path | None,
    folder: str | Path | None,
    metric: str,
    mode: Mode | None,
    seed: int,
    worker: str,
) -> tuple[optuna.Study, Mode, Sampler | None]:
    """The study of a search.

    Args:
      study: see `optuna_search`.
      folder: see `optuna_search`.
      metric: see `optuna_search`.
      mode: see `optuna_search`.
      seed: see `optuna_search`.
      worker: see `optuna_search`.

    Returns:
      The study, whether larger is better, and what makes its samplers, if it was not given one.

    Raises:
      ValueError: the study has another direction, or several.
    """
    sampler = None
    if not isinstance(study, optuna.Study):
        mode, sampler = check_mode(metric, mode), _sampler(seed, worker)
        study = _made_or_found(study, folder, mode)
    if len(study.directions) > 1:
        raise ValueError(f"study: a search has one metric, but the study has {len(study.directions)} objectives.")
    has: Mode = "max" if study.direction == StudyDirection.MAXIMIZE else "min"
    if mode is not None and check_mode(metric, mode) != has:
        raise ValueError(f"mode={mode!r} for {metric}, but the study {study.study_name!r} is one of mode {has!r}.")
    return study, has, sampler


def _sampler(seed: int, worker: str) -> Sampler:
    """A new sampler for each question: proposals depend on the study, and not on when a process was stopped."""

    def sampler(points: int) -> optuna.samplers.BaseSampler:
        seeds = np.random.SeedSequence([seed, zlib.crc32(worker.encode()), points])
        return optuna.samplers.TPESampler(seed=int(seeds.generate_state(1)[0]))

    return sampler


def _made_or_found(study: str | Path | None, folder: str | Path | None, mode: Mode) -> optuna.Study:
    for patience in reversed(range(TRIES)):
        try:
            storage = _storage(study, folder)
            direction = "maximize" if mode == "max" else "minimize"
            return optuna.create_study(storage=storage, study_name=NAME, direction=direction, load_if_exists=True)
        except DatabaseError:
            # Another process that begins at the same time may be making the tables.
            if not patience:
                raise
            time.sleep(0.5)
    raise AssertionError


def _storage(study: str | Path | None, folder: str | Path | None) -> optuna.storages.BaseStorage | str | None:
    if isinstance(study, str) and "://" in study:
        return study
    if study is None and folder is None:
        return None
    path = Path(study if study is not None else Path(str(folder)) / "study.db").absolute()
    path.parent.mkdir(parents=True, exist_ok=True)
    # A file is closed after each use, and waited for while another process writes.
    options = {"poolclass": NullPool, "connect_args": {"timeout": 60}}
    return optuna.storages.RDBStorage(f"sqlite:///{path.as_posix()}", engine_kwargs=options)
