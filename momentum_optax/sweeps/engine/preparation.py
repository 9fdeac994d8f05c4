"""What is known of a program before anything is trained."""

import dataclasses
from collections.abc import Mapping, Sequence
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
      program: the points.
      kinds: what tells the shapes of its functions from others of the same trial.
      seeds: the seeds.
      items: what the steps consume, `[seeds, steps, ...]`.
      cost: what a step takes.
    """

    program: Program
    kinds: Any
    seeds: Sequence[int]
    items: Any
    cost: Cost

    def fingerprint(self, trial: Trial) -> dict[str, str]:
        """What tells its functions from others, see `fingerprint`."""
        structure, numbers = self.program.structure, self.program.points.arrays()
        return fingerprint(trial, structure, numbers, _drawn(trial, structure), _item(self.items), self.items)


def prepare(
    trial: Trial, program: Program, seeds: Sequence[int], folds: int, steps: int, metric: str | None = None
) -> Prepared:
    """Checks the functions of a trial, and plans what the runs of a program consume.

    Args:
      trial: what to run.
      program: the points.
      seeds: the seeds.
      folds: how many folds each seed has, 1 for none.
      steps: how many steps a run makes.
      metric: what will be looked at, to fail before anything is trained if there is no such metric.

    Returns:
      What can be trained.
    """
    structure, numbers = program.structure, program.points.arrays()
    kinds = tuple(structure.items()), tuple(numbers), folds
    items = jax.tree.map(lambda *x: np.stack(x), *(trial.plan(Reader(structure), seed, steps) for seed in seeds))
    # Once for each program: a second sweep of a trial, such as a search makes many of, traces nothing.
    if kinds not in (seen := trial.__dict__.setdefault("_seen", {})):
        drawn, item = _drawn(trial, structure), _item(items)
        checked = check(trial, structure, numbers, drawn, item, None if folds == 1 else (np.int32(0), folds))
        seen[kinds] = checked, cost(trial, structure, numbers, checked.state, item)
    checked, takes = seen[kinds]
    names = {"train_loss", *checked.metrics}
    if metric is not None and metric not in names and not metric.startswith(CURRENT):
        raise KeyError(f"There is no metric {metric!r}; there are {sorted(names)}.")
    return Prepared(program, kinds, seeds, items, takes)


def _drawn(trial: Trial, structure: Mapping[str, Any]) -> Any:
    """Shapes and dtypes of what a seed draws."""
    drawn = jax.eval_shape(lambda key: trial.draw(Reader(structure), key), jax.random.key(0))
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), drawn)


def _item(items: Any) -> Any:
    """What the first step of the first seed consumes."""
    return jax.tree.map(lambda x: x[0, 0], items)
