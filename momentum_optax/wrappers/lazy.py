"""Rows without a gradient are left where they are (after Honnibal, 2016)."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from .. import _grouping as grouping
from .. import _leafwise as leafwise
from .. import _sums as sums
from .._arguments import choice, integer
from .._paths import Pattern, check_pattern, listed, matches, paths, spelled
from .._transformation import extended, transformation
from ._defence import map_owned, zeroed

Mode = Literal["freeze", "decay", "catch_up"]


class LazyState(NamedTuple):
    """State of `lazy`.

    Attributes:
      withheld: what rows would have moved while they were absent, for `mode="catch_up"`: shaped like the params, and
        `NoMemory` for leaves that are not lazy and in the other modes.
      inner_state: state of the wrapped transformation.
    """

    withheld: Any
    inner_state: Any


def lazy(
    tx: optax.GradientTransformation,
    where: Pattern | Sequence[Pattern] | None = None,
    *,
    mode: Mode = "decay",
    axis: int = 0,
) -> optax.GradientTransformationExtraArgs:
    """Keeps rows still, such as the words of an embedding that are not in the batch, while they have no gradient.

    A dense momentum method moves them on by their velocity, long after they were last seen. Here, with `present` a bool
    for each row:

        update <- tx's update if present else 0

    and the velocity of an absent row, with anything else that `tx` remembers about it,

        freeze     stays as it is: a velocity of the gradients that the row had (LazyAdam, SparseAdam)
        decay      goes on as with a gradient of 0: after n absent steps it is the product of their n betas smaller
        catch_up   goes on as with a gradient of 0, and when the row is back it also makes the way that it missed

    `decay` and `catch_up` are exact for every `tx` under every schedule, for they are what `tx` does with zeros. With
    `catch_up` a row that is back is where dense training with the same gradients would have put it; what it missed is
    kept meanwhile, one more array like the leaf. (A `tx` that looks at the params sees an absent row where it was left:
    weight decay inside adds up, while dense training compounds it.) The others add nothing to the state. Counts, the
    weights of debiased averages and numbers kept for a whole leaf belong to all rows and go on.

    Which rows are present: `update(..., row_mask=...)`, a tree with the names of the params, or a prefix of it, of bool
    arrays `[rows]`; `None`, or no entry, where zeros decide. Without it a row is absent if its gradient is exactly 0,
    which is not the same for a row that was used and happened to have none.

    Args:
      tx: any optimizer; what it remembers of a lazy leaf must be shaped like the leaf.
      where: paths of the lazy leaves, globs or regular expressions; `None` for every leaf of two or more axes.
      mode: what becomes of the velocity of an absent row.
      axis: along which rows are counted; also negative.

    Returns:
      A transformation that passes `params` and extra arguments on, but for `row_mask`.

    Raises:
      TypeError: `tx` is no transformation, `where` names no leaves, or `axis` is no integer, or traced.
      ValueError: `mode` is none of the three, or `where` is empty; or (at init) a pattern matches no leaf, a leaf has
        no such axis, or `tx` remembers something about it in another shape; or (at `update`) a mask is not of bools,
        one for each row.

    Examples:
      The second row is absent at the second and third step, where dense momentum would move it by 0.5 and 0.25:

      >>> import jax.numpy as jnp, momentum_optax as mo
      >>> for mode in ("freeze", "decay", "catch_up"):
      ...     tx = mo.wrappers.lazy(mo.heavy_ball(1.0, 0.5), mode=mode)
      ...     state = tx.init(jnp.zeros((2, 1)))
      ...     for second in (1.0, 0.0, 0.0, 1.0):
      ...         update, state = tx.update(jnp.array([[1.0], [second]]), state)
      ...         print(update[1, 0], end="  ")
      ...     print(mode)
      -1.0  0.0  0.0  -1.5  freeze
      -1.0  0.0  0.0  -1.125  decay
      -1.0  0.0  0.0  -1.875  catch_up

    References:
      Honnibal (2016), "Sparse update for embedding matrix technically incorrect for momentum (but probably better)".
      https://github.com/clab/dynet/issues/70
      TensorFlow Addons, `LazyAdam`. https://www.tensorflow.org/addons/api_docs/python/tfa/optimizers/LazyAdam
    """
    choice("mode", mode, ("freeze", "decay", "catch_up"))
    axis = integer("axis", axis)
    several: Any = where if isinstance(where, list | tuple) else [where]
    patterns: list[Pattern] | None = None if where is None else list(several)
    if patterns == []:
        raise ValueError("where is empty and names no leaf; give the paths of lazy leaves, or None for all of 2 axes.")
    for pattern in patterns or []:
        check_pattern("where", pattern)
    inside = extended(tx)

    def is_lazy(path: str, leaf: Any) -> bool:
        return np.ndim(leaf) >= 2 if patterns is None else any(matches(p, path) for p in patterns)

    def init(params: optax.Params) -> LazyState:
        leaves, structure = jax.tree.flatten(params)
        here = [is_lazy(path, p) for path, p in zip(paths(params), leaves, strict=True)]
        inner = inside.init(params)
        if not leaves:  # nothing, or a placeholder that asks which leaves belong to params
            return LazyState(params if mode == "catch_up" else leafwise.NoMemory(), inner)
        unmatched = [p for p in patterns or [] if not any(matches(p, path) for path in paths(params))]
        if unmatched:
            raise ValueError(
                f"where matches no leaf: {', '.join(map(spelled, unmatched))}; there are {listed(paths(params))}."
            )
        for path, p, there in zip(paths(params), leaves, here, strict=True):
            if there and not -np.ndim(p) <= axis < np.ndim(p):
                raise ValueError(f"axis must be one of the lazy leaf {path!r} of shape {np.shape(p)}; got {axis}.")
        if mode == "freeze":
            shapes = dict(zip(paths(params), map(np.shape, leaves), strict=True))
            _check_shapes(inside, inner, {path: shapes[path] for path, h in zip(shapes, here, strict=True) if h})
        if mode != "catch_up":
            return LazyState(leafwise.NoMemory(), inner)
        zeros = jax.tree.leaves(leafwise.zeros(params))
        kept = [z if there else leafwise.NoMemory() for z, there in zip(zeros, here, strict=True)]
        return LazyState(structure.unflatten(kept), inner)

    def update(updates, state: LazyState, params=None, *, row_mask=None, **extra) -> tuple[Any, LazyState]:
        leaves, structure = jax.tree.flatten(updates, is_leaf=grouping.is_none)
        names = paths(updates, is_leaf=grouping.is_none)
        masks = [None] * len(leaves) if row_mask is None else _spread(row_mask, updates)
        present = [
            _present(path, g, mask, axis) if g is not None and is_lazy(path, g) else None
            for path, g, mask in zip(names, leaves, masks, strict=True)
        ]

        def rows(column):
            return [x if there is None else zeroed(~there, x) for x, there in zip(column, present, strict=True)]

        stepped, inner = inside.update(structure.unflatten(rows(leaves)), state.inner_state, params, **extra)
        moves, withheld = structure.flatten_up_to(stepped), state.withheld
        if mode == "catch_up" and not isinstance(withheld, leafwise.NoMemory):
            kept = structure.flatten_up_to(withheld)
            due = [
                None if there is None else leafwise.widen(u) + leafwise.widen(w)
                for u, w, there in zip(moves, kept, present, strict=True)
            ]
            moves = [u if d is None else leafwise.narrow(d, u.dtype) for u, d in zip(moves, due, strict=True)]
            withheld = structure.unflatten(
                w if d is None or there is None else leafwise.narrow(zeroed(there, d), w.dtype)
                for w, d, there in zip(kept, due, present, strict=True)
            )
        if mode == "freeze":
            by_path = dict(zip(names, present, strict=True))

            def frozen(path, new, old):
                there = by_path.get(path)
                return new if there is None or not new.ndim else jnp.where(there, new, old)

            inner = map_owned(inside, frozen, inner, state.inner_state, lambda new, _: new)
        return structure.unflatten(rows(moves)), LazyState(withheld, inner)

    return transformation(init, update)


def _spread(row_mask: Any, updates: optax.Updates) -> list[Any]:
    """The mask for each leaf of the updates, by names."""
    column: list[Any] = [None] * len(jax.tree.leaves(updates, is_leaf=grouping.is_none))
    for part in grouping.groups(row_mask, updates):
        if not part.leaves and part.value is not None:
            there = listed(paths(updates, is_leaf=grouping.is_none))
            raise ValueError(f"row_mask{part.path} is for no leaf of the updates; there are {there}.")
        for i in part.leaves:
            column[i] = part.value
    return column


def _present(path: str, g: Any, mask: Any, axis: int) -> jax.Array:
    """Which rows are present, in a shape that goes with the leaf."""
    others = tuple(i for i in range(g.ndim) if i != axis % g.ndim)
    if mask is None:
        return sums.count(g != 0, others) > 0 if others else g != 0
    if jnp.shape(mask) != (g.shape[axis],) or jnp.asarray(mask).dtype != bool:
        raise ValueError(
            f"row_mask of {path!r} must hold {g.shape[axis]} bools, one for each row; got shape {jnp.shape(mask)} and "
            f"dtype {jnp.asarray(mask).dtype}."
        )
    return jnp.expand_dims(jnp.asarray(mask), others)


def _check_shapes(tx: optax.GradientTransformation, state: Any, shapes: dict[str, tuple[int, ...]]) -> None:
    """Raises a ValueError if something that is remembered about a leaf has no rows to freeze."""

    def check(path, leaf, _):
        if path in shapes and np.shape(leaf) not in ((), shapes[path]):
            raise ValueError(
                f"mode='freeze' needs all that tx remembers about {path!r} in its shape {shapes[path]}, to freeze by "
                f"rows; got {np.shape(leaf)}. Accepted: elementwise methods, and the other modes."
            )

    map_owned(tx, check, state, state, lambda new, _: new)
