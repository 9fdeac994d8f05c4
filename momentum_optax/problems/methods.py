"""Methods of the catalogue on the digits: what a comparison of them is made of."""

import dataclasses
import functools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import optax

from ..catalog import Method
from ..sweeps import Points, Progress, SweepResult, Trial, grid, join, supervised, sweep


@dataclasses.dataclass(frozen=True)
class Options:
    """What a sweep was asked for, defaults filled in."""

    method: list[str]
    learning_rate: list[float]
    beta: list[float]
    seeds: int
    steps: int
    batch_size: int


def beta_name(row: Method) -> str | None:
    """Under which name a method takes what the command line calls beta, if it does."""
    return next((name for name in row.decays if name in ("beta", "momentum")), None)


def points(row: Method, rates: Sequence[float], betas: Sequence[float]) -> Points:
    """The points of a method: learning rates x betas, or learning rates alone if it has no beta."""
    return grid(learning_rate=rates, **({"beta": betas} if beta_name(row) else {}))


def trials(rows: Sequence[Method], batch_size: int) -> list[Trial]:
    """A trial for each method, its hyperparameters at their defaults where the points say nothing.

    Raises:
      ValueError: there are fewer samples than a batch has.
    """
    from . import digits

    def build(row: Method, hyper: Mapping[str, Any]) -> optax.GradientTransformation:
        names = {"beta": beta_name(row) or "beta"}
        given = {names.get(name, name): value for name, value in hyper.items()}
        return row.build(**row.defaults | given)

    made = [
        supervised(digits.MLP, digits.load(), optimizer=functools.partial(build, row), batch_size=batch_size)
        for row in rows
    ]
    # The same model, so that its first params are compiled once.
    return [dataclasses.replace(trial, draw=made[0].draw) for trial in made]


def evaluation_interval(steps: int) -> int:
    """Often enough that the curves are smooth and Ctrl-C is heard soon; a divisor of the steps if one is near."""
    wanted = min(max(5, steps // 50), 200)
    near = [n for n in range(math.ceil(wanted / 2), 2 * wanted + 1) if steps % n == 0]
    return min(near, key=lambda n: abs(math.log(n / wanted)), default=min(wanted, steps))


def sweeps(
    rows: Sequence[Method], options: Options, progress: Callable[[Progress], None] | None = None
) -> Iterator[SweepResult]:
    """Sweeps one method after the other."""
    every = evaluation_interval(options.steps)
    for row, trial in zip(rows, trials(rows, options.batch_size), strict=True):
        yield sweep(
            trial,
            points(row, options.learning_rate, options.beta),
            seeds=options.seeds,
            steps=options.steps,
            evaluate_every=every,
            label=row.name,
            progress=progress,
        )


def together(results: Sequence[SweepResult], rows: Sequence[Method], options: Options) -> SweepResult:
    """One result of the first methods' results, with all in its settings that it takes to repeat it."""
    from . import digits

    result = join(results)
    defaults = {row.name: row.defaults for row in rows[: len(results)]}
    more = {"problem": digits.DESCRIPTION, "methods": defaults, "arguments": dataclasses.asdict(options)}
    return dataclasses.replace(result, settings={**result.settings, **more})
