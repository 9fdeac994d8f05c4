"""Steps whose gradient is far larger than usual are left out (after Kumar et al., 2025)."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from .. import _coefficient as coefficient
from .._transformation import extended, increment, transformation, zero_count
from .._types import Scalar
from ._defence import log_norm, select, zeroed


class SkipSpikesState(NamedTuple):
    """State of `skip_spikes`.

    Attributes:
      seen: `()` int32, steps that the statistics are made of; at 0 they begin anew.
      mean: `()` float, average of the logarithm of the gradient's norm.
      variance: `()` float, average of the squared distance to that mean.
      weight: `()` float, how much the steps seen weigh in the averages, 1 minus the product of the decays.
      skipped: `()` int32, steps skipped so far.
      consecutive: `()` int32, how many steps in a row were skipped up to now.
      inner_state: state of the defended transformation.
    """

    seen: jax.Array
    mean: jax.Array
    variance: jax.Array
    weight: jax.Array
    skipped: jax.Array
    consecutive: jax.Array
    inner_state: Any


def skip_spikes(
    tx: optax.GradientTransformation,
    threshold: Scalar = 4.0,
    *,
    decay: Scalar = 0.97,
    warmup: Scalar = 20,
    floor: Scalar = 0.1,
    max_consecutive: Scalar = 5,
) -> optax.GradientTransformationExtraArgs:
    """Skips a step whose gradient norm is an outlier among those of the last steps: the velocity never sees it.

    With `x = log |g|`, the norm over the whole tree, and `mean`, `deviation` of the `x` that were not skipped:

        spike  <- x > mean + threshold * max(deviation, floor)
        update <- 0 if spike else tx's update;  state <- state if spike else tx's next state
        mean, deviation <- averages that forget by `decay`, debiased; a spike does not enter them

    The logarithm is what makes one threshold fit all scales: norms of gradients spread by factors, and their upper tail
    is the longer one. A spike is a factor `exp(threshold * deviation)` above the geometric mean. Small gradients are
    never skipped, and zeros leave the statistics alone.

    When `max_consecutive` steps in a row were skipped, the level has changed for good: the next gradient is taken, and
    the statistics begin anew with it. Gradients that are not finite are always skipped, are in no statistics, and
    never become the new level; `guard_finite` leaves out single leaves.

    All is a select: each lane of a `vmap` skips on its own. Kumar et al. clip instead, and use the norm itself.

    Args:
      tx: what to defend, with all that remembers gradients inside.
      threshold: how many deviations above the mean a spike begins, above 0.
      decay: how much of the statistics survives a step, in [0, 1); 0.97 looks back some 30 steps.
      warmup: how many steps are seen before the first may be skipped.
      floor: the least deviation assumed, at least 0; keeps smooth runs from skipping over trifles.
      max_consecutive: how many steps in a row may be skipped, at least 0.

    Returns:
      A transformation that passes `params` and extra arguments on.

    Raises:
      TypeError: `tx` is no transformation, or another argument not one number.
      ValueError: an argument is out of range.

    References:
      Kumar, Owen, Chowdhury and Güra (2025), "ZClip: Adaptive Spike Mitigation for LLM Pre-Training".
      https://arxiv.org/abs/2504.02507
    """
    sigmas: Any = coefficient.number("threshold", threshold, coefficient.POSITIVE)
    survives: Any = coefficient.number("decay", decay, coefficient.DECAY)
    young: Any = coefficient.number("warmup", warmup, coefficient.NON_NEGATIVE)
    least: Any = coefficient.number("floor", floor, coefficient.NON_NEGATIVE)
    longest: Any = coefficient.number("max_consecutive", max_consecutive, coefficient.NON_NEGATIVE)
    inside = extended(tx)

    def init(params: optax.Params) -> SkipSpikesState:
        mean, variance, weight = (coefficient.stored(0) for _ in range(3))
        return SkipSpikesState(zero_count(), mean, variance, weight, zero_count(), zero_count(), inside.init(params))

    def update(updates, state: SkipSpikesState, params=None, **extra) -> tuple[optax.Updates, SkipSpikesState]:
        x = log_norm(jax.tree.leaves(updates))
        finite, zero = x < jnp.inf, x == -jnp.inf
        deviation = jnp.maximum(jnp.sqrt(state.variance), least)
        outlier = (state.seen >= young) & (state.seen > 0) & (x > state.mean + sigmas * deviation)
        settled = outlier & (state.consecutive >= longest)
        skip = ~finite | (outlier & ~settled)

        tame = zeroed(skip, updates)  # see `guard_finite`
        stepped, inner = inside.update(tame, state.inner_state, params, **extra)
        observed = ~skip & ~zero
        fresh = _observed(state, jnp.where(observed, x, 0), survives, settled)
        state = select(observed, fresh, state)
        return zeroed(skip, stepped), state._replace(
            skipped=jnp.where(skip, increment(state.skipped), state.skipped),
            consecutive=jnp.where(skip, increment(state.consecutive), 0),
            inner_state=select(skip, state.inner_state, inner),
        )

    return transformation(init, update)


def _observed(state: SkipSpikesState, x: Any, decay: Any, anew: Any) -> SkipSpikesState:
    """Weighted mean and variance with one more sample, whose share is 1 when it is the first."""
    seen, mean, variance, weight = (jnp.where(anew, jnp.zeros_like(old), old) for old in state[:4])
    weight = decay * weight + (1 - decay)
    share = (1 - decay) / weight
    change = x - mean
    return state._replace(
        seen=increment(seen),
        mean=(mean + share * change).astype(state.mean.dtype),
        variance=((1 - share) * (variance + share * jnp.square(change))).astype(state.variance.dtype),
        weight=weight.astype(state.weight.dtype),
    )
