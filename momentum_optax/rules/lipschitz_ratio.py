"""Beta from how fast the gradient changes (Sun et al., 2021)."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .. import _leafwise as leafwise
from .._rule import Rule, Seen, norm, ratio
from .._types import Scalar
from ..schedules._values import below_one
from ._numbers import FACTOR, number


class LipschitzRatioState(NamedTuple):
    """State of `lipschitz_ratio`.

    Attributes:
      step: `()`, the norm of the last step, 0 before the first.
    """

    step: jax.Array


class _LipschitzRatio(Rule):
    needs_learning_rate = True
    keeps = "gradients"
    start = {"beta": 0.0}  # noqa: RUF012

    def __init__(self, delta: Any, each_leaf: bool):
        self.delta, self.each_leaf = delta, each_leaf

    def __repr__(self) -> str:
        return f"rules.lipschitz_ratio(delta={self.delta})"

    def init(self) -> LipschitzRatioState:
        return LipschitzRatioState(jnp.zeros(()))

    def decide(self, state: LipschitzRatioState, seen: Seen):
        columns = zip(seen.learning_rates or [], seen.gradients, seen.kept or [], strict=True)
        curvature = ratio(norm([lr * (g - before) for lr, g, before in columns]), state.step, 1.0)
        beta = jnp.clip((1 - leafwise.root(curvature)) ** 2, 0, 1 - self.delta)
        return {"beta": below_one(beta)}, state

    def learn(self, state: LipschitzRatioState, steps: list[jax.Array]) -> LipschitzRatioState:
        del state
        return LipschitzRatioState(norm(steps))


def lipschitz_ratio(delta: Scalar = 1e-3, *, each_leaf: bool = False) -> Rule:
    """Beta that would be the best one for a quadratic with the curvature seen along the last step.

    With gradient `g`, and `step` what the last update added to the params (of `nesterov_lookahead`, to the point ahead
    of them at which the gradient is taken):

        beta <- clip((1 - sqrt(learning_rate * |g - g_before| / |step|))^2, 0, 1 - delta)

    For a quadratic, `(1 - sqrt(learning_rate * h))^2` is the beta at which heavy ball goes down a direction of
    curvature `h` fastest, without swinging. The ratio lies between the smallest and the largest curvature, and comes
    near the smallest when only that direction is left; then beta is the best for this learning rate. With noise in the
    gradients the ratio is too large.

    At the first update, and after a step of 0, there is nothing to see and beta is 0. Where the square root is above
    1, beta grows again. Where leaves have learning rates of their own, each change of gradient is multiplied by its
    own. `step` is what the method makes, weight decay included; what is chained behind it is not seen.

    It keeps one array for each leaf, the last gradient in at least float32, and costs two passes for two norms.

    Args:
      delta: how far beta stays below 1, in (0, 1).
      each_leaf: whether each leaf has a beta of its own, from the curvature along its own step.

    Returns:
      A rule, for the place of a coefficient of an optimizer that takes a learning rate.

    Raises:
      TypeError: `delta` is no number; or, where the rule is used, there is no learning rate.
      ValueError: `delta` is out of range.

    Examples:
      The loss `x^2 / 2` has curvature 1, for which the best beta at learning rate 0.04 is `(1 - 0.2)^2`:

      >>> import jax.numpy as jnp, momentum_optax as mo
      >>> tx = mo.heavy_ball(0.04, beta=mo.rules.lipschitz_ratio())
      >>> x = jnp.ones(())
      >>> state = tx.init(x)
      >>> for _ in range(2):
      ...     update, state = tx.update(x, state)
      ...     x = x + update
      >>> print(f'{state.values["beta"]:.3f}')
      0.640

    References:
      Sun, Ling, Shi, Li and Wang (2021), "Training Deep Neural Networks with Adaptive Momentum Inspired by the
      Quadratic Optimization". https://arxiv.org/abs/2110.09057
    """
    return _LipschitzRatio(number("delta", delta, FACTOR), each_leaf)
