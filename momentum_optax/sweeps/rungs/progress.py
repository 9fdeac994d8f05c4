"""What a sweep tells while it runs, and a bar that shows it."""

import contextlib
import dataclasses
import importlib.util
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TextIO

import numpy as np


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far a sweep is. A *lane-step* is one update of one run.

    Attributes:
      label: the label of the sweep.
      step: updates that every run has made that is still trained.
      steps: updates that a run makes if nothing stops it.
      rung: how many evaluations are done.
      rungs: how many there will be.
      runs: how many runs there are.
      alive: how many of them are still trained.
      diverged: how many have diverged.
      pruned: how many were stopped early.
      metrics: those of the latest evaluation by name, `[rows, points]`; a row is a seed and, in a cross-validation, a
        fold.
      metric: the one that `best` is of.
      best: the best median over rows of any point at any evaluation so far; NaN without one.
      best_point: its hyperparameters.
      lane_steps: updates that all runs together have made.
      lane_steps_total: updates that all runs together will have made; fewer when runs are stopped early.
      seconds: since the sweep began.
      compiling: how many of them went into compiling programs.
      restored: how many of the lane-steps were made before `seconds` began, by a sweep that this one resumes.
    """

    label: str
    step: int
    steps: int
    rung: int
    rungs: int
    runs: int
    alive: int
    diverged: int
    pruned: int
    metrics: Mapping[str, np.ndarray]
    metric: str
    best: float
    best_point: Mapping[str, Any]
    lane_steps: int
    lane_steps_total: int
    seconds: float
    compiling: float
    restored: int = 0

    @property
    def fraction(self) -> float:
        """How much of the work is done, from 0 to 1."""
        return min(1.0, self.lane_steps / self.lane_steps_total) if self.lane_steps_total else 1.0

    @property
    def lane_steps_per_second(self) -> float:
        """Updates per second of training, compilation left out; NaN before the first."""
        made, training = self.lane_steps - self.restored, self.seconds - self.compiling
        return made / training if made > 0 and training > 0 else math.nan

    @property
    def eta(self) -> float:
        """Seconds that are left at this speed; NaN before the first update."""
        left = self.lane_steps_total - self.lane_steps
        return left / self.lane_steps_per_second if left > 0 else 0.0


Report = Callable[[Progress], None]


@contextlib.contextmanager
def progress_bar(
    labels: Sequence[str] = ("",), *, stream: TextIO | None = None, interval: float = 5.0
) -> Iterator[Report]:
    """Shows the progress of one or more sweeps that run one after the other.

    On a terminal, and in a notebook that has ipywidgets, a bar; elsewhere a line every few seconds and at the end of
    each sweep.

    Args:
      labels: the labels of the sweeps, in order.
      stream: where to; `None` for standard error.
      interval: least seconds between two lines.

    Yields:
      What to pass to `sweep` as `progress`; it raises a ValueError if the sweep's label is none of `labels`.

    Examples:
      >>> from momentum_optax import sweeps
      >>> with sweeps.progress_bar() as progress:  # doctest: +SKIP
      ...     result = sweeps.sweep(trial, points, progress=progress)
    """
    from rich.console import Console

    console = Console(stderr=True) if stream is None else Console(file=stream, force_jupyter=False)
    out = sys.stderr if stream is None else stream
    # In a notebook, rich needs widgets to draw over what it has drawn.
    moving = bool(importlib.util.find_spec("ipywidgets")) if console.is_jupyter else out.isatty()
    story = _Story(labels)
    with _bar(story, console) if moving and not console.is_dumb_terminal else _lines(story, out, interval) as report:
        yield report


def silence(now: Progress) -> None:
    """Tells nothing."""


@contextlib.contextmanager
def opened(progress: "bool | Report | None", label: str = "") -> Iterator[Report]:
    """What `sweep` makes of its argument `progress`: a function to call, whatever was given.

    Args:
      progress: `True` for a bar of this sweep, `None` or `False` for silence, or a function.
      label: of the sweep.

    Yields:
      The function.

    Raises:
      ValueError: it is something else.
    """
    if progress is None or progress is False:
        yield silence
    elif progress is True:
        with progress_bar([label]) as report:
            yield report
    elif callable(progress):
        yield progress
    else:
        raise ValueError(
            f"progress must be True for a bar, None for silence, or a function of a Progress, not {progress!r}."
        )


class _Story:
    """Sweeps that run one after the other, in words."""

    def __init__(self, labels: Sequence[str]):
        self.labels = list(labels)
        self.fraction = 0.0
        self.rate = math.nan
        self.now: Progress
        self._past: list[tuple[float, int]] = []

    def hear(self, now: Progress) -> None:
        if now.label not in self.labels:
            raise ValueError(f"The bar is for sweeps with the labels {self.labels}, but this one's is {now.label!r}.")
        if not self._past or self.now.label != now.label:
            self._past = []
        self.now = now
        self._measure(now.seconds - now.compiling, now.lane_steps)
        index = self.labels.index(now.label)
        # A batch that is done again, for want of memory, takes nothing back.
        self.fraction = max(self.fraction, (index + now.fraction) / len(self.labels))
        left = max(0, now.lane_steps_total - now.lane_steps)
        self.left = left / self.rate if left else 0.0
        if following := len(self.labels) - index - 1:
            # Each of them is expected to take what this one does, and to prepare itself as long.
            preparing = max(0.0, now.seconds - (now.lane_steps - now.restored) / self.rate)
            self.left += following * (preparing + now.lane_steps_total / self.rate)

    def _measure(self, seconds: float, made: int) -> None:
        """Takes the speed of the latter half of the time: runs are slower when they have become few.

        It is unknown at the first report, before which a sweep prepares itself.
        """
        self._past.append((seconds, made))
        while len(self._past) > 2 and self._past[1][0] <= seconds / 2:
            self._past.pop(0)
        since, before = self._past[0]
        if made > before and seconds > since:
            self.rate = (made - before) / (seconds - since)

    @property
    def percent(self) -> str:
        # Rounded down, for 100 % is the end.
        return f"{math.floor(100 * self.fraction):3}%"

    def speed(self) -> list[str]:
        """Where it is, and how fast."""
        now = self.now
        said = [f"{now.label} rung {now.rung}/{now.rungs}".strip()]
        if self.fraction == 1.0:
            said.insert(0, f"took {_duration(now.seconds)}")
        elif not math.isnan(self.left):
            said.insert(0, f"{_duration(self.left)} left")
        return said if math.isnan(self.rate) else [*said, f"{self.rate:,.0f} lane-steps/s"]

    def outcome(self) -> list[str]:
        """What has come of it."""
        now = self.now
        said = [f"{now.alive:,} of {now.runs:,} runs alive"]
        said += [f"{count:,} {what}" for what, count in (("diverged", now.diverged), ("pruned", now.pruned)) if count]
        if not math.isnan(now.best):
            value = f"{now.best:.1%}" if "accuracy" in now.metric else f"{now.best:.4g}"
            said.append(f"best {now.metric} {value} ({_describe(now.best_point)})")
        return said


@contextlib.contextmanager
def _lines(story: _Story, out: TextIO, interval: float) -> Iterator[Report]:
    said_at, pending = -math.inf, ""

    def say() -> None:
        nonlocal said_at, pending
        if pending:
            print(pending, file=out, flush=True)
            said_at, pending = time.monotonic(), ""

    def line(now: Progress) -> None:
        nonlocal pending
        if pending and now.label != story.now.label:
            say()  # the end of the sweep before
        story.hear(now)
        pending = f"{story.percent}  {', '.join([*story.speed(), *story.outcome()])}"
        if time.monotonic() - said_at >= interval:
            say()

    try:
        yield line
    finally:
        say()


@contextlib.contextmanager
def _bar(story: _Story, console: Any) -> Iterator[Report]:
    from rich.console import Group
    from rich.live import Live
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bar
    from rich.text import Text

    bar = Bar(BarColumn(20), TextColumn("{task.description}", markup=False), console=console)
    task = bar.add_task("compiling the first program", total=None)
    outcome = Text()
    with Live(Group(bar, outcome), console=console) as live:

        def draw(now: Progress) -> None:
            story.hear(now)
            bar.update(
                task, total=1.0, completed=story.fraction, description=f"{story.percent}  {' · '.join(story.speed())}"
            )
            outcome.plain = ", ".join(story.outcome())

        try:
            yield draw
        finally:
            # Nothing is left of a sweep that was finished before.
            live.transient = not outcome.plain
            bar.update(task, visible=bool(outcome.plain))
            live.refresh()  # what rich does itself on a terminal, but not in a notebook


def _describe(point: Mapping[str, Any]) -> str:
    """A point in a few words, such as `learning_rate 0.1, beta 0.9`."""
    return ", ".join(f"{k} {v if isinstance(v, str | bool) else format(v, 'g')}" for k, v in point.items())


def _duration(seconds: float) -> str:
    """A time that is easy to grasp: `90 s`, `12 min`, `3.5 h`."""
    for limit, size, unit in ((100, 1, "s"), (100 * 60, 60, "min")):
        if seconds < limit:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 3600:.1f} h"
