"""What `lookahead` and `outer_momentum` share: slow weights, which the params, the fast ones, meet now and then."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from .. import _coefficient as coefficient
from .. import _leafwise as leafwise
from .._transformation import increment


def given(params: optax.Params | None, method: str) -> optax.Params:
    """The params; a ValueError if there are none."""
    if params is None:
        raise ValueError(f"{method} needs the params: call update(updates, state, params).")
    return params


def start(params: optax.Params, state_dtype: jax.typing.DTypeLike | None) -> Any:
    """Slow weights at the params, in buffers of their own."""

    def leaf(zero, p):
        # Where only shapes are asked for, there is nothing to copy.
        return zero if isinstance(p, jax.ShapeDtypeStruct) else zero + leafwise.narrow(jnp.asarray(p), zero.dtype)

    return jax.tree.map(leaf, leafwise.zeros(params, state_dtype), params)


def answer(slow: Any, params: optax.Params) -> optax.Params:
    """The slow weights in the dtypes of the params; the params where there are none."""

    def is_masked(x):
        return isinstance(x, optax.MaskedNode)

    def leaf(s, p):
        return p if is_masked(s) else leafwise.narrow(s, jnp.result_type(p))

    return jax.tree.map(leaf, slow, params, is_leaf=is_masked)


def advance(since: jax.Array, period: Any, count: jax.Array) -> tuple[jax.Array, jax.Array]:
    """One more step since the last meeting: whether this one is a meeting, `()` bool, and the steps since then."""
    since = increment(since)
    # As a float, and not in the dtype of the period: bfloat16 counts no further than 256.
    meets = since.astype(jnp.result_type(float)) >= coefficient.at(period, count)
    return meets, jnp.where(meets, jnp.zeros_like(since), since)


def way(steps: optax.Updates, params: optax.Params, slow: Any) -> Any:
    """`params + step - slow`: how far the fast weights have come, in at least float32."""
    return leafwise.emit(lambda u, p, s: (p - s) + u, leafwise.widen_tree(steps), (params, slow))


def lead(steps: optax.Updates, params: optax.Params, slow: Any, meets: jax.Array) -> optax.Updates:
    """The steps, or at a meeting the updates that bring the params to the slow weights."""
    return leafwise.emit(lambda u, p, s: jnp.where(meets, s - p, u), steps, (params, slow))
