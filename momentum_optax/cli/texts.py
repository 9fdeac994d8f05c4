"""What options say, as the objects of Python that they stand for."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..sweeps import Points, points_from_dict
from ..sweeps.arguments import all_seeds
from ..sweeps.points.points import to_float32
from ..sweeps.points.points_file import COMPLETE, DRAWN, SETTINGS
from ..sweeps.points.scales import SCALES
from ..sweeps.rungs.pruning import Hyperband, MedianStopping, Pruning, SuccessiveHalving
from ..sweeps.values import Value, listing
from .errors import bad

PRUNING: Mapping[str, tuple[Callable[..., Pruning], str]] = {
    "halving": (SuccessiveHalving, "halving:MIN_STEPS[:FACTOR]"),
    "hyperband": (Hyperband, "hyperband:MIN_STEPS:MAX_STEPS[:FACTOR]"),
    "median": (MedianStopping, "median:MIN_STEPS[:MIN_POINTS]"),
}
"""By name, a rule and how it is written: its numbers in order."""


def numbers(option: str, text: str, accepted: str, accepts: Callable[[float], bool]) -> list[float]:
    """Numbers that are finite and different in float32, sorted, from a text that separates them by commas."""
    found: dict[float, float] = {}
    for word in text.split(","):
        try:
            number = float(word)
        except ValueError:
            number = math.nan
        # The methods get float32, in which 0.99999999 is 1.
        rounded = to_float32(number)
        if not math.isfinite(rounded) or not accepts(rounded):
            raise bad(option, f"{word.strip()!r} is not accepted; give numbers {accepted}, separated by commas")
        if rounded in found:
            raise bad(option, f"{word.strip()!r} is given twice")
        found[rounded] = number
    return sorted(found.values())


def count(option: str, number: int | None, least: int = 1) -> int | None:
    """A whole number of at least `least`, if there is one."""
    if number is not None and number < least:
        raise bad(option, f"{number} is not accepted; give a whole number of at least {least}")
    return number


def seeds(text: str | None) -> int | list[int] | None:
    """How many seeds, or, if there is a comma, the seeds themselves."""
    if text is None:
        return None
    try:
        found = [int(word) for word in text.removesuffix(",").split(",")]
    except ValueError:
        raise bad(
            "--seeds", f"{text!r} is not accepted; give how many, such as 5, or the seeds themselves, such as 3,5,8"
        ) from None
    if "," not in text:
        return count("--seeds", found[0])
    try:
        return list(all_seeds(found))
    except ValueError as error:
        raise bad("--seeds", str(error)) from error


def one_of(option: str, text: str | None, accepted: Sequence[str]) -> Any:
    """One of some words, if there is one."""
    if text is not None and text not in accepted:
        raise bad(option, f"{text!r} is not accepted; give {' or '.join(accepted)}")
    return text


def chunk(text: str) -> int | None:
    """The runs in a chunk; `None` for `auto`."""
    if text == "auto":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise bad("--lanes-per-chunk", f"{text!r} is not accepted; give auto or a whole number of at least 1")
    return int(text)


def value(text: str) -> Value:
    """A whole number, a number, `true`, `false`, or else the text itself."""
    text = text.strip()
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def assignments(option: str, texts: Sequence[str]) -> dict[str, str]:
    """By name, the texts of `NAME=TEXT`."""
    found: dict[str, str] = {}
    for text in texts:
        name, equals, rest = (part.strip() for part in text.partition("="))
        if not name.isidentifier() or not equals or not rest:
            raise bad(option, f"{text!r} is not accepted; write NAME=..., such as learning_rate=0.1")
        if name in found:
            raise bad(option, f"{name} is given twice")
        found[name] = rest
    return found


def points(texts: Sequence[str], sampler: str) -> Points:
    """The points of `NAME=VALUES` and `NAME=SCALE:LOW:HIGH[:COUNT]`, each perhaps followed by `when NAME=VALUES ...`.

    Raises:
      BadParameter: the message names the option, and what is accepted.
    """
    name, *words = sampler.split(":")
    if name not in COMPLETE | DRAWN or len(words) > 2 or (name in COMPLETE and words) or (name in DRAWN and not words):
        accepted = listing([*COMPLETE, *(f"{drawn}:N[:SEED]" for drawn in DRAWN)])
        raise bad("--sampler", f"{sampler!r} is not accepted; write one of {accepted}")
    settings = {key: value(word) for key, word in zip(("n", "seed"), words, strict=False)}
    space = {hyper: _space(hyper, text) for hyper, text in assignments("--point", texts).items()}
    if taken := [hyper for hyper in space if hyper in SETTINGS]:
        raise bad("--point", f"a hyperparameter cannot be called {taken[0]}, which is a setting of points")
    try:
        return points_from_dict({"sampler": name, **settings, **space})
    except ValueError as error:
        raise bad("--sampler" if str(error).startswith(("n ", "seed ")) else "--point", str(error)) from error


def _space(name: str, text: str) -> dict[str, Any]:
    text, condition, when = (part.strip() for part in text.partition(" when "))
    scale, *words = text.split(":")
    if not words:
        found: dict[str, Any] = {"values": [value(word) for word in text.split(",")]}
    elif scale in SCALES and len(words) in (2, 3):
        found = {"scale": scale, **dict(zip(("low", "high", "count"), map(value, words), strict=False))}
    else:
        accepted = "|".join(SCALES)
        raise bad(
            "--point", f"{name}={text} is not accepted; give values separated by commas, or {accepted}:LOW:HIGH[:COUNT]"
        )
    if condition:
        others = assignments("--point", when.split())
        found["when"] = {other: [value(word) for word in values.split(",")] for other, values in others.items()}
    return found


def pruning(text: str | None) -> Pruning | None:
    """The rule of `NAME:NUMBER:...`.

    Raises:
      BadParameter: the message says what is accepted.
    """
    if text is None:
        return None
    name, *words = text.split(":")
    rule, _ = PRUNING.get(name, (None, ""))
    if rule is not None:
        try:
            return rule(*map(value, words))
        except ValueError as error:
            raise bad("--prune", f"{text!r} is not accepted: {error}") from error
        except TypeError:  # too many numbers, or too few
            pass
    raise bad("--prune", f"{text!r} is not accepted; write {' or '.join(usage for _, usage in PRUNING.values())}")
