"""Arguments that are no coefficients: integers and choices, known before anything runs."""

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np


def integer(name: str, value: Any, at_least: int | None = None) -> int:
    """Checks what must be one integer, of Python, NumPy or JAX.

    Args:
      name: of the argument, for the message.
      value: what the user gave.
      at_least: the smallest that is accepted; `None` for all.

    Raises:
      TypeError: it is no integer, a bool, or traced.
      ValueError: it is too small.
    """
    accepted = "an integer" if at_least is None else f"an integer of at least {at_least}"
    try:
        if isinstance(value, bool | np.bool_):
            raise TypeError("a bool")
        number = operator.index(value)
    except TypeError as error:  # that of a traced array is one, too
        raise TypeError(
            f"{name} must be {accepted}, known before anything runs, not traced; got {value!r} of type "
            f"{type(value).__name__}."
        ) from error
    if at_least is not None and number < at_least:
        raise ValueError(f"{name} must be {accepted}; got {number}.")
    return number


def choice(name: str, value: Any, accepted: Sequence[str]) -> None:
    """Raises a ValueError unless the value is one of those accepted."""
    if not isinstance(value, str) or value not in accepted:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, accepted))}; got {value!r}.")
