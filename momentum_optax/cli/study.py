"""What a sweep is of: the digits and methods of the library, or a trial of the user's own."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..problems import methods
from ..sweeps import Points, Trial, points_from_dict, points_from_toml
from . import texts
from .errors import bad
from .methods_command import find_method
from .own_trial import own_trial

METHODS = "heavy_ball,nesterov,qhm,ema_momentum"
LEARNING_RATES = "0.001,0.002,0.005,0.01,0.02,0.05,0.1,0.2,0.5,1,2,5,10"
BETAS = "0,0.5,0.8,0.9,0.95,0.98,0.99,0.995"
SEEDS, STEPS, BATCH_SIZE = 10, 500, 32
QUICK_LEARNING_RATES, QUICK_BETAS = "0.01,0.03,0.1,0.3,1,3", "0,0.5,0.9,0.99"
QUICK_SEEDS, QUICK_STEPS = 3, 150


@dataclasses.dataclass(frozen=True)
class Study:
    """What a sweep is of.

    Attributes:
      trial: makes the trial, which takes seconds of imports and data.
      points: what to try.
      options: more arguments of `sweep`.
      notes: what the user should know.
    """

    trial: Callable[[], Trial]
    points: Points
    options: Mapping[str, Any]
    notes: Sequence[str] = ()


def user_points(texts_: Sequence[str] | None, sampler: str | None, file: Path | None, table: Any) -> Points | None:
    """The points of `--point`, of a file, or of a table; `None` without any."""
    if sampler is not None and not texts_:
        raise bad("--sampler", "this is for --point; a table of points names a sampler itself")
    if texts_:
        return texts.points(texts_, sampler or "grid")
    try:
        if file is not None:
            return points_from_toml(file)
        return None if table is None else points_from_dict(table)
    except OSError as error:
        raise bad("--points", f"{file} cannot be read ({error.strerror or error})") from error
    except ValueError as error:
        raise bad("--points", str(error)) from error


def own(name: str, arguments: Mapping[str, Any], points: Points | None, options: Mapping[str, Any]) -> Study:
    """A study of the user's own trial."""
    if points is None:
        raise bad("--trial", "say what to try, such as --point learning_rate=log:0.001:1:7, or --points FILE")
    return Study(functools.partial(own_trial, name, arguments), points, options)


def built_in(
    method: Sequence[str] | None,
    learning_rate: str | None,
    beta: str | None,
    batch_size: int | None,
    quick: bool,
    points: Points | None,
    options: Mapping[str, Any],
) -> Study:
    """A study of methods on the digits, with defaults where nothing is given."""
    words = method or [METHODS]
    if points is not None:
        for option, given in (("--learning-rate", learning_rate), ("--beta", beta)):
            if given is not None:
                raise bad(option, "the points are given already; leave this out, or them")
        if "method" in points.names:
            if method:
                raise bad("--method", "the points name methods already; leave this out, or them")
            words = [str(point.get("method")) for point in points]
    names = dict.fromkeys(name.strip() for word in words for name in word.split(","))
    rows = [find_method("--method", name, kind="optimizer") for name in names]
    arguments: dict[str, Any] = {"method": list(names)}
    notes = []
    try:
        if points is None:
            rates = learning_rate if learning_rate is not None else QUICK_LEARNING_RATES if quick else LEARNING_RATES
            betas = beta if beta is not None else QUICK_BETAS if quick else BETAS
            arguments["learning_rate"] = texts.numbers("--learning-rate", rates, "above 0", lambda x: x > 0)
            arguments["beta"] = texts.numbers("--beta", betas, "of at least 0 and below 1", lambda x: 0 <= x < 1)
            points = methods.points(rows, arguments["learning_rate"], arguments["beta"])
            without = ", ".join(row.name for row in rows if methods.beta_name(row) is None)
            notes = [f"--beta is not for {without}, which has none."] if without and beta is not None else []
        else:
            points = methods.with_methods(points, rows)
    except ValueError as error:
        raise bad("--point", str(error)) from error
    options = {**options, "seeds": options["seeds"] or (QUICK_SEEDS if quick else SEEDS)}
    if options["epochs"] is None:
        options["steps"] = options["steps"] or (QUICK_STEPS if quick else STEPS)
        options["evaluate_every"] = options["evaluate_every"] or methods.evaluation_interval(options["steps"])
    arguments |= {name: options[name] for name in ("seeds", "steps", "epochs") if options[name] is not None}
    arguments["batch_size"] = batch_size or BATCH_SIZE

    def trial() -> Trial:
        from ..problems import digits

        samples = len(digits.load().train_inputs)
        if arguments["batch_size"] > samples:
            raise bad("--batch-size", f"{batch_size} is not accepted; give at most {samples}")
        made = methods.trial(rows, arguments["batch_size"])
        return dataclasses.replace(made, settings={**made.settings, "arguments": arguments})

    return Study(trial, points, options, notes)
