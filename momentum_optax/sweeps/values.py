"""What a hyperparameter may be set to, and when two settings are the same."""

import math
import operator
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

import numpy as np

Value = float | int | str | bool
"""A float varies inside one compiled program; an integer, a string or a boolean is part of the program."""


def clean(name: str, value: Any) -> Value:
    """A value as Python's own float, int, str or bool.

    Args:
      name: of the hyperparameter, for messages.
      value: what the user gave, of Python or NumPy.

    Raises:
      ValueError: it is none of these, text that is a number, or a number that is not finite in float32.
    """
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, str):
        if _is_number(value):
            raise ValueError(f"{name}: every value must be a finite number in float32, not {value!r}, which is text.")
        return str(value)
    if not isinstance(value, int | float | np.integer | np.floating):
        raise ValueError(f"{name}: every value must be a number, a string or a boolean, not {value!r}.")
    if not math.isfinite(to_float32(value)):
        raise ValueError(f"{name}: every value must be a finite number in float32, not {value!r}.")
    return int(value) if isinstance(value, int | np.integer) else float(value)


def clean_list(name: str, values: Any, *, distinct: bool = True) -> list[Value]:
    """Values to try, in the order given; whole numbers among floats are floats.

    Args:
      name: of the hyperparameter, for messages.
      values: a list, an array, or what else has an order.
      distinct: whether a value that is given twice is refused.

    Raises:
      ValueError: it is no list or an empty one, a value is bad, see `clean`, or is given twice.
    """
    if hasattr(values, "tolist"):  # an array
        values = values.tolist()
    # A set of strings has another order in every process.
    if not isinstance(values, Iterable) or isinstance(values, str | bytes | Mapping | AbstractSet):
        raise ValueError(f"{name}: give a list of values to try, not {values!r}.")
    found = [clean(name, value) for value in values]
    if not found:
        raise ValueError(f"{name}: give at least one value to try.")
    if any(isinstance(value, float) for value in found):
        found = [as_float(value) for value in found]
    seen = set()
    for value in found:
        if distinct and identity(value) in seen:
            raise ValueError(f"{name}: {value!r} is given twice.")
        seen.add(identity(value))
    return found


def as_float(value: Value) -> Value:
    """A whole number as a float; anything else as it is."""
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def identity(value: Value) -> tuple[bool, Value]:
    """What is equal for values that a trial cannot tell apart: floats count in float32, and True is not 1."""
    return isinstance(value, bool), to_float32(value) if isinstance(value, float) else value


def to_float32(value: Any) -> float:
    """The nearest float32 number; infinite where there is none."""
    try:
        with np.errstate(over="ignore"):
            return float(np.float32(value))
    except OverflowError:  # a whole number of hundreds of digits
        return math.inf


def whole(name: str, value: Any, least: int = 1) -> int:
    """Checks a whole number of at least `least`.

    Args:
      name: of the argument, for the message.
      value: what the user gave.
      least: the smallest that is accepted.

    Raises:
      ValueError: it is something else.
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if isinstance(value, bool) or number < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, not {value!r}.")
    return number


def listing(names: Sequence[Any] | AbstractSet[Any]) -> str:
    """Names for a message: `a, b, c`."""
    return ", ".join(map(str, names)) or "none"


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
