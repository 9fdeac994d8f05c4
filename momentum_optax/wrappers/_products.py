"""Inner products of the arrays of a step, in few passes and few kernels.

On a CPU one number is added after the other, and each addition waits for the one before it. So all products of a large
leaf are summed in one pass, each in several parts. A small leaf is cut into eight parts beside one another, which the
processor adds at once. And tiny leaves are joined, for there a kernel costs more than what it does.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .. import _leafwise as leafwise

# Numbers in a leaf that is joined to others, and in one of which the parts may be written out.
_TINY, _SMALL = 4_096, 65_536
# A sum of `_SMALL` float32 numbers, one after the other, is still good to four digits. A longer one is cut into rows.
_ROW, _PARTS = 1_024, 8


def bundles(gradients: Sequence[Any], own: Iterable[int]) -> list[list[int]]:
    """The numbers of the leaves that are measured together: all tiny ones, and each other one alone."""
    there = [i for i in own if gradients[i] is not None]
    tiny = [i for i in there if np.size(gradients[i]) <= _TINY and not _is_sharded(gradients[i])]
    alone = [[i] for i in there if i not in tiny]
    return [tiny, *alone] if tiny else alone


def join(own: Sequence[int], gradients: Sequence[Any], *columns: Sequence[Any]) -> list[Any]:
    """One array of each column of leaves: of those with these numbers. `None` for a column where they are missing.

    Several leaves become a vector, filled up to a multiple of eight, with zeros for what is missing. Complex numbers
    are two real ones in it.
    """
    if len(own) == 1:
        return [column[own[0]] for column in columns]

    def vector(column: Sequence[Any]) -> list[Any]:
        parts = []
        for i in own:
            x = np.zeros(np.size(gradients[i]), np.float32) if column[i] is None else _plain(column[i]).reshape(-1)
            parts += [jnp.real(x), jnp.imag(x)] if jnp.iscomplexobj(gradients[i]) else [x]
        return [*parts, np.zeros(-sum(x.size for x in parts) % _PARTS, np.float32)]

    there = [any(column[i] is not None for i in own) for column in columns]
    found = [part for column, some in zip(columns, there, strict=True) if some for part in vector(column)]
    joined = iter(jnp.concatenate(found).reshape(sum(there), -1) if found else ())
    return [next(joined) if some else None for some in there]


def totals(*pairs: tuple[Any, Any]) -> list[jax.Array]:
    """`Re<a, b>` of each pair of arrays of one shape, in at least float32; 0 where one of the two is missing."""
    dtype = jnp.result_type(float)
    there = [(_plain(a), _plain(b)) for a, b in pairs if a is not None and b is not None]
    found = iter(_totals(there) if there else ())
    return [jnp.zeros((), dtype) if a is None or b is None else next(found).astype(dtype) for a, b in pairs]


def _totals(pairs: list[tuple[jax.Array, jax.Array]]) -> list[jax.Array]:
    x = pairs[0][0]
    shape, n, axes = x.shape, x.size, tuple(range(x.ndim))
    sharded = any(_is_sharded(x) for pair in pairs for x in pair)

    def products(part: Callable[[jax.Array], jax.Array]) -> list[jax.Array]:
        found = [_product(part(a), part(b)) for a, b in pairs]
        return [x.astype(jnp.result_type(*found)) for x in found]

    def with_rest(sums: list[jax.Array], cut: int) -> list[jax.Array]:
        if cut == n:
            return sums
        return list(map(jnp.add, sums, _sums(products(lambda x: x.reshape(-1)[cut:]), (0,))))

    if n < _PARTS**2 or (sharded and (n <= _SMALL or len(shape) == 1)):
        return _sums(products(lambda x: x), axes)
    if n <= _SMALL:
        cut = n - n % _PARTS
        parts = _sums(products(lambda x: x.reshape(-1)[:cut].reshape(_PARTS, -1)), (0,))
        return with_rest(_sums(parts, (0,)), cut)
    flat = len(shape) == 1 or (shape[-1] < _PARTS**2 and not sharded)
    cut, width = (n - n % _ROW, _ROW) if flat else (n, shape[-1])
    several = 4 if len(pairs) < 4 else 2
    several = 1 if sharded or width % several else several

    def every(i: int) -> Callable[[jax.Array], jax.Array]:
        return lambda x: (x.reshape(-1)[:cut].reshape(-1, _ROW) if flat else x)[..., i::several]

    rows = _sums([x for i in range(several) for x in products(every(i))], (1 if flat else axes[-1],))
    sums = _sums(rows, tuple(range(rows[0].ndim)))
    return with_rest([sum(sums[i + len(pairs) :: len(pairs)], sums[i]) for i in range(len(pairs))], cut)


def _plain(x: Any) -> jax.Array:
    return jax.lax.stop_gradient(leafwise.widen(x))


def _product(a: jax.Array, b: jax.Array) -> jax.Array:
    """`Re(a conj(b))`, number by number."""
    return (jnp.conj(a) * b).real if jnp.iscomplexobj(a) or jnp.iscomplexobj(b) else a * b


def _is_sharded(x: Any) -> bool:
    """Whether the type of an array says so, which then may not be given any other shape."""
    return any(axis is not None for axis in getattr(jax.typeof(x).sharding, "spec", ()))


def _sums(arrays: list[jax.Array], axes: tuple[int, ...]) -> list[jax.Array]:
    """Several sums in one loop over the memory."""
    if not axes:
        return arrays
    zeros = tuple(np.zeros((), x.dtype) for x in arrays)
    return list(jax.lax.reduce(tuple(arrays), zeros, lambda x, y: tuple(map(jax.lax.add, x, y)), axes))
