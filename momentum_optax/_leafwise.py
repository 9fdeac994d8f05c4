"""What happens to one leaf, whatever the method: the only room that knows about dtypes and missing gradients.

Four promises, kept here so that no method has to:

1. Arithmetic runs in at least float32. A result is cast back to the dtype that its place had before: an update to its
   gradient's, a memory to its own. So types are a fixed point of every update.
2. A gradient leaf that is `None` sits the step out: it stays `None`, and its memory is carried over.
3. A leaf whose past is never used (its decay is a plain 0) has no memory: `NoMemory` stands in its place.
4. What is emitted is computed from the memory *as stored*. Then a low-precision velocity and the update agree, and a
   compiler that donates buffers need not keep the old velocity beside the new one.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.core import Tracer

from . import _coefficient as coefficient
from . import _grouping as grouping

_WIDE = frozenset(map(np.dtype, ("float32", "float64", "complex64", "complex128")))


class NoMemory(NamedTuple):
    """Stands where a memory would be that is never read; holds nothing."""


def wide_dtype(dtype: jax.typing.DTypeLike) -> Any:
    """The dtype in which arithmetic on a leaf runs: its own, but at least float32."""
    return jnp.float32 if jnp.finfo(dtype).bits < 32 else dtype


def widen(x: Any) -> jax.Array:
    """The array in the dtype in which arithmetic runs."""
    if isinstance(x, jax.Array) and x.dtype in _WIDE and not x.weak_type:  # what follows is slow to trace
        return x
    return jnp.asarray(x, wide_dtype(jnp.result_type(x)))


def narrow(x: jax.Array, dtype: jax.typing.DTypeLike) -> jax.Array:
    """The array in a dtype that it is stored in; what is finite stays finite.

    A finite number beyond the range of the dtype, as of float16 and float8, becomes the largest one inside.
    """
    x = jnp.asarray(x)
    if x.dtype == dtype and not x.weak_type:
        return x
    if jnp.iscomplexobj(x):
        return jax.lax.complex(*(narrow(part, jnp.finfo(dtype).dtype) for part in (x.real, x.imag))).astype(dtype)
    if jnp.finfo(dtype).maxexp < jnp.finfo(x.dtype).maxexp:
        limit = float(jnp.finfo(dtype).max)
        x = jnp.where(jnp.isfinite(x), jnp.clip(x, -limit, limit), x)
    return x.astype(dtype)


@jax.custom_jvp
def root(x: jax.Array) -> jax.Array:
    """Square root whose derivative at 0 is 0 instead of infinite, so that meta-gradients stay finite."""
    return jax.lax.sqrt(x)


@root.defjvp
def _(primals: tuple[jax.Array], tangents: tuple[jax.Array]) -> tuple[jax.Array, jax.Array]:
    y = root(*primals)
    zero = y == 0
    return y, jnp.where(zero, 0, tangents[0] / jnp.where(zero, 1, 2 * y))


def check_params(params: optax.Params) -> None:
    """Raises a TypeError if a leaf is neither floating nor complex."""
    for path, leaf in jax.tree_util.tree_flatten_with_path(params)[0]:
        dtype = jax.dtypes.result_type(leaf)
        if not jnp.issubdtype(dtype, jnp.inexact):
            raise TypeError(
                f"params{jax.tree_util.keystr(path)} has dtype {dtype}; momentum needs floating or complex leaves. "
                "Leave it out of the params, or wrap the transformation in optax.masked."
            )


def _is_floating(dtype: Any) -> bool:
    try:
        return jnp.issubdtype(jnp.dtype(dtype), jnp.floating)
    except TypeError:
        return False


def first_dtype(
    mu_dtype: jax.typing.DTypeLike | None, state_dtype: jax.typing.DTypeLike | None, name: str = "mu_dtype"
) -> Any:
    """The dtype of a first moment: `mu_dtype`, or where that is `None` the one of all memories."""
    if mu_dtype is not None and not _is_floating(mu_dtype):
        raise TypeError(f"{name} must be a floating dtype, or None for that of the other memories; got {mu_dtype!r}.")
    return state_dtype if mu_dtype is None else mu_dtype


def zeros(
    params: optax.Params,
    state_dtype: jax.typing.DTypeLike | None = None,
    *,
    decay: Any = None,
    real: bool = False,
) -> Any:
    """An empty memory, shaped and sharded like the params.

    Args:
      params: arrays or anything with a shape and a dtype.
      state_dtype: dtype of the memory; `None` keeps each param's. Complex leaves stay complex.
      decay: coefficient of the memory; where it is a plain 0 there is `NoMemory`. `None` for a memory that is always
        kept.
      real: whether complex leaves get a real memory.

    Returns:
      A tree with the structure of the params.
    """
    check_params(params)
    if state_dtype is not None and not _is_floating(state_dtype):
        raise TypeError(f"state_dtype must be a floating dtype, or None for that of each param; got {state_dtype!r}.")

    def leaf(p):
        dtype = jax.dtypes.result_type(p)
        if jnp.issubdtype(dtype, jnp.complexfloating):
            part = jnp.finfo(dtype).dtype
            dtype = part if real else dtype
            if state_dtype is not None:
                dtype = state_dtype if real else jnp.promote_types(state_dtype, jnp.complex64)
        elif state_dtype is not None:
            dtype = state_dtype
        return _zeros_like(p, dtype)

    if decay is None:
        return jax.tree.map(leaf, params)
    if not jax.tree.leaves(params):
        # Nothing to fit a tree of decays to: empty params, or a placeholder that asks which leaves belong to params.
        whole = coefficient.is_zero(decay)
        return NoMemory() if whole else params
    if coefficient.is_zero(decay):
        return NoMemory()
    flat, structure = jax.tree.flatten(params)
    decays = grouping.spread(decay, params, lambda _: False)
    return structure.unflatten(
        [NoMemory() if coefficient.is_zero(d) else leaf(p) for p, d in zip(flat, decays, strict=True)]
    )


def _zeros_like(p: Any, dtype: Any) -> jax.Array:
    if isinstance(p, Tracer):
        # A constant would forget the sharding: under `jit` with automatic axes the compiler knows only what depends on
        # the params. Never true, not even for NaN, and nothing a compiler simplifies.
        # By `lax`: the operators of `jnp` are traced anew for every shape.
        x = jax.lax.real(p) if jnp.iscomplexobj(p) else p
        zero = jax.lax.full_like(x, 0)
        return jax.lax.convert_element_type(jax.lax.bitwise_and(jax.lax.lt(x, zero), jax.lax.gt(x, zero)), dtype)
    # Params that are not bound to a device yet, as most are at first, may still go to where the data is; so may these.
    sharding = getattr(p, "sharding", None) if getattr(p, "committed", True) else None
    return jnp.zeros(np.shape(p), dtype, device=sharding)


_STATE = "state (that of the params that init saw)"


def _column(structure: Any, tree: Any, flattened: str, other: str) -> list[Any]:
    """The other tree's part at each leaf of the one that was flattened; both are named for the message."""
    try:
        return structure.flatten_up_to(tree)
    except ValueError as error:
        raise ValueError(f"the {flattened} do not have the structure of the {other}: {error}") from None


def remember(function: Callable[..., Any], updates: optax.Updates, memory: Any, *values: Any) -> tuple[Any, Any]:
    """Moves a memory: `function(g, m, *values) -> m` at each leaf.

    Args:
      function: one step of the recurrence; sees arrays in at least float32.
      updates: the gradients.
      memory: as made by `zeros`.
      *values: coefficients at this count, as from `coefficient.at`.

    Returns:
      The new memory in at least float32 (defined also where nothing is kept), to compute updates from, and as stored.
    """
    flat, structure = jax.tree.flatten(updates, is_leaf=grouping.is_none)
    if isinstance(memory, NoMemory):
        old: list[Any] = [memory] * len(flat)
    else:
        old = _column(structure, memory, "updates", _STATE)
    wide, stored = [], []
    for g, m, *rest in zip(flat, old, *(grouping.spread(v, updates) for v in values), strict=True):
        if g is None:
            wide.append(None)
            stored.append(m)
        elif isinstance(m, NoMemory):
            wide.append(function(widen(g), 0.0, *rest))
            stored.append(m)
        else:
            new = narrow(function(widen(g), widen(m), *rest), m.dtype)
            wide.append(widen(new))
            stored.append(new)
    new_memory = memory if isinstance(memory, NoMemory) else structure.unflatten(stored)
    return structure.unflatten(wide), new_memory


def emit(function: Callable[..., Any], updates: optax.Updates, trees: tuple[Any, ...], *values: Any) -> Any:
    """Forms the outgoing updates: `function(g, *trees, *values) -> u` at each leaf.

    Args:
      function: sees arrays in at least float32.
      updates: the gradients; the result has their structure and dtypes.
      trees: whatever has a part for each leaf: memories, params, updates of others.
      *values: coefficients at this count.
    """
    flat, structure = jax.tree.flatten(updates, is_leaf=grouping.is_none)
    columns = [_column(structure, tree, "updates", "tree beside them") for tree in trees]
    columns += [grouping.spread(v, updates) for v in values]
    out = []
    for g, *rest in zip(flat, *columns, strict=True):
        if g is None:
            out.append(None)
            continue
        parts = map(widen, rest[: len(trees)])
        out.append(narrow(function(widen(g), *parts, *rest[len(trees) :]), jnp.result_type(g)))
    return structure.unflatten(out)


def apply(function: Callable[..., Any], params: optax.Params, updates: optax.Updates) -> optax.Params:
    """Moves the params: `function(p, u) -> p` where there is an update, in at least float32 and back."""
    flat, structure = jax.tree.flatten(updates, is_leaf=grouping.is_none)
    return structure.unflatten(
        p if u is None else narrow(function(widen(p), widen(u)), jnp.result_type(p))
        for p, u in zip(_column(structure, params, "updates", "params"), flat, strict=True)
    )


def shift(params: optax.Params, memory: Any, values: Any, *, sign: int) -> optax.Params:
    """`params + sign * value * memory` where there is a memory, and the params as they are elsewhere."""

    def is_leaf(x):
        return isinstance(x, NoMemory | optax.MaskedNode)

    if is_leaf(memory):
        return params
    flat, structure = jax.tree.flatten(memory, is_leaf=is_leaf)
    points = _column(structure, params, "params", _STATE)
    moved = [
        p if p is None or is_leaf(m) else narrow(widen(p) + sign * value * widen(m), jnp.result_type(p))
        for p, m, value in zip(points, flat, grouping.spread(values, memory, is_leaf), strict=True)
    ]
    return structure.unflatten(moved)


def widen_tree(updates: optax.Updates) -> optax.Updates:
    """The updates in the dtype in which arithmetic runs, so that parts joined by a combinator round only once."""
    return jax.tree.map(widen, updates)


def like(state: Any, previous: Any) -> Any:
    """The state in the dtypes of the previous one, for transformations that do not keep their own."""

    def leaf(new, old):
        # Keys and counts are nobody's precision.
        return narrow(new, old.dtype) if jnp.issubdtype(old.dtype, jnp.inexact) else new

    return jax.tree.map(leaf, state, previous)
