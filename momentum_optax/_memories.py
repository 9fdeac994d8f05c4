"""Where a state keeps what it remembers: the only room that knows the fields of states, Optax's among them.

A velocity is found by the name of the field that holds it, however deep its state lies inside chains, masks,
partitions, accumulators and other wrappers. Whoever writes a state with a memory of another name enters it here.
"""

from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from ._paths import joined

Kind = Literal["velocity", "second_moment"]

# By the name of the field, in states of whatever class.
_FIELDS: dict[str, Kind] = {
    "velocity": "velocity",
    "even": "velocity",
    "odd": "velocity",
    "second_moment": "second_moment",
    # Optax
    "trace": "velocity",
    "ema": "velocity",
    "mu": "velocity",
    "m1": "velocity",
    "m2": "velocity",
    "exp_avg": "velocity",
    "nu": "second_moment",
    "nu_max": "second_moment",
    "exp_avg_sq": "second_moment",
}
# By the name of the class, where the names of its fields mean something else.
_CLASSES: dict[str, dict[str, Kind]] = {
    "ScaleByAdanState": {"m": "velocity", "v": "velocity", "n": "second_moment"},
    "ScaleBySimplifiedAdEMAMixState": {"m": "velocity", "n": "second_moment"},
    "ScaleByRStdDevState": {"mu": "second_moment", "nu": "second_moment"},  # mu centres nu
    "ScaleBySM3State": {"mu": "second_moment", "nu": "second_moment"},
}
# States of Optax whose count is what they debias by, and nothing else.
_DEBIASED_BY_COUNT = frozenset({"EmaState", "ScaleByAdamState", "ScaleByBeliefState", "ScaleByAmsgradState"})


class Memory(NamedTuple):
    """One memory in a state: its kind, its path in the state, and its tree, shaped like the params."""

    kind: Kind
    path: str
    tree: Any


def fields(node: Any) -> dict[str, Kind]:
    """The fields of a state that hold a memory; empty for what is no state, or one without."""
    names = getattr(node, "_fields", ())
    known = _CLASSES.get(type(node).__name__, _FIELDS)
    return {name: known[name] for name in names if name in known}


def _is_holder(node: Any) -> bool:
    return bool(fields(node))


def memories(state: Any, kind: Kind = "velocity") -> Iterator[Memory]:
    """The memories of a kind, wherever they are in the state of any optimizer."""
    for path, node in jax.tree_util.tree_flatten_with_path(state, is_leaf=_is_holder)[0]:
        for name, of in fields(node).items():
            if of == kind:
                yield Memory(kind, "/".join(filter(None, (joined(path), name))), getattr(node, name))


def map_holders(function: Callable[[Any], Any], state: Any) -> Any:
    """The state in which every state that holds a memory is replaced by a function of it."""
    return jax.tree.map(lambda node: function(node) if _is_holder(node) else node, state, is_leaf=_is_holder)


def fade(state: Any, when: Any = True, keep: Any = 0.0, *, second_moments: bool = False, counts: bool = False) -> Any:
    """The state with its velocities multiplied by `keep` where `when` is true: at 0 they begin anew.

    The weights by which averages are debiased are multiplied too, so that an average which has lost its past is that of
    the gradients to come. A select and no branch: it costs the same in either case, also under `vmap`.

    Args:
      state: of any optimizer.
      when: `()` bool.
      keep: how much of the velocities stays, `()`, in [0, 1].
      second_moments: whether second moments fade, too.
      counts: whether a count that stands beside a velocity begins anew, and with it the schedules of that velocity's
        coefficients. (A count that only serves for debiasing always does, when nothing else hangs on it.)
    """
    kinds = {"velocity", "second_moment"} if second_moments else {"velocity"}

    def leaf(x):
        # A product would let an infinite velocity survive as NaN.
        kept = jnp.where(keep == 0, jnp.zeros_like(x), (x * keep).astype(x.dtype))
        return jnp.where(when, kept, x)

    def holder(node):
        held = fields(node)
        faded = [name for name, kind in held.items() if kind in kinds]
        if not faded:
            return node
        new = {name: jax.tree.map(leaf, getattr(node, name)) for name in faded}
        if "weight" in node._fields:
            new["weight"] = jax.tree.map(leaf, node.weight)
        begins_anew = counts or (type(node).__name__ in _DEBIASED_BY_COUNT and "weight" not in node._fields)
        if begins_anew and "count" in node._fields and len(faded) == len(held):
            new["count"] = jnp.where(jnp.logical_and(when, keep == 0), jnp.zeros_like(node.count), node.count)
        return node._replace(**new)

    return map_holders(holder, state)
