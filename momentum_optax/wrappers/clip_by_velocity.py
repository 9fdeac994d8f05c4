"""Gradients are held to the size that the velocity makes one expect (after Beltagy, 2023)."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from .. import _coefficient as coefficient
from .. import _grouping as grouping
from .. import _leafwise as leafwise
from .._memories import velocities
from .._paths import paths
from .._transformation import extended, increment, transformation, zero_count
from .._types import Coefficient, Scalar
from ..surgery._choice import check_found
from ._defence import log_norm


class ClipByVelocityState(NamedTuple):
    """State of `clip_by_velocity`.

    Attributes:
      count: `()` int32, updates so far.
      usual: `()` float for each leaf, or for all: average of the logarithm of `|g| / |velocity|`.
      weight: `()` float beside each `usual`: how much the steps so far weigh in it.
      inner_state: state of the defended transformation.
    """

    count: jax.Array
    usual: Any
    weight: Any
    inner_state: Any


def clip_by_velocity(
    tx: optax.GradientTransformation, ratio: Coefficient = 3.0, *, per_leaf: bool = True, decay: Scalar = 0.97
) -> optax.GradientTransformationExtraArgs:
    """Scales a gradient down that is more than `ratio` times as large as the velocity makes one expect.

    With `velocity` as it is before the step, and norms over a leaf (or over the whole tree):

        expected <- usual * |velocity|
        g        <- g * min(1, ratio * expected / |g|)
        usual    <- average, geometric, of |g| / |velocity|, with g as clipped

    `usual` is measured, so that the same `ratio` means the same for every convention: a sum of gradients is
    `1 / (1 - beta)` times as large as their average, a velocity may hold the learning rate or the sign of the step, and
    the noisier the gradients, the more of them cancel in it. Averaging g as clipped keeps a spike from raising its own
    limit; a lasting change of level is followed, by a factor of up to `ratio` or so a step.

    A gradient passes unclipped where there is nothing to compare it with: at the first two steps, where the velocity is
    all 0, and where none is kept. NaN and infinity pass, too: see `guard_finite`. The velocity of a leaf with several
    is their joint norm.

    Args:
      tx: an optimizer or filter with a velocity; Optax's, too.
      ratio: how many times the expected size a gradient may have, above 0; per leaf it may be a tree.
      per_leaf: whether every leaf is held to its own velocity: spikes begin in single leaves. Otherwise one factor is
        for the whole tree and keeps the direction of the gradient.
      decay: how much of `usual` survives a step, in [0, 1).

    Returns:
      A transformation that passes `params` and extra arguments on.

    Raises:
      TypeError: `tx` is no transformation, `ratio` no number, schedule or tree of these, or `decay` not one number.
      ValueError: one is out of range; or (at init) the tree of `ratio` does not fit the params, or is given for the
        whole tree; or the state of `tx` has no velocity.

    References:
      Beltagy (2023), "per-parameter gradient clipping if it x% larger than exp_avg".
      https://github.com/allenai/OLMo/issues/266
      Wang et al. (2025), "AdaGC: Enhancing LLM Pretraining Stability via Adaptive Gradient Clipping", which compares
      with an average of norms instead of a velocity. https://arxiv.org/abs/2502.11034
    """
    ratio = coefficient.check("ratio", ratio, coefficient.POSITIVE)
    decay = coefficient.number("decay", decay, coefficient.DECAY)
    inside = extended(tx)

    def init(params: optax.Params) -> ClipByVelocityState:
        if not per_leaf and not coefficient.is_single(ratio):
            raise ValueError(f"ratio must be one number or schedule with per_leaf=False; got {ratio!r}.")
        grouping.fit("ratio", ratio, params)
        inner = inside.init(params)
        check_found(inner, name="tx")
        usual, weight = (
            jax.tree.map(lambda _: coefficient.stored(0), params) if per_leaf else coefficient.stored(0)
            for _ in range(2)
        )
        return ClipByVelocityState(zero_count(), usual, weight, inner)

    def update(updates, state: ClipByVelocityState, params=None, **extra) -> tuple[optax.Updates, ClipByVelocityState]:
        leaves, structure = jax.tree.flatten(updates, is_leaf=grouping.is_none)
        known = velocities(state.inner_state)
        beside = [known.get(path, []) for path in paths(updates, is_leaf=grouping.is_none)]
        limits = coefficient.at(ratio, state.count)
        here = [g is not None and bool(v) for g, v in zip(leaves, beside, strict=True)]

        def moved(old, gradients, velocity, most):
            factor, usual, weight = _limited(log_norm(gradients) - log_norm(velocity), old, most, decay)
            return factor, usual.astype(old[0].dtype), weight.astype(old[1].dtype)

        if per_leaf:
            old = zip(structure.flatten_up_to(state.usual), structure.flatten_up_to(state.weight), strict=True)
            columns = zip(old, leaves, beside, grouping.spread(limits, updates), here, strict=True)
            rows = [moved(pair, [g], v, r) if there else (1.0, *pair) for pair, g, v, r, there in columns]
            factors = [row[0] for row in rows]
            usual, weight = (structure.unflatten(row[i] for row in rows) for i in (1, 2))
        else:
            gradients = [g for g, there in zip(leaves, here, strict=True) if there]
            velocity = [x for v, there in zip(beside, here, strict=True) if there for x in v]
            factor, usual, weight = moved((state.usual, state.weight), gradients, velocity, limits)
            factors = [factor if there else 1.0 for there in here]

        clipped = [
            leafwise.narrow(leafwise.widen(g) * f, jnp.result_type(g)) if there else g
            for g, f, there in zip(leaves, factors, here, strict=True)
        ]
        updates, inner = inside.update(structure.unflatten(clipped), state.inner_state, params, **extra)
        return updates, ClipByVelocityState(increment(state.count), usual, weight, inner)

    return transformation(init, update)


def _limited(x: Any, old: tuple[Any, Any], ratio: Any, decay: Any) -> tuple[Any, Any, Any]:
    """The factor for a gradient with `x = log(|g| / |velocity|)`, and the average and its weight with it."""
    usual, weight = old
    known = jnp.isfinite(x)
    x = jnp.where(known, x, usual)
    most = usual + jnp.log(ratio)
    over = known & (weight > 0) & (x > most)
    factor = jnp.where(over, jnp.exp(jnp.where(over, most - x, 0)), 1)
    new = decay * weight + (1 - decay)
    average = usual + (1 - decay) / new * (jnp.where(over, most, x) - usual)
    return factor, jnp.where(known, average, usual), jnp.where(known, new, weight)
