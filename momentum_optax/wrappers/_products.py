"""Inner products of the arrays of a step, in few passes and few kernels.

All products of a leaf are summed in one pass. Tiny leaves are joined, for there a kernel costs more than what it does.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .. import _leafwise as leafwise
from .. import _sums as sums

# Numbers in a leaf that is joined to others, whose joint length is a multiple of this.
_TINY, _PARTS = 4_096, 8


def bundles(gradients: Sequence[Any], own: Iterable[int]) -> list[list[int]]:
    """The numbers of the leaves that are measured together: all tiny ones, and each other one alone."""
    there = [i for i in own if gradients[i] is not None]
    tiny = [i for i in there if np.size(gradients[i]) <= _TINY and not sums.is_sharded(gradients[i])]
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
    found = iter(sums.inner_products(*there) if there else ())
    return [jnp.zeros((), dtype) if a is None or b is None else next(found).astype(dtype) for a, b in pairs]


def _plain(x: Any) -> jax.Array:
    return jax.lax.stop_gradient(leafwise.widen(x))
