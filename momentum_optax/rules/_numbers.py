"""What the rules share: the numbers that they take."""

from .._coefficient import AT_LEAST_ONE as AT_LEAST_ONE
from .._coefficient import Range
from .._coefficient import ordered as ordered
from ..schedules._values import number as number

FACTOR = Range("in (0, 1)", lambda x: (x > 0) & (x < 1))
