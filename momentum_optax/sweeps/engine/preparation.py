"""What is known of a program before anything is trained."""

import dataclasses
import functools
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from ..points.points import Program
from ..points.reader import Reader
from ..trials.checks import check
from ..trials.fingerprint import fingerprint
from ..trials.trial import Trial
from .cost import Cost, cost

CURRENT = "current_"
"""What the metrics begin with that tell of hyperparameters which change."""


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A program that can be trained.

    Attributes:
      trial: what to run.
      program: the points.
      seeds: the seeds.
      folds: how many folds each seed has, 1 for none.
      steps: how many steps a run makes.
      cost: what a step takes.
    """

    trial: Trial
    program: Program
    seeds: Sequence[int]
    folds: int
    steps: int
    cost: Cost

    @property
    def structure(self) -> Mapping[str, Any]:
        """The hyperparameters that are part of the program."""
        return self.program.structure

    @property
    def kinds(self) -> Any:
        """What tells the shapes of its functions from others of the same trial."""
        return _kinds(self.program, self.folds)

    @functools.cached_property
    def items(self) -> Any:
        """What the steps consume, `[seeds, steps, ...]`."""
        plans = (self.trial.plan(Reader(self.structure), seed, self.steps) for seed in self.seeds)
        # As JAX will take them: float64 becomes float32 where x64 is off.
        return jax.tree.map(
            lambda *x: np.stack(x, dtype=jax.dtypes.canonicalize_dtype(x[0].dtype), casting="same_kind"), *plans
        )

    def plan(self) -> None:
        """Plans what the steps consume, which takes a moment."""
        self.items  # noqa: B018

    def fingerprint(self) -> dict[str, str]:
        """What tells its functions from others, see `fingerprint`."""
        drawn, item = _first(self.trial, self.structure, self.seeds[0])
        return fingerprint(self.trial, self.structure, self.program.points.arrays(), drawn, item, self.items)


def prepare(
    trial: Trial,
    program: Program,
    seeds: Sequence[int],
    folds: int,
    steps: int,
    metric: str | None = None,
    changing: Collection[str] = (),
) -> Prepared:
    """Checks the functions of a trial.

    Args:
      trial: what to run.
      program: the points.
      seeds: the seeds.
      folds: how many folds each seed has, 1 for none.
      steps: how many steps a run makes.
      metric: what will be looked at, to fail before anything is trained if there is no such metric.
      changing: the hyperparameters of which there will be metrics.

    Returns:
      What can be trained.
    """
    structure, names, kinds = program.structure, program.points.names, _kinds(program, folds)
    # Once for each program: a second sweep of a trial, such as a search makes many of, traces nothing.
    if kinds not in (seen := trial.__dict__.setdefault("_seen", {})):
        drawn, item = _first(trial, structure, seeds[0])
        checked = check(trial, structure, names, drawn, item, None if folds == 1 else (np.int32(0), folds))
        seen[kinds] = checked, cost(trial, structure, names, checked.state, item)
    checked, takes = seen[kinds]
    known = {"train_loss", *checked.metrics, *(f"{CURRENT}{name}" for name in changing)}
    if metric is not None and metric not in known:
        raise KeyError(f"There is no metric {metric!r}; there are {sorted(known)}.")
    return Prepared(trial, program, seeds, folds, steps, takes)


def _kinds(program: Program, folds: int) -> Any:
    return tuple(program.structure.items()), tuple(program.points.names), folds


def _first(trial: Trial, structure: Mapping[str, Any], seed: int) -> tuple[Any, Any]:
    """What a seed draws, as shapes and dtypes, and what its first step consumes."""
    drawn = jax.eval_shape(lambda key: trial.draw(Reader(structure), key), jax.random.key(0))
    item = jax.tree.map(lambda x: x[0], trial.plan(Reader(structure), seed, 1))
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), drawn), item
