"""What `track` has found, as a flat dict."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import optax

from .. import _paths as names
from . import _measures as measuring
from .track import TrackState

# Counters by the names of their fields; the last is that of `optax.apply_if_finite`.
_COUNTERS = {"restarts": ("restarts",), "skipped": ("skipped", "total_notfinite")}


def metrics(state: optax.OptState) -> dict[str, jax.Array]:
    """What `track` knows about a run, ready for any logger.

    The keys are those of `track`, behind `group/` where it has groups, and are the same at every step. Beside them are
    `restarts` and `skipped`: how many restarts and skipped steps were counted, by whatever counts them in the state;
    of counters for each leaf, the largest.

    Args:
      state: of any optimizer with `track` in it, or around it. With several, the keys begin with the path to each.

    Returns:
      Arrays of shape `()` by name; of a state with a leading axis of lanes, arrays with that axis.

    Raises:
      ValueError: there is no `track` in the state.
    """
    tracked = list(_find(state))
    if not tracked:
        raise ValueError(
            f"state must be that of an optimizer with `track` around it, or around a part of it; got "
            f"{type(state).__name__}, in which there is no TrackState."
        )
    found: dict[str, jax.Array] = {}
    for path, node in tracked:
        for group, measures in node.measures.items():
            place = [path, group] if len(tracked) > 1 else [group]
            found |= {"/".join(filter(None, [*place, key])): value for key, value in measuring.report(measures).items()}
    like = next(iter(found.values()))
    for key, fields in _COUNTERS.items():
        found[key] = _count(state, fields, like)
    return found


def _find(state: Any, at: str = "") -> Iterator[tuple[str, TrackState]]:
    """The states of `track` with their paths, also one inside another."""
    for path, node in jax.tree_util.tree_flatten_with_path(state, is_leaf=lambda x: isinstance(x, TrackState))[0]:
        if isinstance(node, TrackState):
            where = "/".join(filter(None, (at, names.joined(path))))
            yield where, node
            yield from _find(node.inner_state, "/".join(filter(None, (where, "inner_state"))))


def _count(state: Any, fields: tuple[str, ...], like: jax.Array) -> jax.Array:
    """The sum of all counters under these names; what is counted for each leaf counts once."""
    total = jnp.zeros(like.shape, jnp.int32)
    for value in _counters(state, fields):
        leaves = [jnp.asarray(x, jnp.int32).reshape(*like.shape, -1) for x in jax.tree.leaves(value)]
        if leaves:
            total += jnp.max(jnp.concatenate(leaves, axis=-1), axis=-1)
    return total


def _counters(node: Any, fields: tuple[str, ...]) -> Iterator[Any]:
    """The values of all fields with these names, in states of any class."""
    own = getattr(node, "_fields", ())
    yield from (getattr(node, name) for name in own if name in fields)
    children = jax.tree_util.tree_flatten(node, is_leaf=lambda x: x is not node)[0]
    if own:
        children = [getattr(node, name) for name in own if name not in fields]
    for child in children:
        if child is not node:
            yield from _counters(child, fields)
