"""Points as a plain table, in Python or in a TOML file."""

import graphlib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..values import clean_list, identity, listing
from .points import Points, condition_values
from .sampling import grid, random, sobol, zip_points
from .scales import SCALES, Choice, Scale

COMPLETE = {"grid": grid, "zip": zip_points}
DRAWN = {"random": random, "sobol": sobol}
SETTINGS = ("sampler", "n", "seed", "join", "product")
KEYS = ("values", "scale", "low", "high", "count", "when")


def points_from_dict(spec: Mapping[str, Any]) -> Points:
    """Points from a description in plain values.

    Every key is a hyperparameter, but for these settings:

    - `sampler`: `"grid"` (the default), `"zip"`, `"random"` or `"sobol"`
    - `n`, `seed`: for the last two, see `random` and `sobol`; the seed is 0 where none is given. Points that a
      condition makes the same become one, so there may be fewer than `n`
    - `join`, `product`: instead of all else, a list of such descriptions, whose points are joined or multiplied

    A hyperparameter is a list of values or a table of

    - `values`: the list; or else
    - `scale`, `low`, `high`, `count`: the scale is `"linear"`, `"log"`, `"one_minus_log"` or `"integers"`; a grid
      and a zip need the count (integers do not), the others take none
    - `when`: a table of other hyperparameters and their values, without which this one does not exist

    Args:
      spec: the description; in Python a hyperparameter may also be a scale such as `log(0.001, 1.0)`.

    Returns:
      The points.

    Raises:
      ValueError: something is wrong; the message names the key and what is accepted.

    Examples:
      >>> points = points_from_dict({
      ...     "method": ["sgd", "heavy_ball"],
      ...     "learning_rate": {"scale": "log", "low": 0.01, "high": 1, "count": 2},
      ...     "beta": {"values": [0.9], "when": {"method": "heavy_ball"}},
      ... })
      >>> for point in points:
      ...     print(dict(point))
      {'method': 'sgd', 'learning_rate': 0.01}
      {'method': 'sgd', 'learning_rate': 1.0}
      {'method': 'heavy_ball', 'learning_rate': 0.01, 'beta': 0.9}
      {'method': 'heavy_ball', 'learning_rate': 1.0, 'beta': 0.9}
    """
    if not isinstance(spec, Mapping):
        raise ValueError(f"points are described by a table of hyperparameters, not by {spec!r}.")
    for setting in ("join", "product"):
        if setting in spec:
            return _several(setting, spec)
    sampler = spec.get("sampler", "grid")
    if not isinstance(sampler, str) or sampler not in COMPLETE | DRAWN:
        raise ValueError(f"sampler: {sampler!r} is none of {listing([*COMPLETE, *DRAWN])}.")
    space: dict[str, Any] = {}
    conditions: dict[str, dict[str, Any]] = {}
    for name, given in spec.items():
        if name not in SETTINGS:
            space[name], conditions[name] = _read(name, given)
    if not space:
        raise ValueError("there is no hyperparameter; give at least one, such as learning_rate = [0.01, 0.1].")
    order = _outer_first(conditions, space)
    points = _sample(sampler, {k: spec[k] for k in ("n", "seed") if k in spec}, space)
    for name in order:
        if conditions[name]:
            points = points.only_when(name, **conditions[name])
    return points


def points_from_toml(path: str | Path) -> Points:
    """Points from a TOML file, which has the keys of `points_from_dict`.

        sampler = "sobol"
        n = 64
        method = ["sgd", "heavy_ball"]

        [learning_rate]
        scale = "log"
        low = 1e-3
        high = 1

        [beta]
        scale = "one_minus_log"
        low = 0
        high = 0.999
        when = { method = "heavy_ball" }

    Args:
      path: of the file.

    Returns:
      The points.

    Raises:
      OSError: the file cannot be read.
      ValueError: it is no TOML, or as `points_from_dict`; the message names the file.
    """
    with open(path, "rb") as file:
        try:
            return points_from_dict(tomllib.load(file))
        except ValueError as error:
            kind = "this is no TOML: " if isinstance(error, tomllib.TOMLDecodeError | UnicodeDecodeError) else ""
            raise ValueError(f"{path}: {kind}{error}") from error


def _several(setting: str, spec: Mapping[str, Any]) -> Points:
    if len(spec) > 1:
        other = next(key for key in spec if key != setting)
        raise ValueError(f"{other}: nothing may stand beside {setting}; put it into each of its tables.")
    parts = spec[setting]
    if not isinstance(parts, list | tuple) or not parts:
        raise ValueError(f"{setting}: give a list of one or more tables of hyperparameters, not {parts!r}.")
    made = []
    for index, part in enumerate(parts):
        try:
            made.append(points_from_dict(part))
        except ValueError as error:
            raise ValueError(f"{setting}[{index}]: {error}") from error
    points = made[0]
    for more in made[1:]:
        try:
            points = points + more if setting == "join" else points * more
        except ValueError as error:
            raise ValueError(f"{setting}: {error}") from error
    return points


def _read(name: Any, given: Any) -> tuple[Any, dict[str, Any]]:
    """From where a hyperparameter takes its values, and when it exists."""
    if not isinstance(name, str):
        raise ValueError(f"{name!r}: the name of a hyperparameter must be text.")
    if not isinstance(given, Mapping):
        try:
            return _choice_or_scale(name, given), {}
        except ValueError as error:
            # A misspelled setting is taken for a hyperparameter.
            hint = "" if isinstance(given, list | tuple) else f" Or a table; settings are {listing(SETTINGS)}."
            raise ValueError(f"{error}{hint}") from error
    for key in given:
        if key not in KEYS:
            raise ValueError(f"{name}: there is no key {key!r}; accepted are {listing(KEYS)}.")
    when = given.get("when", {})
    if not isinstance(when, Mapping):
        raise ValueError(f"{name}: when must be a table such as {{ method = 'sgd' }}, not {when!r}.")
    numbers = [key for key in ("scale", "low", "high", "count") if key in given]
    if "values" in given:
        if numbers:
            raise ValueError(f"{name}: give values or a scale, but not both values and {numbers[0]}.")
        return clean_list(name, given["values"], distinct=False), dict(when)
    for key in ("scale", "low", "high"):
        if key not in given:
            raise ValueError(f"{name}: there is no {key}; give scale, low and high, or values.")
    scale = given["scale"]
    if not isinstance(scale, str) or scale not in SCALES:
        raise ValueError(f"{name}: scale {scale!r} is none of {listing(SCALES.keys())}.")
    try:
        return SCALES[scale](given["low"], given["high"], given.get("count")), dict(when)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def _choice_or_scale(name: str, given: Any) -> Any:
    # What is given twice is for the sampler to refuse, for a zip may have it.
    return given if isinstance(given, Scale | Choice) else clean_list(name, given, distinct=False)


def _sample(sampler: str, settings: Mapping[str, Any], space: Mapping[str, Any]) -> Points:
    if sampler in COMPLETE:
        if settings:
            accepted = " and ".join(DRAWN)
            raise ValueError(f"{next(iter(settings))}: this is for the samplers {accepted}, not for {sampler}.")
        return COMPLETE[sampler](**space)
    if "n" not in settings:
        raise ValueError(f"n: say how many points {sampler} draws, such as n = 64.")
    return DRAWN[sampler](settings["n"], seed=settings.get("seed", 0), **space)


def _outer_first(conditions: Mapping[str, Mapping[str, Any]], space: Mapping[str, Any]) -> list[str]:
    """The hyperparameters, each after those on which it depends; checks the conditions."""
    for name, when in conditions.items():
        for other, wanted in when.items():
            if other not in space or other == name:
                others = [key for key in space if key != name]
                raise ValueError(f"{name}: when: {other!r} is no other hyperparameter; there are {listing(others)}.")
            kind = space[other]
            if isinstance(kind, Scale):
                raise ValueError(f"{name}: when: {other} has a scale; only on one with values can a condition be.")
            options = kind.options if isinstance(kind, Choice) else kind
            for value in condition_values(f"{name}: when: {other}", wanted):
                if identity(value) not in map(identity, options):
                    there = listing([repr(option) for option in options])
                    raise ValueError(f"{name}: when: {other} is never {value!r}; it is one of {there}.")
    try:
        return list(graphlib.TopologicalSorter(conditions).static_order())
    except graphlib.CycleError as error:
        raise ValueError(f"when: {' depends on '.join(error.args[1])}; such a circle is not accepted.") from error
