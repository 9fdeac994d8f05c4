"""Points from a space of hyperparameters: all of a grid, side by side, at random, or evenly spread."""

import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from ..values import Value, clean_list, whole
from .points import Points, check_distinct, row_identity
from .scales import Choice, Scale, as_choice_or_scale

Space = Scale | Choice | Iterable[Value]
"""From where a hyperparameter takes its values; a list is a choice."""


def grid(**values: Space) -> Points:
    """Every combination of the given values, the last name varying fastest.

    Args:
      **values: the values to try, by hyperparameter: a list, or a scale with a count.

    Returns:
      The points.

    Raises:
      ValueError: there is no list, or a list is empty, holds a value twice (in float32), or holds something that is
        no finite float32 number, string or boolean; or a scale has no count.

    Examples:
      >>> [dict(p) for p in grid(learning_rate=[0.1, 1.0], beta=[0.9])]
      [{'learning_rate': 0.1, 'beta': 0.9}, {'learning_rate': 1.0, 'beta': 0.9}]
    """
    lists = {name: _listed(name, given) for name, given in values.items()}
    return Points(dict(zip(lists, row, strict=True)) for row in itertools.product(*lists.values()))


def zip_points(**values: Space) -> Points:
    """The first values of all lists, then the second, and so on.

    Args:
      **values: lists of the same length, or scales with the same count, by hyperparameter.

    Returns:
      The points.

    Raises:
      ValueError: as `grid`, or lengths differ, or a point comes twice. A single list may repeat a value.

    Examples:
      >>> [dict(p) for p in zip_points(learning_rate=[1.0, 0.1], beta=[0.0, 0.9])]
      [{'learning_rate': 1.0, 'beta': 0.0}, {'learning_rate': 0.1, 'beta': 0.9}]
    """
    lists = {name: _listed(name, given, distinct=False) for name, given in values.items()}
    lengths = {name: len(found) for name, found in lists.items()}
    if len(set(lengths.values())) > 1:
        said = ", ".join(f"{name} has {length}" for name, length in lengths.items())
        raise ValueError(f"zip_points: every list must have the same length, but {said}.")
    rows = [dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)] or [{}]
    points = Points(rows)
    check_distinct(points)
    return points


def random(n: int, /, *, seed: int = 0, **space: Space) -> Points:
    """Points drawn at random, each hyperparameter independently of the others.

    The same seed gives the same points on every platform, and more of them begin with the fewer.

    Args:
      n: how many points.
      seed: of the draw, a whole number.
      **space: by hyperparameter, a scale (without a count), or a list to choose from.

    Returns:
      `n` different points.

    Raises:
      ValueError: `n` or `seed` is no whole number, a list is bad (see `grid`), a scale has a count, or there are not
        as many different points.

    Examples:
      >>> from momentum_optax.sweeps import log
      >>> for point in random(2, learning_rate=log(1e-3, 1), nesterov=[True, False]):
      ...     print(f"{point['learning_rate']:.4f}", point["nesterov"])
      0.0814 True
      0.0013 True
    """
    # NumPy promises that the bits of a seed stay; of its distributions it does not.
    bits = np.random.PCG64(whole("seed", seed, 0))

    def draw(rows: int, columns: int) -> np.ndarray:
        return (bits.random_raw((rows, columns)) >> np.uint64(11)) * 2.0**-53

    return _draw("random", n, space, lambda columns: draw)


def sobol(n: int, /, *, seed: int = 0, **space: Space) -> Points:
    """Points that are spread evenly: a scrambled Sobol sequence, better than random points at the same cost.

    Each scale is covered evenly, and so are combinations of them; options of a list come about equally often. A power
    of two is best: each of `n` equal parts of each scale then has exactly one point. Any other `n` gives the first of
    the next power of two, so that a sweep can be extended: more points of the same seed begin with the fewer.

    Args:
      n: how many points.
      seed: of the scrambling, a whole number.
      **space: see `random`.

    Returns:
      `n` different points.

    Raises:
      ValueError: as `random`.
      ImportError: SciPy is not installed.

    References:
      Owen (1998), "Scrambling Sobol' and Niederreiter-Xing points". https://doi.org/10.1006/jcom.1998.0487

    Examples:
      >>> from momentum_optax.sweeps import linear
      >>> sorted(int(4 * point["nu"]) for point in sobol(4, nu=linear(0, 1)))
      [0, 1, 2, 3]
    """
    try:
        from scipy.stats import qmc
    except ImportError as error:
        raise ImportError(f'sobol needs {error.name}: pip install ".[sweep]" in a clone') from error
    seed = whole("seed", seed, 0)

    def source(columns: int) -> Callable[[int, int], np.ndarray]:
        sequence = qmc.Sobol(columns, rng=seed)
        return lambda rows, columns: sequence.random(rows)

    return _draw("sobol", n, space, source)


def _draw(
    sampler: str, n: int, space: dict[str, Any], source: Callable[[int], Callable[[int, int], np.ndarray]]
) -> Points:
    """The first `n` different points from a source of rows of fractions."""
    n = whole("n", n, 1)
    found = {name: as_choice_or_scale(name, given) for name, given in space.items()}
    if not found:
        raise ValueError(f"{sampler}: a point needs at least one hyperparameter.")
    for name, kind in found.items():
        if isinstance(kind, Scale) and kind.count is not None:
            raise ValueError(f"{name}: a count is for grid and zip_points; {sampler} draws {n} points. Leave it out.")
    # Scales first, for the first dimensions of a Sobol sequence are spread best.
    order = sorted(found, key=lambda name: isinstance(found[name], Choice))
    unique: dict[Any, dict[str, Value]] = {}
    for fractions in _fractions(source(len(order)), n, len(order)):
        drawn = {name: found[name].at(fraction) for name, fraction in zip(order, fractions, strict=True)}
        unique.setdefault(row_identity(drawn), {name: drawn[name] for name in found})
        if len(unique) == n:
            return Points(unique.values())
    raise ValueError(f"{sampler}: the space seems to hold only {len(unique)} different points, not {n}; use grid.")


def _fractions(draw: Callable[[int, int], np.ndarray], n: int, columns: int) -> Iterator[list[float]]:
    """Rows of fractions, far more than `n`, but not endlessly many."""
    block = 1 << (n - 1).bit_length()  # a power of two, as a Sobol sequence wants it at the start
    for _ in range(64):
        yield from draw(block, columns).tolist()


def _listed(name: str, given: Any, *, distinct: bool = True) -> list[Value]:
    if isinstance(given, Scale | Choice):
        return given.listed(name)
    return clean_list(name, given, distinct=distinct)
