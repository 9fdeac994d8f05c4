"""Population-based training: bad runs copy good ones and try other hyperparameters."""

import dataclasses
import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from ..points.scales import Scale
from ..values import whole
from .pruning import check_scores, real


@dataclasses.dataclass(frozen=True)
class Population:
    """Every so often, the worst runs go on from the states of the best, with hyperparameters near theirs.

    The points of a sweep are the members of a population; each seed (and fold) has one of its own. Of each, the worst
    `fraction` (rounded down, but at least one), and besides all that diverged, take over the state and all
    hyperparameters of one of the best `fraction`, drawn at random. Of equal members the earlier is better. Then each
    hyperparameter in `scales` moves on its own scale: its value is multiplied by one of `factors`, on
    `one_minus_log` its distance to 1 is (beta 0.9 becomes 0.92 or 0.88), and kept between the ends of the scale; on
    `linear` a zero stays zero. Or it is drawn anew from the scale. Runs that copy nothing keep all they have. If all
    members diverged, nothing happens.

    So hyperparameters change while a run trains, and what is found is a schedule, not a point.

    Attributes:
      every: after how many updates; a multiple of the steps between evaluations.
      scales: which hyperparameters change, and from where they take their values; a scale's count does not matter.
      fraction: of a population, above 0 and at most 0.5.
      factors: each as likely as the others; above 0.
      resample: the probability to draw a hyperparameter anew.

    Raises:
      ValueError: an argument is out of its range.

    References:
      Jaderberg, Dalibard, Osindero, Czarnecki, Donahue, Razavi, Vinyals, Green, Dunning, Simonyan, Fernando and
      Kavukcuoglu (2017), "Population Based Training of Neural Networks". https://arxiv.org/abs/1711.09846

    Examples:
      >>> from momentum_optax.sweeps import log, one_minus_log
      >>> rule = Population(100, {"learning_rate": log(1e-3, 1), "beta": one_minus_log(0, 0.999)}, resample=0.0)
      >>> hyper = {"learning_rate": np.float32([[0.1, 0.2, 0.4]]), "beta": np.float32([[0.5, 0.9, 0.0]])}
      >>> scores = np.array([[0.7, 0.9, -np.inf]])
      >>> sources, hyper = rule.evolve(100, scores, hyper, np.random.default_rng(0))
      >>> sources.tolist()
      [[0, 1, 1]]
      >>> print(hyper["learning_rate"].round(2), hyper["beta"].round(2))
      [[0.1  0.2  0.24]] [[0.5  0.9  0.88]]
    """

    every: int
    scales: Mapping[str, Scale]
    fraction: float = 0.2
    factors: Sequence[float] = (0.8, 1.2)
    resample: float = 0.25

    def __post_init__(self):
        object.__setattr__(self, "every", whole("every", self.every, 1))
        if not isinstance(self.scales, Mapping) or not self.scales:
            raise ValueError(
                f"scales must map hyperparameters to scales, such as {{'learning_rate': log(1e-3, 1)}}, "
                f"not {self.scales!r}."
            )
        for name, scale in self.scales.items():
            if not isinstance(scale, Scale):
                raise ValueError(f"scales: {name} needs a scale with two ends, such as log(1e-3, 1), not {scale!r}.")
        object.__setattr__(self, "scales", dict(self.scales))
        fraction = real("fraction", self.fraction, "above 0 and at most 0.5", lambda x: 0 < x <= 0.5)
        object.__setattr__(self, "fraction", fraction)
        if not isinstance(self.factors, Sequence | np.ndarray) or not len(self.factors):
            raise ValueError(f"factors must be one or more numbers, such as (0.8, 1.2), not {self.factors!r}.")
        factors = [real("each of factors", x, "finite and above 0", lambda x: 0 < x < math.inf) for x in self.factors]
        object.__setattr__(self, "factors", tuple(factors))
        resample = real("resample", self.resample, "a probability, from 0 to 1", lambda x: 0 <= x <= 1)
        object.__setattr__(self, "resample", resample)

    def due(self, step: int) -> bool:
        """Whether the population changes after so many updates."""
        return step > 0 and step % self.every == 0

    def check(self, names: Collection[str], points: int) -> None:
        """Raises a ValueError unless points with these numbers can be a population.

        Args:
          names: the hyperparameters that are numbers inside the program.
          points: how many points there are.

        Raises:
          ValueError: a name in `scales` is none of them, or there are fewer than two points.
        """
        for name in self.scales:
            if name not in names:
                raise ValueError(f"scales: no number of the points is called {name!r}; there are {sorted(names)}.")
        if points < 2:
            raise ValueError(f"A population needs at least two points of one program, but there is {points}.")

    def evolve(
        self, step: int, scores: np.ndarray, hyper: Mapping[str, np.ndarray], rng: np.random.Generator
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Who copies whom, and the hyperparameters after that.

        How much is drawn from `rng` depends on the shapes only, so what one run draws does not depend on the others.

        Args:
          step: how many updates have been made.
          scores: `[rows, points]`, each row a population; larger is better, -inf stands for a run that diverged.
          hyper: the numbers of each run by name, float32 `[rows, points]`.
          rng: where all chance comes from.

        Returns:
          From which point of its row each run takes its state, `[rows, points]`, itself if it copies nothing; and all
          hyperparameters, as `hyper`.

        Raises:
          ValueError: as `check`, the shapes do not fit, or a score is NaN or +inf.
        """
        del step
        scores = np.asarray(scores, np.float64)
        if scores.ndim != 2:
            raise ValueError(f"scores must have the shape [rows, points], not {scores.shape}.")
        check_scores(scores)
        self.check(hyper, scores.shape[1])
        for name, values in hyper.items():
            if np.shape(values) != scores.shape:
                raise ValueError(f"{name} must have the shape of scores, {scores.shape}, not {np.shape(values)}.")
        sources = self._sources(scores, rng.random(scores.shape))
        moved = sources != np.arange(scores.shape[1])
        found = {name: np.take_along_axis(np.asarray(x, np.float32), sources, axis=1) for name, x in hyper.items()}
        for name, scale in self.scales.items():
            found[name][moved] = self._explore(scale, found[name][moved], rng.random((3, *scores.shape))[:, moved])
        return sources, found

    def describe(self) -> dict[str, Any]:
        """What tells this population from others, in JSON's types."""
        scales = {name: {"kind": s.kind, "low": s.low, "high": s.high} for name, s in self.scales.items()}
        return {"rule": "Population", **vars(self), "scales": scales, "factors": list(self.factors)}

    def _sources(self, scores: np.ndarray, chances: np.ndarray) -> np.ndarray:
        """From which point of its row each run copies."""
        points = scores.shape[1]
        # As it is written, so that 0.29 of 100 are 29.
        count = max(1, int(round(self.fraction * points, 6)))
        order = np.argsort(-scores, axis=1, kind="stable")
        rank = np.argsort(order, axis=1)
        best = np.minimum(count, (scores > -np.inf).sum(axis=1, keepdims=True))
        copies = (best > 0) & ((rank >= points - count) | (scores == -np.inf))
        chosen = np.take_along_axis(order, _pick(chances, np.maximum(best, 1)), axis=1)
        return np.where(copies, chosen, np.arange(points))

    def _explore(self, scale: Scale, values: np.ndarray, chances: np.ndarray) -> np.ndarray:
        """New values near the given ones, or anew."""
        factors = np.take(self.factors, _pick(chances[0], len(self.factors)))
        values = values.astype(np.float64)
        found = 1 - (1 - values) * factors if scale.kind == "one_minus_log" else values * factors
        for i in np.flatnonzero(chances[1] < self.resample):
            found[i] = scale.at(float(chances[2, i]))
        # Scales see to it that no end becomes 1, or 0, in float32; so nothing between them does.
        return np.clip(found, scale.low, scale.high).astype(np.float32)


def _pick(chances: np.ndarray, count: Any) -> np.ndarray:
    """Whole numbers below `count` for uniform numbers below 1, whose product may round up to `count`."""
    return np.minimum((chances * count).astype(int), count - 1)
