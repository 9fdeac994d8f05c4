"""What a sweep tells while it runs, and a bar that shows it."""

import contextlib
import dataclasses
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TextIO

import numpy as np


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far a sweep is.

    Attributes:
      label: the label of the sweep.
      step: updates that every run has made.
      steps: updates that every run will make.
      runs: how many runs there are.
      diverged: how many of them have diverged.
      metrics: the latest metrics by name, `[seeds, points]`.
      best: the best median over seeds of `test_accuracy` at any evaluation so far; NaN without such a metric.
      best_point: its hyperparameters.
      seconds: since the sweep began.
    """

    label: str
    step: int
    steps: int
    runs: int
    diverged: int
    metrics: Mapping[str, np.ndarray]
    best: float
    best_point: Mapping[str, float]
    seconds: float

    @classmethod
    def of(
        cls,
        label: str,
        points: Sequence[Mapping[str, float]],
        history: Sequence[Mapping[str, np.ndarray]],
        diverged_at: np.ndarray,
        step: int,
        steps: int,
        seconds: float,
    ) -> "Progress":
        """The progress of a sweep with the given history of metrics."""
        best, where = float("nan"), {}
        if "test_accuracy" in history[-1]:
            # A seed that diverged counts as the worst there is.
            scores = np.nan_to_num(np.stack([h["test_accuracy"] for h in history]), nan=-np.inf)
            scores = np.sort(scores, axis=1)[:, (scores.shape[1] - 1) // 2].max(axis=0)
            if np.isfinite(scores.max()):
                best, where = float(scores.max()), points[int(scores.argmax())]
        diverged = int((diverged_at >= 0).sum())
        return cls(label, step, steps, diverged_at.size, diverged, history[-1], best, where, seconds)


def describe(point: Mapping[str, Any]) -> str:
    """A point in a few words, such as `learning_rate 0.1, beta 0.9`."""
    return ", ".join(
        f"{name} {value if isinstance(value, str | bool) else format(value, 'g')}"
        for name, value in point.items()
        if name != "method"
    )


@contextlib.contextmanager
def progress_bar(
    labels: Sequence[str], *, stream: TextIO | None = None, interval: float = 5.0
) -> Iterator[Callable[[Progress], None]]:
    """Shows the progress of one or more sweeps that run one after the other.

    On a terminal a bar; elsewhere a line every few seconds and at the end of each sweep.

    Args:
      labels: the labels of the sweeps, in order.
      stream: where to; `None` for standard error.
      interval: least seconds between two lines.

    Yields:
      What to pass to `sweep` as `progress`; it raises a ValueError if the sweep's label is none of `labels`.
    """
    out = sys.stderr if stream is None else stream
    said = -math.inf
    best: tuple[float, str] = (float("-inf"), "")
    first: Progress | None = None
    rate = float("nan")

    def text(now: Progress) -> tuple[float, str]:
        nonlocal best, first, rate
        if now.label not in labels:
            raise ValueError(f"The bar is for sweeps with the labels {list(labels)}, but this one's is {now.label!r}.")
        if now.best > best[0]:
            best = (now.best, f"{now.label} {describe(now.best_point)}".strip())
        # The time until the first report is mostly compilation, which says nothing about the steps to come.
        if first is None or first.label != now.label:
            first = now
        else:
            rate = (now.seconds - first.seconds) / (now.step - first.step)
        index = labels.index(now.label)
        compiling = max(0.0, first.seconds - rate * first.step)
        left = (now.steps - now.step) * rate + (len(labels) - index - 1) * (compiling + now.steps * rate)
        words = [f"{now.label} step {now.step}/{now.steps}".strip()]
        if not math.isnan(left):
            words.append(f"{left:.0f} s left")
        if best[1]:
            words.append(f"best {best[0]:.1%} ({best[1]})")
        if now.diverged:
            words.append(f"{now.diverged} of {now.runs} runs diverged")
        return (index + now.step / now.steps) / len(labels), ", ".join(words)

    if not out.isatty():

        def line(now: Progress) -> None:
            nonlocal said
            done, words = text(now)
            if now.step == now.steps or time.perf_counter() - said >= interval:
                said = time.perf_counter()
                print(f"{done:4.0%}  {words}", file=out, flush=True)

        yield line
        return

    from rich.console import Console
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn
    from rich.progress import Progress as Bar

    columns = (BarColumn(), TaskProgressColumn(), TextColumn("{task.description}", markup=False))
    with Bar(*columns, console=Console(file=out)) as bar:
        task = bar.add_task("compiling the first program", total=1.0)

        def draw(now: Progress) -> None:
            done, words = text(now)
            bar.update(task, completed=done, description=words)

        yield draw
