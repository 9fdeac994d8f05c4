"""The typed door: an `init` and an `update` that agree about their state become a transformation."""

from collections.abc import Callable
from typing import Any, Protocol, TypeVar, cast

import jax
import jax.numpy as jnp
import optax

State = TypeVar("State")


class Update(Protocol[State]):
    """`(updates, state, params, **extra) -> (updates, state)`."""

    def __call__(
        self, updates: optax.Updates, state: State, params: optax.Params | None, /, **extra: Any
    ) -> tuple[optax.Updates, State]: ...


def transformation(
    init: Callable[[optax.Params], State], update: Update[State]
) -> optax.GradientTransformationExtraArgs:
    """Joins the two halves of a method.

    Optax's own protocols do not let an `update` name the type of its state. The casts are here, so that methods can
    be typed throughout and a checker notices when the halves disagree.

    Args:
      init: `params -> state`; needs only shapes and dtypes.
      update: `(updates, state, params, **extra) -> (updates, state)`.
    """

    def update_fn(updates, state, params=None, **extra):
        return update(updates, state, params, **extra)

    return optax.GradientTransformationExtraArgs(cast(Any, init), cast(Any, update_fn))


def extended(tx: Any, name: str = "tx") -> optax.GradientTransformationExtraArgs:
    """The transformation that a wrapper was given, taking extra arguments; a TypeError if it is none."""
    if not hasattr(tx, "update"):
        raise TypeError(f"{name} must be a gradient transformation; got {tx!r}.")
    return optax.with_extra_args_support(tx)


def zero_count() -> jax.Array:
    """The count of updates so far, `()` int32, before the first."""
    return jnp.zeros((), jnp.int32)


def increment(count: jax.Array) -> jax.Array:
    """The next count; stays at the largest int32 when it gets there."""
    return jnp.asarray(optax.safe_increment(count))
