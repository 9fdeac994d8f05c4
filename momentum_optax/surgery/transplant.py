"""Velocities that move from one method to another."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax

from .. import _coefficient as coefficient
from .. import _leafwise as leafwise
from .. import _memories as memories
from .. import _paths as paths
from .._arguments import choice
from .._types import Scalar
from ._choice import check_found


class _Donor(NamedTuple):
    """A memory of one leaf: its array, the weight by which it is debiased (if there is one), and its state."""

    array: Any
    weight: Any
    holder: Any


def _donors(source: Any, kind: memories.Kind) -> dict[str, list[_Donor]]:
    found: dict[str, list[_Donor]] = {}
    for memory in memories.memories(source, kind):
        weights = memories.leaves(getattr(memory.holder, "weight", ()))
        for path, array in memories.leaves(memory.tree).items():
            weight = next((w for branch, w in weights.items() if memories.under(branch, path)), None)
            found.setdefault(path, []).append(_Donor(array, weight, memory.holder))
    return found


def _check_matched(donors: Mapping[str, list[_Donor]], target: Any, kind: memories.Kind, missing: str) -> None:
    wanted: dict[str, int] = {}
    for memory in memories.memories(target, kind):
        for path in memories.leaves(memory.tree):
            wanted[path] = wanted.get(path, 0) + 1
    what = "velocity" if kind == "velocity" else "second moment"
    lacking = [path for path in wanted if path not in donors]
    if lacking and (missing == "error" or len(lacking) == len(wanted)):
        there = paths.listed(list(donors)) or "none"
        advice = " With missing='zero' a leaf that is new begins without." if missing == "error" else ""
        raise ValueError(f"source holds no {what} for {paths.listed(lacking)}; it has {there}.{advice}")
    for path, number in wanted.items():
        if path in donors and len(donors[path]) != number:
            raise ValueError(
                f"target keeps {number} and source {len(donors[path])} memories of the kind {what} for {path!r}, and "
                "which is for which is not clear. Pass the part of either state that is meant, such as source[0]."
            )


def transplant(
    source: optax.OptState,
    target: optax.OptState,
    *,
    scale: Scalar = 1.0,
    weight: Scalar | None = None,
    second_moments: bool = False,
    second_moment_weight: Scalar | None = None,
    counts: bool = False,
    missing: Literal["error", "zero"] = "error",
) -> optax.OptState:
    """Keeps the velocity when the method changes: fills a fresh state with the velocities of another.

    For every leaf of the target, by the path of its param:

        velocity <- scale * velocity of the source

    Methods mean different things by a velocity. With a constant `beta` and `learning_rate`, where `ema` stands for all
    averages (Optax's Adam among them), `trace` for sums of gradients (`heavy_ball`, `optax.sgd`), and `steps` for sums
    of steps (`nesterov`, `heavy_ball(lr_in_velocity=True)`), `scale` is

        from ema to trace     1 / (1 - beta)              from trace to ema     1 - beta
        from trace to steps   -learning_rate              from steps to trace   -1 / learning_rate

    The weight by which a target debiases its average becomes that of the source, if it has one, and 1 otherwise: what
    is transplanted counts as a full average and is not divided by the weight of a single gradient.

    Args:
      source: the state of any optimizer, ours or Optax's.
      target: the state that another has just made, `tx.init(params)`.
      scale: what the velocities are multiplied by; finite, traced or not.
      weight: how much the gradients seen weigh in the source's average, in [0, 1]; for an average of Optax's after few
        updates, `1 - b1 ** count`. `None` for the source's own weight, or 1.
      second_moments: whether second moments are moved, too (as they are).
      second_moment_weight: the same for these: `1 - b2 ** count`.
      counts: whether the counts beside the velocities are moved, and with them the places of their schedules. A target
        that debiases by its count, as Optax's Adam does, needs it.
      missing: `"error"`, or `"zero"` for leaves that the source does not have, such as those of a new head.

    Returns:
      The target, with its own structure, shapes and dtypes. The params stay: those of `nesterov` are now ahead of
      `eval_params(state, params)`.

    Raises:
      TypeError: `scale` or a weight is no number.
      ValueError: a state holds no velocity; the source has none for a leaf, or one of another shape; the two keep
        different numbers of velocities for a leaf; the target debiases by a count that is not moved with what it
        debiases; or weights that differ in the source are one in the target.

    Examples:
      From Optax's momentum to an average whose beta can be scheduled:

      >>> import jax.numpy as jnp, momentum_optax as mo, optax
      >>> params = {"w": jnp.zeros(())}
      >>> sgd, ema = optax.sgd(0.1, momentum=0.9), mo.ema_momentum(1.0, beta=0.9, debias=True)
      >>> _, state = sgd.update({"w": jnp.ones(())}, sgd.init(params))
      >>> state = mo.transplant(state, ema.init(params), scale=1 - 0.9)
      >>> print(state[0].velocity["w"], state[0].weight)
      0.1 1.0
    """
    factor = coefficient.number("scale", scale, coefficient.FINITE)
    given = {"velocity": weight, "second_moment": second_moment_weight}
    for name, value in (("weight", weight), ("second_moment_weight", second_moment_weight)):
        if value is not None:
            coefficient.number(name, value, coefficient.FRACTION)
    choice("missing", missing, ("error", "zero"))
    check_found(source, name="source")
    check_found(target, name="target")
    kinds: tuple[memories.Kind, ...] = ("velocity", "second_moment") if second_moments else ("velocity",)
    donors = {kind: _donors(source, kind) for kind in kinds}
    for kind in kinds:
        _check_matched(donors[kind], target, kind, missing)
    used: dict[tuple[str, str], int] = {}

    def take(kind, path):
        """The donor whose turn it is: the first velocity of a leaf fills the first, the second the second."""
        if path not in donors[kind]:
            return None
        turn = used[kind, path] = used.get((kind, path), -1) + 1
        return donors[kind][path][turn]

    def fill(kind, path, donor, old):
        if donor is None:
            return old
        if jnp.shape(donor.array) != jnp.shape(old):
            raise ValueError(
                f"the {kind.replace('_', ' ')} of {path!r} has shape {jnp.shape(donor.array)} in the source and "
                f"{jnp.shape(old)} in the target."
            )
        times = factor if kind == "velocity" else 1
        return leafwise.narrow(jnp.asarray(leafwise.widen(donor.array) * times), old.dtype)

    def shared(kind, branch, taken, old):
        """The weight of the leaves on a branch."""
        filled = [d for path, d in taken.items() if d is not None and memories.under(branch, path)]
        if not filled:
            return old
        if given[kind] is not None:
            return jnp.asarray(given[kind], old.dtype)
        if any(d.weight is not filled[0].weight for d in filled):
            together = [path for path in taken if memories.under(branch, path)]
            raise ValueError(
                f"target debiases the leaves {paths.listed(together)} by one weight, and the source by several. Give "
                "weight= for all, or the target a beta for each leaf."
            )
        return jnp.asarray(1 if filled[0].weight is None else filled[0].weight, old.dtype)

    def holder(node):
        held = memories.fields(node)
        taken = {
            name: {path: take(kind, path) for path in memories.leaves(getattr(node, name))}
            for name, kind in held.items()
            if kind in kinds
        }
        everything = {path: donor for column in taken.values() for path, donor in column.items()}
        donor = next((d for d in everything.values() if d is not None), None)
        if donor is None:
            return node
        if memories.is_debiased_by_count(node) and not (counts and len(taken) == len(held)):
            also = ", second_moments=True" if "second_moment" in held.values() else ""
            raise ValueError(
                f"target has a {type(node).__name__}, which debiases by its count: what is transplanted would be "
                f"divided as if it were the first gradient. Pass counts=True{also}, or use a method that keeps its "
                "weight, such as ema_momentum."
            )
        new = {
            name: memories.map_named(
                lambda path, x, n=name: fill(held[n], path, taken[n][path], x), getattr(node, name)
            )
            for name in taken
        }
        if "weight" in node._fields:
            kind = held[next(iter(taken))]
            new["weight"] = memories.map_named(lambda path, w: shared(kind, path, everything, w), node.weight)
        if counts:
            clock = _clock(donor)
            new |= {
                name: jax.tree.map(lambda x: jnp.asarray(clock, x.dtype), getattr(node, name))
                for name in memories.clocks(node)
                if name != "phase"  # the time since a restart, not since the start
            }
        return node._replace(**new)

    return memories.map_holders(holder, target)


def _clock(donor: _Donor) -> Any:
    names = memories.clocks(donor.holder)
    if not names:
        raise ValueError(
            f"counts=True, and the source keeps no count beside its velocity: a {type(donor.holder).__name__} has the "
            f"fields {paths.listed(donor.holder._fields)}."
        )
    return jax.tree.leaves(getattr(donor.holder, names[0]))[0]
