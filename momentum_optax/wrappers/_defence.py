"""What the defences share: norms that do not overflow, selects over whole states, and who owns a leaf of a state."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from .. import _coefficient as coefficient
from .. import _leafwise as leafwise
from .. import _sums as sums
from .._paths import paths


def limit(name: str, value: Any) -> Any:
    """Checks a number of steps, at least 0, or `None`."""
    return value if value is None else coefficient.number(name, value, coefficient.NON_NEGATIVE)


def log_norm(leaves: list[jax.Array]) -> jax.Array:
    """Logarithm of the Euclidean norm of all leaves together: minus infinity for zeros, and finite for what is finite.

    The leaves are divided by the largest magnitude first: a spike whose square overflows is still a number.
    """
    parts = [part for x in map(leafwise.widen, leaves) for part in ((x.real, x.imag) if jnp.iscomplexobj(x) else (x,))]
    dtype = jnp.result_type(float, *parts)
    sizes = [sums.largest(jnp.abs(x)).astype(dtype) for x in parts]
    largest = jax.lax.stop_gradient(jnp.max(jnp.stack([jnp.zeros((), dtype), *sizes])))
    # Not beyond the limits, where its inverse is no number; what is left of the scale there does no harm.
    limit = 2.0 ** (jnp.finfo(dtype).maxexp * 4 // 5)
    unit = jnp.where((largest > 0) & (largest < jnp.inf), jnp.clip(largest, 1 / limit, limit), 1)
    # Times the inverse: a compiler forms a quotient that is needed twice only once, and keeps it.
    squares = [sums.totals(jnp.square(x.astype(dtype) * (1 / unit)))[0] for x in parts]
    total = jnp.sum(jnp.stack([jnp.zeros((), dtype), *squares]))
    zero = total == 0
    return jnp.where(zero, -jnp.inf, jnp.log(unit) + 0.5 * jnp.log(jnp.where(zero, 1, total)))


def select(when: jax.Array, new: Any, old: Any) -> Any:
    """The new tree where `when` is true, and the old one elsewhere: no branch, so that lanes may differ."""
    return jax.tree.map(lambda a, b: jnp.where(when, a, b), new, old)


def zeroed(when: jax.Array, updates: Any) -> Any:
    """The updates, or zeros where `when` is true, whatever they are: a product would keep NaN."""
    return jax.tree.map(lambda u: jnp.where(when, jnp.zeros_like(u), u), updates)


def map_owned(
    tx: optax.GradientTransformation, function: Callable[[str, Any, Any], Any], new: Any, old: Any, shared: Any
) -> Any:
    """The new state, in which `function(path, new, old)` stands for every leaf that belongs to the param at a path.

    What belongs to no single param (counts, the weights of averages) becomes `shared(new, old)`.
    """
    nobody = object()

    def owner(tree):
        return jax.tree.unflatten(jax.tree.structure(tree), paths(tree))

    marked = optax.tree.map_params(
        tx, owner, new, is_leaf=lambda _: True, transform_non_params=lambda tree: jax.tree.map(lambda _: nobody, tree)
    )
    return jax.tree.map(lambda path, a, b: shared(a, b) if path is nobody else function(path, a, b), marked, new, old)
