"""What `sweep` accepts."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .values import whole


def one_of(name: str, value: Any, accepted: Sequence[str]) -> Any:
    """One of some words; else a ValueError that names the argument."""
    if value not in accepted:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, accepted))}, not {value!r}.")
    return value


def all_seeds(seeds: int | Sequence[int]) -> tuple[int, ...]:
    """The seeds themselves, given as they are or as how many."""
    if not np.iterable(seeds):
        return tuple(range(whole("seeds, as a count,", seeds)))
    found = tuple(whole("each of seeds", seed, least=0) for seed in seeds)
    # JAX makes the same key of 0 and of 2**32.
    if large := [seed for seed in found if seed >= 2**32]:
        raise ValueError(f"seeds must be whole numbers from 0 to {2**32 - 1}, not {large[0]}.")
    if not found or len(set(found)) < len(found):
        raise ValueError(f"seeds must be a count, or one or more different whole numbers, not {list(found)}.")
    return found


def all_steps(steps: int | None, epochs: int | None, per_epoch: Sequence[int | None]) -> int:
    """How many steps a run makes, given as steps or as epochs.

    Args:
      steps: as `sweep` takes it.
      epochs: as `sweep` takes it.
      per_epoch: how many steps an epoch has, of each program.
    """
    if epochs is None:
        return whole("steps", 300 if steps is None else steps)
    if steps is not None:
        raise ValueError(f"epochs={epochs} and steps={steps} say the same; give one of them.")
    lengths = set(per_epoch)
    if None in lengths:
        raise ValueError(f"epochs={epochs}: the trial knows no epochs (Trial.steps_per_epoch); give steps.")
    if len(lengths) > 1:
        raise ValueError(f"epochs={epochs}: an epoch has {sorted(map(int, lengths))} steps, by program; give steps.")  # pyright: ignore[reportArgumentType]
    return whole("epochs", epochs) * lengths.pop()  # pyright: ignore[reportOperatorIssue]


def all_stops(steps: int, evaluate_every: int | None) -> list[int]:
    """After how many steps the evaluations take place; the last step is always evaluated."""
    every = max(1, steps // 10) if evaluate_every is None else min(whole("evaluate_every", evaluate_every), steps)
    return [*range(every, steps, every), steps]
