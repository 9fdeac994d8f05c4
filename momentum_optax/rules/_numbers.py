"""What the rules share: the numbers that they take."""

import itertools
from typing import Any

import numpy as np
from jax.core import Tracer

from .._coefficient import AT_LEAST_ONE as AT_LEAST_ONE
from .._coefficient import Range
from ..schedules._values import number as number

FACTOR = Range("in (0, 1)", lambda x: (x > 0) & (x < 1))


def ordered(**numbers: Any) -> None:
    """Raises a ValueError if the numbers are known, and one is larger than the next."""
    known = {name: value for name, value in numbers.items() if not isinstance(value, Tracer)}
    for one, other in itertools.pairwise(known):
        if np.asarray(known[one]) > np.asarray(known[other]):
            raise ValueError(f"{one} must be at most {other}; got {one}={known[one]!r} and {other}={known[other]!r}.")
