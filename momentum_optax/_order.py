"""Betas that must be in order: a slow average is not faster than a fast one, of no leaf."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.core import Tracer

from . import _coefficient as coefficient
from ._paths import key
from ._types import Scalar

P = ParamSpec("P")
Made = optax.GradientTransformationExtraArgs


def _numbers(tree: Any) -> list[tuple[str, tuple[Any, ...], Any]]:
    """The leaves of a coefficient: where each stands in a message, the keys on the way there, and the value."""
    flat, _ = jax.tree_util.tree_flatten_with_path(tree, is_leaf=coefficient.is_leaf)
    return [(jax.tree_util.keystr(path), tuple(map(key, path)), 0.0 if x is None else x) for path, x in flat]


def _exceeds(one: Any, other: Any) -> bool:
    """Whether both are known and the first is the larger, by more than the rounding of one that is an array."""
    for x in (one, other):
        if not isinstance(x, Scalar) or isinstance(x, Tracer) or np.shape(x):
            return False
    arrays = [x.dtype for x in (one, other) if hasattr(x, "dtype") and jnp.issubdtype(x.dtype, jnp.floating)]
    rounding = max((float(jnp.finfo(dtype).eps) for dtype in arrays), default=0.0)
    return bool(np.asarray(one, np.float64) > np.asarray(other, np.float64) + rounding)


def check_order(b1: Any, b3: Any, alpha: Any) -> None:
    """Raises a ValueError if the slow average is somewhere known to be faster than the fast one."""
    alphas = _numbers(alpha)
    for here, keys, fast in _numbers(b1):
        for there, others, slow in _numbers(b3):
            shared = min(len(keys), len(others))
            if keys[:shared] != others[:shared] or coefficient.is_zero(slow):
                continue  # for other leaves, or there is no slow average
            along = max(keys, others, key=len)
            weights = [a for _, at, a in alphas if all(x == y for x, y in zip(at, along, strict=False))]
            if _exceeds(fast, slow) and not (weights and all(map(coefficient.is_zero, weights))):
                raise ValueError(f"b1 must be at most b3; got b1{here}={fast!r} and b3{there}={slow!r}.")


def if_plain(value: Any) -> Any:
    """A coefficient, without the arrays in it: what a rule decided, or what was checked as it was given."""
    return jax.tree.map(lambda x: np.nan if isinstance(x, jax.Array) else x, value, is_leaf=coefficient.is_leaf)


def in_order(make: Callable[P, Made]) -> Callable[P, Made]:
    """Checks the betas as they are given. Within `adaptive` an array may be what a rule decided, which nobody chose."""

    @functools.wraps(make)
    def build(*args: P.args, **kwargs: P.kwargs) -> Made:
        tx = make(*args, **kwargs)  # what is wrong with one argument comes first
        given = inspect.signature(make).bind(*args, **kwargs)
        given.apply_defaults()
        check_order(*(given.arguments[name] for name in ("b1", "b3", "alpha")))
        return tx

    return build
