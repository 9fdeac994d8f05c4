"""Betas and weights for a mixture of averages, such as `bank`."""

import math
from collections.abc import Sequence

import chex
import numpy as np

from .. import _coefficient as coefficient
from .._types import Coefficient, Schedule
from ..schedules._values import between, floats, progress


def _plain(name: str, value: float, accepted: coefficient.Range) -> float:
    return float(coefficient.number(name, value, accepted))


def log_spaced_betas(number: int, shortest: float, longest: float) -> tuple[float, ...]:
    """The betas of averages whose mean ages go from the shortest to the longest by equal factors.

        age_i  <- shortest * (longest / shortest)^(i / (number - 1))
        beta_i <- age_i / (1 + age_i)

    An average under `beta` weighs the gradient of `k` steps ago by `(1 - beta) * beta^k`: its mean age is `beta / (1 -
    beta)`.

    Args:
      number: how many, at least 2.
      shortest: the first mean age in updates, above 0.
      longest: the last mean age in updates, above `shortest`.

    Returns:
      The betas, growing.

    Raises:
      TypeError: an argument is no number.
      ValueError: an argument is out of range.

    Examples:
      >>> import momentum_optax as mo
      >>> print([round(beta, 4) for beta in mo.log_spaced_betas(4, 1, 1000)])
      [0.5, 0.9091, 0.9901, 0.999]
    """
    if not isinstance(number, int | np.integer) or isinstance(number, bool):
        raise TypeError(f"number must be an integer of at least 2; got {number!r}.")
    if number < 2:
        raise ValueError(f"number must be an integer of at least 2; got {number!r}.")
    first = _plain("shortest", shortest, coefficient.POSITIVE)
    last = _plain("longest", longest, coefficient.POSITIVE)
    if last <= first:
        raise ValueError(f"longest must be above shortest, {shortest!r}; got {longest!r}.")
    ages = np.geomspace(first, last, number)
    return tuple(float(min(age / (1 + age), math.nextafter(1.0, 0.0))) for age in ages)


def mean_age_weights(
    betas: Sequence[float], age: float, end: float | None = None, steps: float | None = None, *, begin: float = 0
) -> tuple[Coefficient, ...]:
    """Weights with which a mixture of averages has a given mean age, now or all along a line.

        weights_i <- age_i^power / sum of age_j^power, age_i = beta_i / (1 - beta_i)

    with the `power` that makes `sum of weights_i * age_i` the mean age. On betas that are spaced logarithmically this
    is close to a kernel that falls as a power of the age of a gradient.

    With `end` the weights go along a line from those of `age` to those of `end`, and so does the mean age.

    Args:
      betas: those of the averages: numbers in (0, 1).
      age: the mean age in updates, between the smallest and the largest of the averages.
      end: the mean age at the end of the way; `None` to stay at `age`.
      steps: updates that the way takes, above 0; with `end` only.
      begin: the count at which the way begins, at least 0.

    Returns:
      A weight for each beta: numbers that sum to 1, or with `end` schedules of them.

    Raises:
      TypeError: an argument is no number, or `betas` no list or tuple of numbers.
      ValueError: an argument is out of range, or `end` comes without `steps`, or `steps` without `end`.

    Examples:
      From a mean age of 58 to one of 26 in 2,250 steps:

      >>> import momentum_optax as mo
      >>> betas = mo.log_spaced_betas(8, 1, 1000)
      >>> weights = mo.mean_age_weights(betas, 58, 26, 2250, begin=1000)
      >>> tx = mo.bank(betas, weights)
      >>> age_at = lambda count: sum(w(count) * b / (1 - b) for w, b in zip(weights, betas))
      >>> print([round(float(age_at(count)), 2) for count in (0, 1000, 2125, 3250)])
      [58.0, 58.0, 42.0, 26.0]
    """
    if not isinstance(betas, list | tuple) or not betas:
        raise TypeError(f"betas must be a list or tuple of at least one number in (0, 1); got {betas!r}.")
    inside = coefficient.Range("in (0, 1)", lambda x: (x > 0) & (x < 1))
    numbers = np.array([_plain(f"betas[{i}]", beta, inside) for i, beta in enumerate(betas)])
    ages = numbers / (1 - numbers)
    if (end is None) != (steps is None):
        raise ValueError(f"end and steps go together; got end={end!r} and steps={steps!r}.")
    first = _weights("age", age, ages)
    if end is None or steps is None:
        return tuple(first)
    length = _plain("steps", steps, coefficient.POSITIVE)
    start = _plain("begin", begin, coefficient.NON_NEGATIVE)
    return tuple(_line(a, b, start, length) for a, b in zip(first, _weights("end", end, ages), strict=True))


def _line(first: float, last: float, begin: float, steps: float) -> Schedule:
    def schedule(count: chex.Numeric) -> chex.Numeric:
        t, a, b, start, length = floats(count, first, last, begin, steps)
        return between(a, b, progress(t - start, length))

    return schedule


def _weights(name: str, value: float, ages: np.ndarray) -> list[float]:
    """Powers of the ages whose mean age is the value, by bisection."""
    low, high = float(ages.min()), float(ages.max())
    age = _plain(name, value, coefficient.POSITIVE)
    if not low <= age <= high:
        raise ValueError(
            f"{name} must be between the mean ages of the averages, {low:.6g} and {high:.6g}; got {value!r}."
        )
    logs = np.log(ages) - np.log(ages).mean()

    def weights(power: float) -> np.ndarray:
        exponents = power * logs
        parts = np.exp(exponents - exponents.max())
        return parts / parts.sum()

    below, above = -1e4, 1e4
    for _ in range(200):
        middle = (below + above) / 2
        below, above = (middle, above) if weights(middle) @ ages < age else (below, middle)
    return [float(w) for w in weights((below + above) / 2)]
