"""What is known of a program before anything is trained."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..points.points import Program
from ..points.reader import Reader
from ..trials.checks import check
from ..trials.fingerprint import fingerprint
from ..trials.trial import Trial
from .batched import draw
from .cost import Cost, cost

CURRENT = "current_"
"""What the metrics begin with that tell of hyperparameters which change."""


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A program that can be trained.

    Attributes:
      program: the points.
      kinds: what tells the shapes of its functions from others of the same trial.
      drawn: what its seeds drew, `[seeds, ...]`.
      items: what the steps consume, `[seeds, steps, ...]`.
      cost: what a step takes.
    """

    program: Program
    kinds: Any
    drawn: Any
    items: Any
    cost: Cost

    def fingerprint(self, trial: Trial) -> dict[str, str]:
        """What tells its functions from others, see `fingerprint`."""
        return fingerprint(
            trial, self.program.structure, self.program.points.arrays(), *_first(self.drawn, self.items), self.items
        )


def prepare(
    trial: Trial, program: Program, seeds: Sequence[int], folds: int, steps: int, metric: str | None = None
) -> Prepared:
    """Draws what the runs of a program begin with and consume, and checks the functions of the trial.

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
    drawn = _stack(jax.device_get([draw(trial, structure, seed) for seed in seeds]))
    items = _stack([trial.plan(Reader(structure), seed, steps) for seed in seeds])
    first, item = _first(drawn, items)
    # Once for each program: a second sweep of a trial, such as a search makes many of, traces nothing.
    if kinds not in (seen := trial.__dict__.setdefault("_seen", {})):
        checked = check(trial, structure, numbers, first, item, None if folds == 1 else (np.int32(0), folds))
        seen[kinds] = checked, cost(trial, structure, numbers, checked.state, item)
    checked, takes = seen[kinds]
    names = {"train_loss", *checked.metrics}
    if metric is not None and metric not in names and not metric.startswith(CURRENT):
        raise KeyError(f"There is no metric {metric!r}; there are {sorted(names)}.")
    return Prepared(program, kinds, drawn, items, takes)


def _first(drawn: Any, items: Any) -> tuple[Any, Any]:
    """What the first seed drew, and what its first step consumes."""
    return jax.tree.map(lambda x: x[0], drawn), jax.tree.map(lambda x: x[0, 0], items)


def _stack(trees: Sequence[Any]) -> Any:
    def leaf(*x: Any) -> Any:
        # NumPy knows no random keys.
        return jnp.stack(x) if jnp.issubdtype(x[0].dtype, jax.dtypes.prng_key) else np.stack(x)

    return jax.tree.map(leaf, *trees)
