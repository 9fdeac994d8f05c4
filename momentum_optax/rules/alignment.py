"""Beta from the agreement of gradient and velocity (after Malviya et al., 2024)."""

from typing import Any, NamedTuple

import jax

from .. import _coefficient as coefficient
from .._rule import Rule, Seen, dot, norm, ratio
from .._types import Scalar


class AlignmentState(NamedTuple):
    """State of `alignment`.

    Attributes:
      agreement: `()`, moving average of the cosine between gradient and memory, from 0.
    """

    agreement: jax.Array


class _Alignment(Rule):
    hears_memory = True

    def __init__(self, low: Any, high: Any, decay: Any, each_leaf: bool):
        self.low, self.high, self.decay, self.each_leaf = low, high, decay, each_leaf
        self.start = {"beta": (low + high) / 2}

    def __repr__(self) -> str:
        return f"rules.alignment(low={self.low}, high={self.high})"

    def init(self) -> AlignmentState:
        return AlignmentState(0.0)  # type: ignore[arg-type]

    def decide(self, state: AlignmentState, seen: Seen):
        memory = seen.memory or []
        cosine = ratio(dot(seen.gradients, memory), norm(seen.gradients) * norm(memory))
        agreement = self.decay * state.agreement + (1 - self.decay) * cosine
        return {"beta": self.low + (self.high - self.low) * (1 + agreement) / 2}, AlignmentState(agreement)


def alignment(low: Scalar = 0.5, high: Scalar = 0.99, decay: Scalar = 0.9, *, each_leaf: bool = False) -> Rule:
    """Beta that is high while gradients agree with the velocity, and low when they do not."""
    low, high = coefficient.check("low", low), coefficient.check("high", high)
    decay = coefficient.check("decay", decay)
    return _Alignment(low, high, decay, each_leaf)
