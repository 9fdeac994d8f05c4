"""Which points of a sweep go on: successive halving, Hyperband and the median stopping rule.

A rule is a pure function of the scores so far and remembers nothing, so a resumed sweep decides as the first one did.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import numpy as np

from ..values import whole


@runtime_checkable
class Pruning(Protocol):
    """A rule that stops points early; `sweep` asks it after every evaluation but the last."""

    def keep(self, step: int, scores: np.ndarray, alive: np.ndarray) -> np.ndarray:
        """Which points go on.

        Args:
          step: how many updates have been made.
          scores: `[points, evaluations]`, all scores so far, one for each evaluation; larger is better, and -inf
            stands for a point that diverged.
          alive: `[points]`, which points were trained until now.

        Returns:
          `[points]`, true for a part of those alive; the same for the same arguments.

        Raises:
          ValueError: the shapes do not fit, or a score is NaN or +inf.
        """
        ...

    def describe(self) -> dict[str, Any]:
        """What tells this rule from others, in JSON's types."""
        ...


@dataclasses.dataclass(frozen=True)
class SuccessiveHalving:
    """Stops all but the best `1 / factor` of the points after `min_steps`, `factor * min_steps`, ... updates.

    A milestone counts at the first evaluation at or after it, by the scores of that evaluation. Each milestone that
    has passed counts, also if two pass between two evaluations. After `k` of them at most `n / factor**k` of all `n`
    points are left, rounded down each time, but at least one. Of points with the same score the earlier ones stay.
    From `min_steps` on, points that diverged are stopped at once: they take no place from others, and others are not
    stopped because of them. If all diverged, none is left.

    Attributes:
      min_steps: how many updates every point gets.
      factor: by how much the points become fewer and the updates more; above 1.

    Raises:
      ValueError: an argument is out of its range.

    References:
      Jamieson and Talwalkar (2016), "Non-stochastic Best Arm Identification and Hyperparameter Optimization".
      https://arxiv.org/abs/1502.07943

    Examples:
      >>> rule = SuccessiveHalving(min_steps=10, factor=3)
      >>> scores = np.array([[0.1], [0.9], [0.5], [0.7], [-np.inf], [0.6]])
      >>> rule.keep(10, scores, alive=np.full(6, True)).nonzero()[0].tolist()
      [1, 3]
    """

    min_steps: int
    factor: float = 3

    def __post_init__(self):
        object.__setattr__(self, "min_steps", whole("min_steps", self.min_steps, 1))
        object.__setattr__(self, "factor", _factor(self.factor))

    def keep(self, step: int, scores: np.ndarray, alive: np.ndarray) -> np.ndarray:
        """Which points go on, see `Pruning`."""
        scores, alive = _prepare(step, self.min_steps, scores, alive)
        cuts = 0
        # With each of them a point is stopped, so more change nothing.
        while cuts < len(alive) and self.min_steps * self.factor**cuts <= step:
            cuts += 1
        return _best(scores[:, -1], alive, self.factor, cuts)

    def describe(self) -> dict[str, Any]:
        """What tells this rule from others, in JSON's types."""
        return _describe(self)


@dataclasses.dataclass(frozen=True)
class Hyperband:
    """Successive halving in several brackets, from many points that may stop early to a few that never do.

    It needs no guess of how soon bad points can be told from good ones. With `s_max` the largest whole number for which
    `max_steps / factor**s_max` is at least `min_steps`, there are the brackets `s_max`, ..., 1, 0. In bracket `s` the
    milestones, see `SuccessiveHalving`, are `max_steps` divided by `factor**s`, ..., `factor`: it has `s`, and no
    point of bracket 0 is stopped. All brackets start together and are cut each on its own.

    The points are divided among the brackets in the ratio of the paper, bracket `s` getting a share of
    `ceil((s_max + 1) * factor**s / (s + 1))`, as closely as whole numbers allow; few points may leave a bracket empty.
    Which points are in which bracket depends on their number only: their indices are shuffled, always in the same way,
    so that of a grid, too, each bracket gets a random sample. From `min_steps` on, points that diverged are stopped at
    once, in every bracket.

    Attributes:
      min_steps: how many updates every point gets at least.
      max_steps: how many the best get: usually the steps of the sweep. At least `factor * min_steps`.
      factor: see `SuccessiveHalving`.

    Raises:
      ValueError: an argument is out of its range.

    References:
      Li, Jamieson, DeSalvo, Rostamizadeh and Talwalkar (2018), "Hyperband: A Novel Bandit-Based Approach to
      Hyperparameter Optimization", Algorithm 1. https://jmlr.org/papers/v18/16-558.html

    Examples:
      >>> rule = Hyperband(min_steps=10, max_steps=90, factor=3)
      >>> rule.brackets(17).tolist()
      [2, 2, 2, 2, 1, 0, 2, 1, 2, 0, 1, 2, 1, 2, 1, 2, 0]
    """

    min_steps: int
    max_steps: int
    factor: float = 3

    def __post_init__(self):
        object.__setattr__(self, "min_steps", whole("min_steps", self.min_steps, 1))
        object.__setattr__(self, "factor", _factor(self.factor))
        object.__setattr__(self, "max_steps", whole("max_steps", self.max_steps, 1))
        if self.max_steps < self.min_steps * self.factor:
            raise ValueError(
                f"max_steps must be at least min_steps * factor = {self.min_steps * self.factor:g}, or no point is "
                f"ever stopped, but it is {self.max_steps}."
            )

    def brackets(self, points: int) -> np.ndarray:
        """The bracket of each of so many points, `[points]`."""
        most = 0
        while self.min_steps * self.factor ** (most + 1) <= self.max_steps:
            most += 1
        names = range(most, -1, -1)
        shares = [math.ceil((most + 1) * self.factor**s / (s + 1)) for s in names]
        sizes, rests = zip(*(divmod(points * share, sum(shares)) for share in shares), strict=True)
        # What is left goes to the largest remainders.
        extra = sorted(range(len(shares)), key=lambda i: -rests[i])[: points - sum(sizes)]
        sizes = [size + (i in extra) for i, size in enumerate(sizes)]
        found = np.empty(points, int)
        # Bits of a seed, which NumPy promises to keep; any even pattern would fall into step with some grid.
        shuffled = np.argsort(np.random.PCG64(0).random_raw(points), kind="stable")
        found[shuffled] = np.repeat(names, sizes)
        return found

    def keep(self, step: int, scores: np.ndarray, alive: np.ndarray) -> np.ndarray:
        """Which points go on, see `Pruning`."""
        scores, kept = _prepare(step, self.min_steps, scores, alive)
        brackets = self.brackets(len(kept))
        for s in np.unique(brackets).tolist():
            inside = brackets == s
            cuts = sum(step * self.factor**i >= self.max_steps for i in range(1, s + 1))
            kept[inside] = _best(scores[inside, -1], kept[inside], self.factor, cuts)
        return kept

    def describe(self) -> dict[str, Any]:
        """What tells this rule from others, in JSON's types."""
        return _describe(self)


@dataclasses.dataclass(frozen=True)
class MedianStopping:
    """Stops the points whose best score so far is below the median of the other points' average scores so far.

    The average of a point is over all its evaluations so far. The others are those that were neither stopped before
    nor diverged. A point that only equals the median goes on, so at least one does, unless all diverged. From
    `min_steps` on, points that diverged are stopped at once.

    Attributes:
      min_steps: how many updates every point gets.
      min_points: the smallest number of other points to take a median of; with fewer, none is stopped but those that
        diverged.

    Raises:
      ValueError: an argument is out of its range.

    References:
      Golovin, Solnik, Moitra, Kochanski, Karro and Sculley (2017), "Google Vizier: A Service for Black-Box
      Optimization", Section 3.2.2. https://doi.org/10.1145/3097983.3098043

    Examples:
      >>> rule = MedianStopping(min_steps=20)
      >>> scores = np.array([[0.1, 0.2], [0.3, 0.9], [0.5, 0.6], [0.7, 0.7]])
      >>> rule.keep(20, scores, alive=np.full(4, True)).nonzero()[0].tolist()
      [1, 2, 3]
    """

    min_steps: int
    min_points: int = 3

    def __post_init__(self):
        for name in ("min_steps", "min_points"):
            object.__setattr__(self, name, whole(name, getattr(self, name), 1))

    def keep(self, step: int, scores: np.ndarray, alive: np.ndarray) -> np.ndarray:
        """Which points go on, see `Pruning`."""
        scores, kept = _prepare(step, self.min_steps, scores, alive)
        others = int(kept.sum()) - 1
        if step < self.min_steps or others < self.min_points:
            return kept
        own = scores[kept]
        # Rounding must not lift the average of equal scores above them, for then all of such points would stop.
        average = np.clip(own.mean(axis=1), own.min(axis=1), own.max(axis=1))
        rank = np.argsort(np.argsort(average, kind="stable"), kind="stable")
        # The middle of the sorted averages without one's own: those from one's own rank on are one place further.
        low, high = (np.sort(average)[i + (i >= rank)] for i in ((others - 1) // 2, others // 2))
        kept[kept] = own.max(axis=1) >= (low + high) / 2
        return kept

    def describe(self) -> dict[str, Any]:
        """What tells this rule from others, in JSON's types."""
        return _describe(self)


PATIENT = (SuccessiveHalving, Hyperband, MedianStopping)
"""Rules that stop no point before `min_steps`."""


def _prepare(step: int, min_steps: int, scores: np.ndarray, alive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The scores, and a copy of `alive`, from `min_steps` on without those that diverged."""
    scores, alive = np.asarray(scores, np.float64), np.array(alive, bool)
    if scores.ndim != 2 or not scores.shape[1] or alive.shape != scores.shape[:1]:
        raise ValueError(
            "scores must have the shape [points, evaluations] and alive [points], "
            f"not {scores.shape} and {alive.shape}."
        )
    check_scores(scores)
    return scores, alive if step < min_steps else alive & (scores[:, -1] > -np.inf)


def _best(latest: np.ndarray, alive: np.ndarray, factor: float, cuts: int) -> np.ndarray:
    """The best of those alive, at most as many as so many cuts leave of all."""
    left = len(alive)
    for _ in range(cuts):
        left = max(1, int(left / factor))
    order = np.argsort(-latest, kind="stable")
    kept = np.zeros_like(alive)
    kept[order[alive[order]][:left]] = True
    return kept


def check_scores(scores: np.ndarray) -> None:
    """Raises a ValueError if a score is NaN or +inf."""
    if np.isnan(scores).any() or (scores == np.inf).any():
        raise ValueError("scores must be finite numbers, or -inf for a point that diverged, but one is NaN or +inf.")


def real(name: str, value: Any, accepted: str, holds: Callable[[float], bool]) -> float:
    """Checks a number.

    Args:
      name: of the argument, for the message.
      value: what the user gave.
      accepted: what is accepted, in words: "a number above 1".
      holds: whether a number is accepted.

    Raises:
      ValueError: it is something else.
    """
    number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if not number or not holds(float(value)):
        raise ValueError(f"{name} must be {accepted}, not {value!r}.")
    return float(value)


def _factor(value: Any) -> float:
    return real("factor", value, "a finite number above 1, such as 3", lambda x: 1 < x < math.inf)


def _describe(rule: Any) -> dict[str, Any]:
    return {"rule": type(rule).__name__, **dataclasses.asdict(rule)}
