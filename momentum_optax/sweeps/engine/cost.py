"""What a step of a run takes, as far as that is known before anything is compiled."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from ..points.reader import Reader
from ..trials.trial import Trial

_TOGETHER = 6.4e7
_USUAL, _MOST = 32, 256
_CACHED = 1 << 19
"""Floating-point operations of a step, runs, and bytes of states that go through a CPU core together: many runs share
the cost of each operation, few leave their numbers in the cache. More than usual go together if all of their states
are small.

Measured with dense networks and small convolutions, by millions of operations: with 0.01 to 0.6, 32 runs together take
0.85 to 0.95 of the time that 8 take, and with 2.6 as long; with 8, it takes 8 runs 0.5 to 0.7 of the time of 32; with
28, 4 runs 0.6 of the time of 8; with 60, one alone is fastest. By kilobytes of a state: with 2 and 4, 256 and 128 runs
take 0.85 to 0.9 of the time of 32; with 10 and 14, 64 to 256 take 0.95 to 1.1; with 39, 256 take 1.4.
"""


class Cost(NamedTuple):
    """What a step of a run takes.

    Attributes:
      operations: floating-point operations.
      state: bytes of the state.
      convolutions: whether there are convolutions in it.
    """

    operations: float
    state: int
    convolutions: bool

    @property
    def cpu_chunk(self) -> int:
        """How many runs go through a CPU core together, a power of two."""
        most = min(_MOST, max(_USUAL, _CACHED / max(1, self.state)))
        fitting = int(max(1, min(most, _TOGETHER / max(1.0, self.operations))))
        return 1 << (fitting.bit_length() - 1)


def cost(trial: Trial, structure: Mapping[str, Any], hyper: Iterable[str], state: Any, item: Any) -> Cost:
    """Traces a step, and asks what it takes.

    Args:
      trial: the trial.
      structure: the hyperparameters that are part of the program.
      hyper: the names of the others.
      state: of a run; shapes and dtypes.
      item: what a step consumes.

    Returns:
      What it takes.
    """

    def step(numbers: Any, state: Any, item: Any, data: Any) -> Any:
        return trial.step(Reader({**structure, **numbers}), state, trial.fetch(data, item))

    numbers = {name: jax.ShapeDtypeStruct((), np.float32) for name in hyper}
    traced = jax.jit(step).trace(numbers, state, item, trial.data)
    operations = (traced.lower().cost_analysis() or {}).get("flops", 0.0)
    bytes_ = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(state))
    return Cost(operations, bytes_, "conv_general_dilated" in str(traced.jaxpr))
