"""Beta from the agreement of gradient and velocity (after Malviya et al., 2024)."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .. import _leafwise as leafwise
from .._rule import Rule, Seen, dots, ratio
from .._types import Scalar
from ..schedules._values import below_one
from ._numbers import number, ordered


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
        return AlignmentState(jnp.zeros(()))

    def decide(self, state: AlignmentState, seen: Seen):
        memory = seen.memory or []
        across, whole, length = dots((seen.gradients, memory), (seen.gradients, seen.gradients), (memory, memory))
        cosine = ratio(across, leafwise.root(whole) * leafwise.root(length))
        agreement = self.decay * state.agreement + (1 - self.decay) * jnp.clip(cosine, -1, 1)
        beta = self.low + (self.high - self.low) * (1 + agreement) / 2
        return {"beta": below_one(beta)}, AlignmentState(agreement)


def alignment(low: Scalar = 0.5, high: Scalar = 0.99, decay: Scalar = 0.9, *, each_leaf: bool = False) -> Rule:
    """Beta that is high while gradients agree with the velocity, and low when they do not.

    With gradient `g` and `memory`, what the method would add to the params without it, starting from `agreement = 0`:

        agreement <- decay * agreement + (1 - decay) * cos(g, memory)
        beta      <- low + (high - low) * (1 + agreement) / 2

    where the cosine is that of two vectors that point uphill, and 0 where one of them is 0. For heavy ball `memory` is
    the velocity; for a method that divides or blends, what it makes of its velocities.

    Torque-Aware Momentum smooths the same cosine, with `decay = 0.9`, and multiplies the new gradient by
    `(1 + agreement) / 2`; its beta stays. Here the gradient stays and beta moves: what disagrees with the velocity is
    taken in whole, and the velocity fades faster.

    It keeps no array, and costs one more pass over the memories and three inner products.

    Args:
      low: beta where gradients point against the velocity, in [0, 1), at most `high`.
      high: beta where they point along it, in [0, 1).
      decay: how much of the agreement survives an update, in [0, 1).
      each_leaf: whether each leaf has a beta of its own, from its own cosine. That is some arithmetic on numbers for
        each leaf: with many hundreds of leaves it takes minutes to compile.

    Returns:
      A rule, for the place of a coefficient; before the first update it is halfway between `low` and `high`.

    Raises:
      TypeError: an argument is no number.
      ValueError: an argument is out of range.

    Examples:
      The second gradient agrees with the first, the third does not:

      >>> import jax.numpy as jnp, momentum_optax as mo
      >>> tx = mo.heavy_ball(0.1, beta=mo.rules.alignment(low=0.5, high=0.9, decay=0.0))
      >>> state = tx.init(jnp.zeros(()))
      >>> for gradient in (1.0, 1.0, -1.0):
      ...     update, state = tx.update(jnp.asarray(gradient), state)
      ...     print(state.values["beta"])
      0.7
      0.9
      0.5

    References:
      Malviya, Mordido, Baratin, Babanezhad Harikandeh, Dziugaite, Pascanu and Chandar (2024), "Torque-Aware Momentum".
      https://arxiv.org/abs/2412.18790
    """
    low, high, decay = number("low", low), number("high", high), number("decay", decay)
    ordered(low=low, high=high)
    return _Alignment(low, high, decay, each_leaf)
