"""How a wrapped transformation begins anew, the same for every reason to."""

import operator
from typing import Any

import jax
import jax.numpy as jnp
import optax

from .. import _evaluation as evaluation
from .. import _leafwise as leafwise
from .. import _memories as memories
from ..surgery._choice import check_found


def start(tx: optax.GradientTransformation, params: optax.Params) -> Any:
    """The state of the inner transformation; a ValueError if there is nothing in it to restart."""
    state = tx.init(params)
    check_found(state, name="tx")
    return state


def _widened(params: optax.Params | None) -> optax.Params:
    if params is None:
        raise ValueError(
            "a restart of a method whose params are ahead of its answer needs the params: call "
            "update(updates, state, params)."
        )
    return jax.tree.map(leafwise.widen, params)


def moved(updates: optax.Updates, old: Any, new: Any, params: optax.Params | None) -> optax.Updates:
    """How far an update moves the answer (see `eval_params`), not the params that are ahead of it."""
    if not evaluation.holds(evaluation.TrainsElsewhere, new):
        return updates
    wide = _widened(params)
    reached = leafwise.apply(operator.add, wide, updates)
    ends = evaluation.eval_params(new, reached), evaluation.eval_params(old, wide)
    return leafwise.emit(lambda _, end, begin: end - begin, leafwise.widen_tree(updates), ends)


def settle(
    fire: Any,
    updates: optax.Updates,
    state: Any,
    params: optax.Params | None,
    keep: Any,
    *,
    second_moments: bool,
    counts: bool,
) -> tuple[optax.Updates, Any]:
    """Where `fire`, fades the state after its step, and brings params that are ahead back to the answer."""
    faded = memories.fade(state, fire, keep, second_moments=second_moments, counts=counts)
    if not evaluation.holds(evaluation.TrainsElsewhere, state):
        return updates, faded
    reached = leafwise.apply(operator.add, _widened(params), updates)
    ends = evaluation.eval_params(state, reached), evaluation.eval_params(faded, reached)
    return leafwise.emit(lambda u, a, b: u + jnp.where(fire, a - b, jnp.zeros_like(a)), updates, ends), faded
