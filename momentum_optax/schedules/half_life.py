"""Betas that say how many tokens they remember, whatever the size of a step."""

import math
from typing import Any

import jax

from .. import _coefficient as coefficient
from .._coefficient import POSITIVE
from .._types import Coefficient, Scalar
from ._values import below_one, floats


def _power(base: Any, exponent: Any) -> Scalar:
    """Of numbers a number, so that a beta that is known stays known; of arrays an array."""
    if isinstance(base, jax.Array) or isinstance(exponent, jax.Array):
        base, exponent = floats(base, exponent)
        return below_one(base**exponent)
    return min(float(base) ** float(exponent), math.nextafter(1.0, 0.0))


def _halving(tokens: Any, tokens_per_step: Any) -> Scalar:
    if isinstance(tokens, jax.Array) or isinstance(tokens_per_step, jax.Array):
        tokens, tokens_per_step = floats(tokens, tokens_per_step)
    return _power(0.5, tokens_per_step / tokens)


def from_half_life(tokens: Coefficient, tokens_per_step: Coefficient) -> Coefficient:
    """The beta under which a gradient's weight is halved after so many tokens.

        beta <- 2^(-tokens_per_step / tokens)

    Args:
      tokens: the half-life, above 0; a number, a schedule or a tree.
      tokens_per_step: tokens (or samples, or bytes) that one update is made from, above 0; a schedule where the batch
        grows during the run.

    Returns:
      A coefficient: a number if both are, an array if one is, a schedule if one is.

    Raises:
      TypeError: an argument is no number, schedule or tree of these.
      ValueError: an argument is out of range.

    Examples:
      A half-life of ten million tokens, with half a million a step:

      >>> from momentum_optax import schedules
      >>> round(schedules.from_half_life(10e6, 0.5e6), 4)
      0.9659

    References:
      Marek, Lotfi, Somasundaram, Wilson and Goldblum (2025), "Small Batch Size Training for Language Models: When
      Vanilla SGD Works, and Why Gradient Accumulation Is Wasteful". https://arxiv.org/abs/2507.07101
    """
    tokens = coefficient.check("tokens", tokens, POSITIVE)
    tokens_per_step = coefficient.check("tokens_per_step", tokens_per_step, POSITIVE)
    return coefficient.combine(_halving, tokens, tokens_per_step)


def rescale_beta(beta: Coefficient, k: Coefficient) -> Coefficient:
    """The beta that forgets in one step as much as the given one in `k` steps.

        beta <- beta^k

    For batches `k` times as large, this keeps the memory the same in tokens.

    Args:
      beta: in [0, 1); a number, a schedule or a tree. A schedule is called with the count of the rescaled run.
      k: how many of the old steps a new one stands for, above 0; a schedule where the batch grows during the run.

    Returns:
      A coefficient: a number if both are, an array if one is, a schedule if one is.

    Raises:
      TypeError: an argument is no number, schedule or tree of these.
      ValueError: an argument is out of range.

    Examples:
      Four times the batch:

      >>> from momentum_optax import schedules
      >>> round(schedules.rescale_beta(0.9, 4), 4)
      0.6561

    References:
      Marek, Lotfi, Somasundaram, Wilson and Goldblum (2025), "Small Batch Size Training for Language Models: When
      Vanilla SGD Works, and Why Gradient Accumulation Is Wasteful". https://arxiv.org/abs/2507.07101
    """
    beta = coefficient.check("beta", beta)
    return coefficient.combine(_power, beta, coefficient.check("k", k, POSITIVE))
