"""Sums over arrays, in few passes and few kernels, for which nothing of their size is written out.

On a CPU, XLA hands a sum to a library that reads arrays: what is used elsewhere too (a gradient in float32, a mask, a
product) is first made an array for it. Several sums in one loop it compiles itself, with all that leads up to them. One
number is then added after the other, and each addition waits for the one before it; so a large array is summed in
several parts, whose additions do not wait for each other. Elsewhere a sum is a sum.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from . import _leafwise as leafwise

# Numbers in an array that is summed as it is; and in one of which an eighth may be written out.
_TINY, _SMALL = 64, 65_536
# A sum of thousands of float32 numbers, one after the other, is still good to four digits. A longer one is cut.
_ROW, _PARTS, _BLOCK = 1_024, 8, 64


def inner_products(*pairs: tuple[Any, Any]) -> list[jax.Array]:
    """`Re <a, conj b>` of each pair, all of one shape, in at least float32 and in one pass."""
    wide = [(leafwise.widen(a), leafwise.widen(b)) for a, b in pairs]
    return totals(*(product(a, b) for a, b in wide))


def inner_product(one: Any, other: Any) -> jax.Array:
    """`Re <a, conj b>` over all leaves of two trees that are there, in at least float32."""
    found = jax.tree.leaves(jax.tree.map(lambda a, b: inner_products((a, b))[0], one, other))
    return sum(found, jnp.zeros((), jnp.result_type(float)))


def product(a: jax.Array, b: jax.Array) -> jax.Array:
    """`Re(a conj(b))`, number by number."""
    return (jnp.conj(a) * b).real if jnp.iscomplexobj(a) or jnp.iscomplexobj(b) else a * b


def totals(*arrays: jax.Array) -> list[jax.Array]:
    """The sum of all numbers of each array; the arrays are real and have one shape."""
    return _summed(None, _of_one_dtype(arrays))


def along(axes: tuple[int, ...], *arrays: jax.Array) -> list[jax.Array]:
    """The sums over some axes, which are kept with a length of 1; the arrays are real and have one shape."""
    return _summed(axes, _of_one_dtype(arrays))


def count(mask: jax.Array, axes: tuple[int, ...] | None = None) -> jax.Array:
    """How many numbers of the mask are true, in all or along some axes, which are kept with a length of 1.

    In integers, for a sum of ones in float32 stands still in large leaves.
    """
    ones = [mask.astype(jnp.int32)]
    return (_whole(ones, jax.lax.add) if axes is None else _over(axes, ones))[0]


def largest(x: jax.Array) -> jax.Array:
    """The largest of the numbers, all at least 0; without a derivative."""
    return _whole([jax.lax.stop_gradient(x)], jax.lax.max)[0]


def is_sharded(x: Any) -> bool:
    """Whether the type of an array says so, which then may not be given any other shape."""
    return any(axis is not None for axis in getattr(jax.typeof(x).sharding, "spec", ()))


def _of_one_dtype(arrays: tuple[jax.Array, ...]) -> list[jax.Array]:
    dtype = jnp.result_type(*arrays)
    return [x.astype(dtype) for x in arrays]


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _summed(axes: tuple[int, ...] | None, arrays: list[jax.Array]) -> list[jax.Array]:
    return _whole(arrays, jax.lax.add) if axes is None else _over(axes, arrays)


@_summed.defjvp
def _(axes: Any, primals: Any, tangents: Any) -> Any:
    return _summed(axes, *primals), [jnp.sum(x, axes, keepdims=axes is not None) for x in tangents[0]]


Operator = Callable[[jax.Array, jax.Array], jax.Array]


def _whole(arrays: list[jax.Array], operator: Operator) -> list[jax.Array]:
    shape, n, axes = arrays[0].shape, arrays[0].size, tuple(range(arrays[0].ndim))
    alone = len(arrays) == 1
    if _is_plain(arrays):
        return [_reduce([x], axes, operator)[0] for x in arrays]
    if n < _TINY:
        return _reduce(arrays, axes, operator)

    def with_rest(found: list[jax.Array], cut: int) -> list[jax.Array]:
        if cut == n:
            return found
        return list(map(operator, found, _reduce([x.reshape(-1)[cut:] for x in arrays], (0,), operator)))

    if alone and n < _PARTS * _ROW:
        x, half = arrays[0].reshape(-1), n // 2
        return with_rest([operator(*_reduce([x[:half], x[half : 2 * half]], (0,), operator))], 2 * half)
    if n <= _SMALL and not alone:
        cut = n - n % _PARTS
        parts = _reduce([x.reshape(-1)[:cut].reshape(_PARTS, -1) for x in arrays], (0,), operator)
        return with_rest(_reduce(parts, (0,), operator), cut)
    several = next(k for k in (8, 4, 2, 1) if k * len(arrays) <= 12 and shape[-1] % k == 0)
    flat = len(shape) == 1 or shape[-1] < _TINY or (several == 1 and alone)
    if flat:
        several = 8 if alone else 4 if len(arrays) < 4 else 2
    # Rows that leave no rest, if there are any: a kernel less, and a compiler need not fear to repeat what it sums.
    row = next((r for r in range(_ROW, _ROW // 2, -_PARTS) if n % r == 0), _ROW)
    cut = n - n % row if flat else n
    rows = [x.reshape(-1)[:cut].reshape(-1, row) for x in arrays] if flat else arrays
    parts = _reduce([x[..., i::several] for i in range(several) for x in rows], (rows[0].ndim - 1,), operator)
    found = _reduce(parts, tuple(range(parts[0].ndim)), operator)
    return with_rest([functools.reduce(operator, found[i :: len(arrays)]) for i in range(len(arrays))], cut)


def _over(axes: tuple[int, ...], arrays: list[jax.Array]) -> list[jax.Array]:
    shape = arrays[0].shape
    axes = tuple(sorted(axis % len(shape) for axis in axes))
    adjoining = axes == tuple(range(axes[0], axes[-1] + 1))
    if _is_plain(arrays) or arrays[0].size < _PARTS * _ROW or not adjoining:
        return [jnp.sum(x, axes, keepdims=True) for x in arrays]

    length, inner = (math.prod(part) for part in (shape[axes[0] : axes[-1] + 1], shape[axes[-1] + 1 :]))
    found = [x.reshape(-1, length, inner) for x in arrays]
    kept = tuple(1 if i in axes else n for i, n in enumerate(shape))
    return [x.reshape(kept) for x in (_rows(found) if inner == 1 else _columns(found))]


def _rows(arrays: list[jax.Array]) -> list[jax.Array]:
    """The sums along the second of three axes, the last of which has the length 1."""
    halves = len(arrays) == 1 and arrays[0].shape[1] % 2 == 0
    found = _reduce([x[:, i::2] for x in arrays for i in (0, 1)] if halves else arrays, (1,), jax.lax.add)
    return [jax.lax.add(*found)] if halves else found


def _columns(arrays: list[jax.Array]) -> list[jax.Array]:
    """The sums along the second of three axes: some columns at once, and a few rows, as long as these stay near."""
    outer, length, inner = arrays[0].shape
    several = next(k for k in (8, 4, 2, 1) if k * len(arrays) <= 8 and inner % k == 0)
    cut = length - length % _BLOCK if length >= 4 * _BLOCK else 0

    def down(rows: list[jax.Array], axis: int) -> list[jax.Array]:
        found = _reduce([x[..., i::several] for x in rows for i in range(several)], (axis,), jax.lax.add)
        return [x if x.ndim == 2 else jnp.sum(x, 1) for x in found]

    found = down([x[:, :cut].reshape(outer, -1, _BLOCK, inner) for x in arrays], 2) if cut else []
    if cut < length:
        rest = down([x[:, cut:] for x in arrays], 1)
        found = list(map(jnp.add, found, rest)) if cut else rest
    return [jnp.stack(found[i : i + several], -1) for i in range(0, len(found), several)]


def _is_plain(arrays: list[jax.Array]) -> bool:
    return jax.default_backend() != "cpu" or any(map(is_sharded, arrays))


def _reduce(arrays: list[jax.Array], axes: tuple[int, ...], operator: Operator) -> list[jax.Array]:
    """Several reductions in one loop over the memory; what they begin with is 0."""
    if not axes:
        return arrays
    zeros = tuple(np.zeros((), x.dtype) for x in arrays)
    return list(jax.lax.reduce(tuple(arrays), zeros, _of_each(operator), axes))


@functools.cache
def _of_each(operator: Operator) -> Callable[..., tuple[jax.Array, ...]]:
    """The operator on each pair: one function for each operator, or every sum outside of `jit` would compile anew."""
    return lambda x, y: tuple(map(operator, x, y))
