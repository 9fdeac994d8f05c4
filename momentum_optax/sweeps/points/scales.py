"""From where a hyperparameter takes its values: an interval on some scale, or a choice.

Intervals are computed in decimal numbers, whose functions are exactly rounded: the same values on every machine, and
`log(0.001, 1.0, count=4)` is 0.001, 0.01, 0.1 and 1.0 to the last digit.
"""

import dataclasses
import decimal
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Any

from ..values import Value, clean, clean_list, to_float32, whole

_CONTEXT = decimal.Context(prec=28)
_Function = Callable[[Decimal], Decimal]
# What is uniform on each scale, and the way back.
_UNIFORM: dict[str, tuple[_Function, _Function]] = {
    "linear": (lambda x: x, lambda y: y),
    "log": (lambda x: x.ln(), lambda y: y.exp()),
    "one_minus_log": (lambda x: (1 - x).ln(), lambda y: 1 - y.exp()),
}


@dataclasses.dataclass(frozen=True)
class Scale:
    """An interval of numbers, see `linear`, `log` and `one_minus_log`.

    Attributes:
      kind: the name of the scale.
      low: the smallest number.
      high: the largest number.
      count: how many values of it a grid has; `None` where values are drawn.
    """

    kind: str
    low: float
    high: float
    count: int | None = None

    def __post_init__(self):
        for name in ("low", "high"):
            number = clean(f"{self.kind}: {name}", getattr(self, name))
            if isinstance(number, bool | str):
                raise ValueError(f"{self.kind}: {name} must be a number, not {number!r}.")
            object.__setattr__(self, name, float(number))
        low, high = to_float32(self.low), to_float32(self.high)
        if self.kind == "log" and low <= 0:
            raise ValueError(f"log: low must be above 0 in float32, not {self.low}.")
        if self.kind == "one_minus_log" and not (low >= 0 and high < 1):
            raise ValueError(
                f"one_minus_log: low must be at least 0, and high below 1 in float32, not {self.low} and {self.high}."
            )
        if low >= high:
            raise ValueError(f"{self.kind}: low must be below high in float32, not {self.low} and {self.high}.")
        if self.count is not None:
            object.__setattr__(self, "count", whole(f"{self.kind}: count", self.count, 2))

    def at(self, fraction: float | Decimal) -> float:
        """The number at a fraction of the way from `low` to `high`, from 0 to 1."""
        uniform, back = _UNIFORM[self.kind]
        with decimal.localcontext(_CONTEXT):
            # As it is written, so that 0.1 is one tenth.
            start, end = uniform(Decimal(repr(self.low))), uniform(Decimal(repr(self.high)))
            number = float(back(start + (end - start) * Decimal(fraction)))
        return min(max(number, self.low), self.high)

    def listed(self, name: str) -> list[Value]:
        """`count` values from `low` to `high`, both included, evenly spread on the scale."""
        if self.count is None:
            raise ValueError(f"{name}: a grid must know how many values to try; give {self.kind} a count, such as 8.")
        with decimal.localcontext(_CONTEXT):
            fractions = [Decimal(i) / (self.count - 1) for i in range(self.count)]
        return clean_list(name, [self.at(fraction) for fraction in fractions])


@dataclasses.dataclass(frozen=True)
class Choice:
    """Some values, each as likely as the others, see `choice` and `integers`.

    Attributes:
      options: the values.
    """

    options: Sequence[Value]

    def at(self, fraction: float) -> Value:
        """The option at a fraction of the way through them, from 0 to 1."""
        return self.options[min(int(fraction * len(self.options)), len(self.options) - 1)]

    def listed(self, name: str) -> list[Value]:
        """All options."""
        return clean_list(name, list(self.options))


def linear(low: float, high: float, count: int | None = None) -> Scale:
    """Numbers from an interval, uniform.

    Args:
      low: the smallest.
      high: the largest.
      count: how many evenly spread values a grid has, with both ends; `None` where values are drawn.

    Returns:
      The scale, for `grid`, `zip_points`, `random` and `sobol`.

    Raises:
      ValueError: `low` is not below `high`, or `count` is below 2.

    Examples:
      >>> from momentum_optax.sweeps import grid
      >>> [point["nu"] for point in grid(nu=linear(0, 1, count=5))]
      [0.0, 0.25, 0.5, 0.75, 1.0]
    """
    return Scale("linear", low, high, count)


def log(low: float, high: float, count: int | None = None) -> Scale:
    """Numbers whose logarithm is uniform, such as learning rates.

    Args:
      low: see `linear`; above 0.
      high: see `linear`.
      count: see `linear`.

    Returns:
      The scale.

    Raises:
      ValueError: as `linear`, or `low` is not above 0.

    Examples:
      >>> from momentum_optax.sweeps import grid
      >>> [point["learning_rate"] for point in grid(learning_rate=log(1e-3, 1, count=4))]
      [0.001, 0.01, 0.1, 1.0]
    """
    return Scale("log", low, high, count)


def one_minus_log(low: float, high: float, count: int | None = None) -> Scale:
    """Numbers below 1 whose distance to 1 has a uniform logarithm, such as beta.

    Momentum remembers about `1 / (1 - beta)` steps; this spreads that evenly over its orders of magnitude.

    Args:
      low: see `linear`; at least 0.
      high: see `linear`; below 1.
      count: see `linear`.

    Returns:
      The scale.

    Raises:
      ValueError: as `linear`, or an end is outside `[0, 1)`.

    Examples:
      >>> from momentum_optax.sweeps import grid
      >>> [point["beta"] for point in grid(beta=one_minus_log(0, 0.999, count=4))]
      [0.0, 0.9, 0.99, 0.999]
    """
    return Scale("one_minus_log", low, high, count)


def integers(low: int, high: int, count: int | None = None) -> Choice:
    """Whole numbers from an interval; each is a program of its own.

    Args:
      low: the smallest.
      high: the largest.
      count: how many of them, evenly spread, with both ends; `None` for all.

    Returns:
      The choice.

    Raises:
      ValueError: an end is no whole number, `low` is not below `high`, or `count` is below 2 or more than there are.

    Examples:
      >>> from momentum_optax.sweeps import grid
      >>> [point["layers"] for point in grid(layers=integers(1, 9, count=3))]
      [1, 5, 9]
    """
    for name, number in (("low", low), ("high", high)):
        if isinstance(clean(f"integers: {name}", number), float | bool | str):
            raise ValueError(f"integers: {name} must be a whole number, not {number!r}.")
    low, high = int(low), int(high)
    if low >= high:
        raise ValueError(f"integers: low must be below high, not {low} and {high}.")
    if count is None:
        return Choice(range(low, high + 1))
    gaps, span = whole("integers: count", count, 2) - 1, high - low
    if gaps > span:
        raise ValueError(f"integers: count must be at most {span + 1}, for there are no more, not {count}.")
    return Choice([low + (2 * i * span + gaps) // (2 * gaps) for i in range(gaps + 1)])  # rounded


def choice(options: Iterable[Value]) -> Choice:
    """Values of any kind; a list means the same.

    Args:
      options: numbers, strings or booleans. Whole numbers among floats are floats.

    Returns:
      The choice.

    Raises:
      ValueError: there is none, one is given twice, or one is of another kind.

    Examples:
      >>> from momentum_optax.sweeps import grid
      >>> [point["method"] for point in grid(method=choice(["heavy_ball", "nesterov"]))]
      ['heavy_ball', 'nesterov']
    """
    return Choice(clean_list("choice", options))


SCALES = {"linear": linear, "log": log, "one_minus_log": one_minus_log, "integers": integers}
"""The scales by the names that a file gives them."""


def as_choice_or_scale(name: str, given: Any) -> Scale | Choice:
    """A scale or choice as it is; a list as a choice."""
    return given if isinstance(given, Scale | Choice) else Choice(clean_list(name, given))
