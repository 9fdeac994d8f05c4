"""What every schedule shares: numbers that are checked, counts that are floats, and values below 1."""

from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax.core import Tracer

from .. import _coefficient as coefficient
from .._coefficient import DECAY, Range

Shape = Literal["linear", "cosine"]


def number(name: str, value: Any, accepted: Range = DECAY, *, reached: Any = None) -> float | jax.Array:
    """Checks one number, traced or not; what is no array of JAX becomes a Python float.

    `reached` is the count at which the schedule has this value, for the message.
    """
    try:
        value = coefficient.number(name, value, accepted)
    except ValueError as error:
        if reached is None or isinstance(reached, Tracer):
            raise
        raise ValueError(f"{error} The schedule reaches it at count {float(reached):.10g}.") from None
    return value if isinstance(value, jax.Array) else float(value)


def is_shape(shape: str) -> Shape:
    """Checks the name of a shape."""
    if shape not in ("linear", "cosine"):
        raise ValueError(f'shape must be "linear" or "cosine"; got {shape!r}.')
    return shape


def floats(*values: Any) -> list[jax.Array]:
    """The values in the default float dtype.

    A count in int32 is to be cast before it is divided: the quotient would be a float32 even under x64.
    """
    return [jnp.asarray(value, jnp.result_type(float)) for value in values]


def progress(count: jax.Array, length: jax.Array) -> jax.Array:
    """How far along the count is: 0 until it is above 0, 1 from `length` on, which may be 0."""
    return jnp.where(count >= length, 1.0, jnp.maximum(count, 0) / jnp.where(length > 0, length, 1))


def eased(fraction: jax.Array, shape: Shape) -> jax.Array:
    """A fraction that has passed, along a straight line or half a wave of the cosine."""
    return fraction if shape == "linear" else 0.5 - 0.5 * jnp.cos(jnp.pi * fraction)


def between(start: jax.Array, end: jax.Array, fraction: jax.Array) -> jax.Array:
    """The point at a fraction of the way; exact at both ends."""
    return (1 - fraction) * start + fraction * end


def below_one(value: jax.Array) -> jax.Array:
    """The value, or the largest number below 1: a sum that decays must not become one that does not, by rounding."""
    return jnp.minimum(value, 1 - jnp.finfo(value.dtype).epsneg)
