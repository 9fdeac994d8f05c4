"""Watching a run from inside: what gradient, velocity and update do, at the cost of two passes over them."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from .. import _coefficient as coefficient
from .. import _grouping as grouping
from .. import _leafwise as leafwise
from .. import _memories as memory
from .. import _paths as names
from .._transformation import extended, transformation
from .._types import Scalar
from . import _measures as measuring
from ._products import bundles, join, totals

_REST = "rest"


class TrackState(NamedTuple):
    """State of `track`.

    Attributes:
      inner_state: of the transformation that is watched.
      measures: `(18,)` for each group of leaves, by name; for the whole tree under the empty name. Read by `metrics`.
    """

    inner_state: Any
    measures: dict[str, jax.Array]


def track(
    tx: optax.GradientTransformation,
    *,
    groups: Mapping[str, names.Pattern] | Sequence[names.Pattern] | None = None,
    decay: Scalar = 0.98,
) -> optax.GradientTransformationExtraArgs:
    """Watches a transformation: the updates are its own, and `metrics(state)` says how the run goes.

    With gradient `g` (what comes in), update `u` (what goes out), params `p`, velocity `w` before the step and `v`
    after it, inner products `<a, b>` over all leaves of a group, and `mean` an average that fades by `decay`:

        gradient_norm, velocity_norm, update_norm, param_norm <- |g|, |v|, |u|, |p|     (of the last step)
        update_ratio            <- sqrt(mean(|u|^2) / mean(|p|^2))
        cosine                  <- mean(sign * <g, w> / (|g| |w|))
        effective_learning_rate <- mean(-<u, g>) / mean(|g|^2)
        effective_horizon       <- mean(a^2) / mean((1 - beta) * a^2),  beta = |v across g| / |w across g|
        sign_flips              <- mean(angle(v, w)) / pi
        gradient_growth         <- the factor by which |g| grows at each step

    `v` is the sum of all velocities in the state that are shaped like the params. Where a velocity is
    `beta * w + c * g` (`trace`, `ema`, `nesterov`, Adam's), these hold exactly:

    *Horizon.* Across the gradient, `x across g = x - <x, g> / <g, g> g`, the velocity is `beta * w`, so that `beta` is
    a ratio of two norms, and the horizon `1 / (1 - beta)`. `a^2 = 1 - cos(g, w)^2` weighs the steps by how much they
    tell; none does where gradient and velocity are parallel, as in one dimension, and the horizon is NaN: not known.
    Without a velocity it is 1. One that never changes has an infinite horizon, as an average in bfloat16 that is stuck.
    With several betas in a group it is a mean.

    *Sign.* `sign` is that of `c`: 1 where a velocity sums up gradients and -1 where it sums up steps (`nesterov`), so
    that a positive `cosine` always says that the gradient asks for more of the same. It is 0 for noise, and on average
    below 0 where nothing is gained any more.

    *Flips.* The angle between two velocities, in half turns, is the share of directions, of all that there are, along
    which the velocity changed its sign (Goemans and Williamson); in one dimension 0 or 1. No old velocity is kept.

    *Effective learning rate.* Gradient descent with it would go as far along `-g`, so that `mean(-<u, g>)` is what a
    step gains to first order. Heavy ball has `learning_rate` for noise, `learning_rate / (1 - beta)` for a constant
    gradient. Wrap the whole optimizer: a part without the learning rate goes uphill.

    *Growth.* The trend of `log |g|` by Brown's double smoothing, `(1 - decay) / decay * (s - mean(s))`, with
    `s = mean(log |g|)`.

    Steps whose gradient is 0 or not finite (or whose squares are not) are in the norms but not in the averages. A leaf
    whose gradient is `None` is left out. Derivatives do not flow through what is measured. The updates are computed by
    the same operations; a compiler that sees more than the update may round a multiply-add once instead of twice.

    Args:
      tx: any transformation.
      groups: what to measure apart: a mapping from names to patterns of paths (globs such as `encoder/*`, or compiled
        regular expressions), or a sequence of patterns, which then are the names. What no pattern names is in the group
        `rest`. `None` measures the whole tree.
      decay: how much of the averages survives a step, in [0, 1); they look back over `1 / (1 - decay)` steps.

    Returns:
      A transformation with the state of `tx` and a few numbers for each group. It passes everything on to `tx`.

    Raises:
      TypeError: `tx` is no transformation, `decay` no number, or a pattern neither a string nor a regular expression.
      ValueError: `decay` is out of range; (at init) a group matches no leaf, or a leaf is in two groups.

    Examples:
      The learning rate is past half of the stable one, and the velocity turns back at every step:

      >>> import jax.numpy as jnp, momentum_optax as mo
      >>> tx = mo.track(mo.heavy_ball(1.8, beta=0.1))
      >>> params = jnp.ones(3)
      >>> state = tx.init(params)
      >>> for _ in range(20):
      ...     updates, state = tx.update(params, state, params)  # the gradient of |params|^2 / 2
      ...     params = params + updates
      >>> found = mo.metrics(state)
      >>> print(f"{found['sign_flips']:.2f}", mo.oscillating(found), mo.diverging(found))
      1.00 True False

    References:
      Goemans and Williamson (1995), "Improved Approximation Algorithms for Maximum Cut and Satisfiability Problems
      Using Semidefinite Programming". https://doi.org/10.1145/227683.227684
      Brown (1963), "Smoothing, Forecasting and Prediction of Discrete Time Series".
    """
    inner = extended(tx)
    patterns = _patterns(groups)
    decay = coefficient.number("decay", decay)

    def init(params: optax.Params) -> TrackState:
        leaves = jax.tree.leaves(names.pure(params), is_leaf=grouping.is_absent)
        _members(patterns, names.paths(params, is_leaf=grouping.is_absent), list(map(grouping.is_absent, leaves)))
        keys = [""] if patterns is None else [*patterns, _REST]
        return TrackState(inner.init(params), {key: measuring.start() for key in keys})

    def update(updates, state: TrackState, params=None, **extra) -> tuple[optax.Updates, TrackState]:
        paths = names.paths(updates, is_leaf=grouping.is_none)
        gradients, structure = jax.tree.flatten(updates, is_leaf=grouping.is_none)
        points = [None] * len(gradients) if params is None else structure.flatten_up_to(params)
        parts = [
            (key, own)
            for key, leaves in _members(patterns, paths, [True] * len(paths)).items()
            for own in bundles(gradients, leaves)
        ]

        before = _velocities(state.inner_state, gradients, paths)
        old = [join(own, gradients, before) for _, own in parts]
        # The velocity of a large leaf is read before the new one is written, which may then take its place; that of
        # joined leaves is a copy.
        begun = [
            [] if len(own) > 1 else totals((w, gradients[own[0]]), (w, w))
            for (_, own), (w,) in zip(parts, old, strict=True)
        ]
        new_updates, inner_state = inner.update(updates, state.inner_state, params, **extra)
        after = _velocities(inner_state, gradients, paths)
        emitted = jax.tree.leaves(new_updates, is_leaf=grouping.is_none)
        products: dict[str, list[list[jax.Array]]] = {key: [] for key, _ in parts}
        for (key, own), (w,), row in zip(parts, old, begun, strict=True):
            g, v, u, p = join(own, gradients, gradients, after, emitted, points)
            known = [(g, g), (v, g), (v, v), (u, g), (u, u), (p, p)]
            products[key].append(totals((w, g), (w, w), *known) if len(own) > 1 else row + totals(*known))
        measures = state.measures | {
            key: measuring.advance(state.measures[key], measuring.Products(*map(sum, zip(*rows, strict=True))), decay)
            for key, rows in products.items()
        }
        return new_updates, TrackState(inner_state, measures)

    return transformation(init, update)


def _patterns(groups: Any) -> dict[str, names.Pattern] | None:
    """The pattern of each group, by name."""
    if groups is None:
        return None
    if isinstance(groups, str | re.Pattern) or not isinstance(groups, Mapping | Sequence):
        raise TypeError(f"groups must be a mapping from names to patterns, or a sequence of patterns; got {groups!r}.")
    if not isinstance(groups, Mapping):
        groups = {getattr(pattern, "pattern", pattern): pattern for pattern in groups}
    for name, pattern in groups.items():
        names.check_pattern(f"groups[{name!r}]", pattern)
    if _REST in groups:
        raise ValueError(f"groups must not use the name {_REST!r}, which is that of the leaves in no group.")
    return dict(groups)


def _members(patterns: dict[str, names.Pattern] | None, paths: list[str], absent: list[bool]) -> dict[str, list[int]]:
    """The numbers of the leaves in each group."""
    if patterns is None:
        return {"": list(range(len(paths)))}
    members: dict[str, list[int]] = {name: [] for name in (*patterns, _REST)}
    found = names.assign("groups", list(patterns.values()), paths, absent, default=True)
    for i, number in enumerate(found):
        members[[*members][number]].append(i)
    return members


def _velocities(state: Any, gradients: list[Any], paths: list[str]) -> list[Any]:
    """The sum of all velocities in a state for each gradient; None where there is none."""
    found = memory.velocities(state)

    def of(g, path):
        own = [] if g is None else [v for v in found.get(path, ()) if v.shape == jnp.shape(g)]
        return sum(map(leafwise.widen, own[1:]), leafwise.widen(own[0])) if own else None

    return [of(g, path) for g, path in zip(gradients, paths, strict=True)]
