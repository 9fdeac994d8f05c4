"""Where a state keeps what it remembers: the only room that knows the fields of states, Optax's among them.

A velocity is found by the name of the field that holds it, however deep its state lies inside chains, masks,
partitions, accumulators and other wrappers. Whoever writes a state with a memory of another name enters it here.
"""

from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from ._paths import joined, paths, pure

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
    "sum_of_squares": "second_moment",
    "maximum": "second_moment",
    "mean": "second_moment",  # centres the second moment beside it
    "e_g": "second_moment",
    "e_x": "second_moment",
}
# By the name of the class, where the names of its fields mean something else.
_CLASSES: dict[str, dict[str, Kind]] = {
    "MsvagState": {"velocity": "velocity"},
    "RootFactoredState": {"rows": "second_moment", "columns": "second_moment", "second_moment": "second_moment"},
    "FactoredState": {"v_row": "second_moment", "v_col": "second_moment", "v": "second_moment"},
    "ScaleByAdanState": {"m": "velocity", "v": "velocity", "n": "second_moment"},
    "ScaleBySimplifiedAdEMAMixState": {"m": "velocity", "n": "second_moment"},
    "ScaleByRStdDevState": {"mu": "second_moment", "nu": "second_moment"},  # mu centres nu
    "ScaleByRStdDevWithCountState": {"mu": "second_moment", "nu": "second_moment"},
    "ScaleBySM3State": {"mu": "second_moment", "nu": "velocity"},
}
# What is no memory, but means nothing without the memory of a kind beside it, and begins anew with it.
_BESIDE: dict[str, dict[str, Kind]] = {
    "PolyakHeavyBallState": {"gradient": "velocity"},
    "MsvagState": {"second_moment": "velocity", "norm": "velocity"},  # of the average that shrinks the velocity
    "MomoState": {"barf": "velocity", "gamma": "velocity"},
    "MomoAdamState": {"barf": "velocity", "gamma": "velocity"},
    "DAdaptAdamWState": {"grad_sum": "second_moment", "numerator_weighted": "second_moment"},
}
# States whose memories are copies, or averages of measurements that are only looked at.
_COPIES = "SlowVelocitiesState"
_APART = frozenset({_COPIES, "MonitorState"})
# What counts the updates of the memories beside it.
_CLOCKS = frozenset({"count", "t", "count_m2", "phase"})
# States of Optax whose clocks are what they debias by, and nothing else.
_DEBIASED_BY_COUNT = frozenset(
    {
        "EmaState",
        "FactoredState",
        "MuonState",
        "ScaleByAdamState",
        "ScaleByAdanState",
        "ScaleByAdemamixState",
        "ScaleByAmsgradState",
        "ScaleByBeliefState",
        "ScaleByNovogradState",
        "ScaleByRStdDevWithCountState",
        "ScaleByRmsWithCountState",
        "ScaleBySimplifiedAdEMAMixState",
        "SophiaState",
    }
)


class Memory(NamedTuple):
    """One memory in a state: its kind, its path in the state, its tree, shaped like the params, and its state."""

    kind: Kind
    path: str
    tree: Any
    holder: Any


def fields(node: Any) -> dict[str, Kind]:
    """The fields of a state that hold a memory; empty for what is no state, or one without.

    The name of its class says whether it is one: params may be tuples with names, too, such as `mu` and `logvar`.
    """
    kind = type(node).__name__
    names = getattr(node, "_fields", ()) if kind.endswith("State") else ()
    known = _CLASSES.get(kind, _FIELDS)
    return {name: known[name] for name in names if name in known}


def is_debiased_by_count(node: Any) -> bool:
    """Whether a state with a memory takes the weight of its averages from its count, as Optax's do."""
    return type(node).__name__ in _DEBIASED_BY_COUNT and "weight" not in node._fields


def beside(node: Any) -> dict[str, Kind]:
    """The fields of a state that begin anew with a memory of a kind, such as the weight that debiases an average."""
    kinds = list(fields(node).values())
    weight: dict[str, Kind] = {}
    if kinds and "weight" in node._fields:
        weight["weight"] = "velocity" if "velocity" in kinds else kinds[0]
    return weight | _BESIDE.get(type(node).__name__, {})


def _is_holder(node: Any) -> bool:
    return bool(fields(node))


def _is_holder_or_apart(node: Any) -> bool:
    return _is_holder(node) or type(node).__name__ in _APART


def _is_end(node: Any) -> bool:
    return _is_holder_or_apart(node) and type(node).__name__ != _COPIES


def _is_placeholder(node: Any) -> bool:
    # A leaf, or a branch, that is masked out or has no memory.
    return isinstance(node, tuple) and getattr(node, "_fields", None) == ()


def memories(state: Any, kind: Kind = "velocity") -> Iterator[Memory]:
    """The memories of a kind, wherever they are in the state of any optimizer."""
    for path, node in jax.tree_util.tree_flatten_with_path(state, is_leaf=_is_holder_or_apart)[0]:
        for name, of in fields(node).items():
            if of == kind:
                yield Memory(kind, "/".join(filter(None, (joined(path), name))), getattr(node, name), node)


def velocities(state: Any) -> dict[str, list[jax.Array]]:
    """All velocities of each leaf, by the path of its param."""
    found: dict[str, list[jax.Array]] = {}
    for memory in memories(state):
        for path, leaf in leaves(pure(memory.tree)).items():
            found.setdefault(path, []).append(leaf)
    return found


def leaves(memory: Any) -> dict[str, Any]:
    """The arrays of a memory by the paths of their params."""
    return dict(zip(paths(memory), jax.tree.leaves(memory), strict=True))


def places(memory: Any) -> tuple[list[str], list[str]]:
    """The paths of the params that have a memory, and those of the leaves and branches that have none."""
    without = paths(memory, is_leaf=_is_placeholder)
    held = paths(memory)
    return held, [path for path in without if path not in set(held)]


def clocks(node: Any) -> list[str]:
    """The fields of a state that count its updates."""
    return [name for name in getattr(node, "_fields", ()) if name in _CLOCKS]


def map_holders(
    function: Callable[[Any], Any],
    state: Any,
    *,
    copies: bool = False,
    others: Callable[[Any], Any] = lambda leaf: leaf,
) -> Any:
    """The state in which every state that holds a memory is replaced by a function of it.

    Args:
      function: of a state that holds a memory.
      state: of any optimizer.
      copies: whether the copies of velocities are replaced, too, which velocities are pulled back to.
      others: what all else is replaced by.
    """
    is_leaf = _is_end if copies else _is_holder_or_apart
    return jax.tree.map(lambda node: (function if _is_holder(node) else others)(node), state, is_leaf=is_leaf)


def map_named(function: Callable[[str, Any], Any], tree: Any) -> Any:
    """The tree with each leaf replaced by a function of its path and itself."""
    flat, structure = jax.tree.flatten(tree)
    return structure.unflatten([function(path, leaf) for path, leaf in zip(paths(tree), flat, strict=True)])


def edit(function: Callable[[str, Any], Any], state: Any, *, second_moments: bool = False) -> Any:
    """The state with the velocities replaced, leaf by leaf: `function(path, leaf) -> leaf`.

    Args:
      function: sees the path of the param.
      state: of any optimizer.
      second_moments: whether second moments are replaced, too.
    """

    def holder(node):
        kinds = ("velocity", "second_moment") if second_moments else ("velocity",)
        named = [name for name, kind in fields(node).items() if kind in kinds]
        return node._replace(**{name: map_named(function, getattr(node, name)) for name in named})

    return map_holders(holder, state, copies=True)


def under(branch: str, path: str) -> bool:
    """Whether a leaf is the branch, or on it."""
    return branch in ("", path) or path.startswith(branch + "/")


def fade(
    state: Any,
    when: Any = True,
    keep: Any = 0.0,
    *,
    second_moments: bool = False,
    counts: bool = False,
    chosen: Callable[[str], bool] | None = None,
) -> Any:
    """The state with its velocities multiplied by `keep` where `when` is true: at 0 they begin anew.

    What stands beside them fades too, such as the weights by which averages are debiased, so that an average which has
    lost its past is that of the gradients to come. A select and no branch: it costs the same in either case, also under
    `vmap`.

    Args:
      state: of any optimizer.
      when: `()` bool.
      keep: how much of the velocities stays, `()`, in [0, 1].
      second_moments: whether second moments fade, too.
      counts: whether a count that stands beside a velocity begins anew, and with it the schedules of that velocity's
        coefficients. (A count that only serves for debiasing does whenever nothing of the past is kept.)
      chosen: which leaves fade, by the path of the param; `None` for all. What several leaves share (weights, counts)
        changes when all of them do.
    """

    def leaf(x):
        if isinstance(keep, int | float) and keep == 0:
            return jnp.where(when, jnp.zeros_like(x), x)
        wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        # A product alone would let an infinite velocity survive as NaN.
        kept = jnp.where(keep == 0, jnp.zeros_like(x), (wide * keep).astype(x.dtype))
        return jnp.where(when, kept, x)

    def is_chosen(path):
        return chosen is None or chosen(path)

    kinds = ("velocity", "second_moment") if second_moments else ("velocity",)

    def holder(node):
        held = fields(node)
        faded = [name for name, kind in held.items() if kind in kinds]
        covered = [path for name in faded for path in paths(getattr(node, name))]
        if not any(map(is_chosen, covered)):
            return node
        new = {
            name: map_named(lambda path, x: leaf(x) if is_chosen(path) else x, getattr(node, name)) for name in faded
        }
        for name in (name for name, kind in beside(node).items() if kind in kinds):
            new[name] = map_named(
                lambda path, x: leaf(x) if all(is_chosen(p) for p in covered if under(path, p)) else x,
                getattr(node, name),
            )
        if len(faded) == len(held) and all(map(is_chosen, covered)):
            if is_debiased_by_count(node):
                anew = jnp.logical_and(when, jnp.asarray(keep) == 0)
            else:
                anew = jnp.logical_and(when, counts)
            for name in clocks(node):
                new[name] = jax.tree.map(lambda x, a=anew: jnp.where(a, jnp.zeros_like(x), x), getattr(node, name))
        return node._replace(**new)

    return map_holders(holder, state, copies=True)
