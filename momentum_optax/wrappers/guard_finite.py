"""Steps whose gradient is not finite are left out."""

import functools
import operator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from .. import _grouping as grouping
from .. import _sums as sums
from .._paths import paths
from .._transformation import extended, increment, transformation, zero_count
from .._two_point import given
from .._types import Scalar
from ._defence import limit, map_owned, select, zeroed


class GuardFiniteState(NamedTuple):
    """State of `guard_finite`.

    Attributes:
      total_notfinite: `()` int32, steps so far in which anything was not finite.
      consecutive: `()` int32, how many such steps came in a row up to now; 0 after a finite step.
      inner_state: state of the guarded transformation.
    """

    total_notfinite: jax.Array
    consecutive: jax.Array
    inner_state: Any


def guard_finite(
    tx: optax.GradientTransformation,
    *,
    per_leaf: bool = False,
    check_value: bool = False,
    max_consecutive: Scalar | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Lets a gradient that is not finite pass by: no update, and the velocity stays what it was.

        bad   <- any entry of g (or of `previous_gradient`, if there is one) is NaN or infinite
        state <- state      if bad else tx's next state
        update <- 0         if bad else tx's update

    With `per_leaf` only the leaves with such an entry sit out: they are not moved and keep what the state remembers
    about them, and the rest goes on, counts and debiasing weights included, as when a gradient is missing. When all
    leaves are bad, nothing moves.

    All is a select: each lane of a `vmap` is guarded on its own.

    Args:
      tx: what to guard, with all that remembers gradients inside.
      per_leaf: whether the leaves are guarded one by one.
      check_value: whether a loss that is not finite makes the whole step bad, too; `update` then needs `value=`.
      max_consecutive: after so many bad steps in a row the next ones go through, as in `optax.apply_if_finite`, so that
        a run that is lost shows it, until a step is finite. `None`: never.

    Returns:
      A transformation that passes `params` and extra arguments on. The updates are finite when those of `tx` are on
      finite gradients.

    Raises:
      TypeError: `tx` is no transformation, or `max_consecutive` no number.
      ValueError: `max_consecutive` is negative; or (at `update`) `value` is missing.

    Examples:
      The second gradient leaves no trace:

      >>> import jax.numpy as jnp, momentum_optax as mo
      >>> tx = mo.wrappers.guard_finite(mo.heavy_ball(1.0, 0.5))
      >>> state = tx.init(jnp.zeros(()))
      >>> for g in (1.0, jnp.nan, 1.0):
      ...     update, state = tx.update(jnp.asarray(g), state)
      ...     print(update, state.consecutive)
      -1.0 0
      0.0 1
      -1.5 0

    References:
      Optax, `optax.apply_if_finite`.
      https://optax.readthedocs.io/en/latest/api/transformations.html#optax.apply_if_finite
    """
    most = limit("max_consecutive", max_consecutive)
    inside = extended(tx)

    def init(params: optax.Params) -> GuardFiniteState:
        return GuardFiniteState(zero_count(), zero_count(), inside.init(params))

    def update(updates, state: GuardFiniteState, params=None, **extra) -> tuple[optax.Updates, GuardFiniteState]:
        leaves, structure = jax.tree.flatten(updates, is_leaf=grouping.is_none)
        previous = extra.get("previous_gradient")
        before = leaves if previous is None else structure.flatten_up_to(given(previous, updates, "guard_finite"))
        broken = [
            jnp.bool_(False) if g is None else sums.count(~jnp.isfinite(g) | ~jnp.isfinite(p)) > 0
            for g, p in zip(leaves, before, strict=True)
        ]
        found = functools.reduce(operator.or_, broken, jnp.bool_(False))
        lost = jnp.bool_(False)
        if check_value:
            if extra.get("value") is None:
                raise ValueError("guard_finite(check_value=True) needs the loss: call update(..., value=loss).")
            lost = ~jnp.all(jnp.isfinite(extra["value"]))

        consecutive = jnp.where(found | lost, increment(state.consecutive), 0)
        guards = jnp.bool_(True) if most is None else consecutive <= most
        present = [bad for bad, g in zip(broken, leaves, strict=True) if g is not None]
        if per_leaf and present:
            whole = lost | functools.reduce(operator.and_, present)
            out = [guards & (bad | whole) for bad in broken]
        else:
            whole = found | lost
            out = [guards & whole] * len(leaves)

        # Zeros go in where nothing is to come out: a derivative through NaN would be NaN behind any select.
        tame = [g if g is None else zeroed(sits, g) for g, sits in zip(leaves, out, strict=True)]
        if previous is not None:
            beside = [p if p is None else zeroed(sits, p) for p, sits in zip(before, out, strict=True)]
            extra["previous_gradient"] = structure.unflatten(beside)
        stepped, inner = inside.update(structure.unflatten(tame), state.inner_state, params, **extra)
        flat = structure.flatten_up_to(stepped)
        updates = structure.unflatten(u if u is None else zeroed(s, u) for u, s in zip(flat, out, strict=True))
        if per_leaf:
            sits = dict(zip(paths(structure.unflatten(out)), out, strict=True))
            inner = map_owned(
                inside,
                lambda path, new, old: jnp.where(sits.get(path, False), old, new),
                inner,
                state.inner_state,
                lambda new, _: new,
            )
        inner = select(guards & whole, state.inner_state, inner)
        total = jnp.where(found | lost, increment(state.total_notfinite), state.total_notfinite)
        return updates, GuardFiniteState(total, consecutive, inner)

    return transformation(init, update)
