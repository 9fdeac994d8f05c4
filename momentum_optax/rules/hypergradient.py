"""A coefficient that goes down its own gradient, one step back (Baydin et al., 2017; Chandra et al., 2019)."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .. import _coefficient as coefficient
from .._rule import Rule, Seen, dot
from .._types import Scalar
from ..schedules._values import below_one
from ._numbers import number, ordered


class HypergradientState(NamedTuple):
    """State of `hypergradient`.

    Attributes:
      value: `()`, the coefficient at the last update.
    """

    value: jax.Array


class _Hypergradient(Rule):
    keeps = "sensitivity"

    def __init__(self, rate: Any, start: Any, low: Any, high: Any, each_leaf: bool):
        self.rate, self.low, self.high, self.each_leaf = rate, low, high, each_leaf
        self.start = {"beta": start}

    def __repr__(self) -> str:
        return f"rules.hypergradient({self.rate})"

    def init(self) -> HypergradientState:
        return HypergradientState(jnp.asarray(self.start["beta"]))

    def decide(self, state: HypergradientState, seen: Seen):
        slope = dot(seen.gradients, seen.kept or [])
        value = below_one(jnp.clip(state.value - self.rate * slope, self.low, self.high))
        return {"beta": value}, HypergradientState(value)


def hypergradient(
    rate: Scalar, start: Scalar = 0.9, low: Scalar = 0.0, high: Scalar = 0.999, *, each_leaf: bool = False
) -> Rule:
    """Beta that follows the slope of the loss along it, as the params follow theirs.

    With gradient `g` and `step`, what the last update added to the params (of `nesterov_lookahead`, to the point ahead
    of them at which the gradient is taken):

        beta <- clip(beta - rate * <g, d step / d beta>, low, high)

    The derivative is that of the method itself, with the memories as they were before the step, by forward
    differentiation: exact whatever the method does with the coefficient. The inner product is then the derivative of
    the loss at the present params by the last beta. For heavy ball `d step / d beta` is `-learning_rate` times the
    velocity before the last one:

        beta <- clip(beta + rate * learning_rate * <g, velocity before>, low, high)

    The slope scales with the square of the gradients, and `rate` with its inverse: try powers of 10. The loss of a
    single next step is short-sighted; it knows nothing of what a beta does later.

    A rule sees the method that takes it and nothing around that. In a filter such as `mo.trace` the step is its own,
    with learning rate 1; for the step of a whole chain, put the rule into what makes the chain, by `rules.build`.

    With `each_leaf`, every layer finds a beta of its own. In the place of a learning rate below 1 the rule is
    hypergradient descent: `learning_rate <- learning_rate + rate * <g, last direction>`.

    It keeps one array for each leaf, `d step / d beta` in at least float32, and costs one more pass over
    gradients and memories for it, and one inner product.

    Args:
      rate: how fast beta moves, finite and at least 0; at 0 it stays at `start`.
      start: beta at the first two updates, from `low` to `high`; what there is to learn from shows at the third.
      low: the smallest beta, in [0, 1).
      high: the largest beta, in [0, 1).
      each_leaf: whether each leaf has a beta of its own, which follows the slope of its own leaf.

    Returns:
      A rule, for the place of a coefficient.

    Raises:
      TypeError: an argument is no number.
      ValueError: an argument is out of range, or not `low <= start <= high`.

    Examples:
      As long as the gradients agree, more momentum would have been better:

      >>> import jax.numpy as jnp, momentum_optax as mo
      >>> tx = mo.heavy_ball(0.1, beta=mo.rules.hypergradient(rate=0.5, start=0.8))
      >>> state = tx.init(jnp.zeros(()))
      >>> for _ in range(3):
      ...     update, state = tx.update(jnp.ones(()), state)
      ...     print(state.values["beta"])
      0.8
      0.8
      0.85

    References:
      Baydin, Cornish, Martínez Rubio, Schmidt and Wood (2017), "Online Learning Rate Adaptation with Hypergradient
      Descent". https://arxiv.org/abs/1703.04782
      Chandra, Xie, Ragan-Kelley and Meijer (2019), "Gradient Descent: The Ultimate Optimizer".
      https://arxiv.org/abs/1909.13371
    """
    rate = number("rate", rate, coefficient.NON_NEGATIVE)
    start, low, high = number("start", start), number("low", low), number("high", high)
    ordered(low=low, start=start, high=high)
    return _Hypergradient(rate, start, low, high, each_leaf)
