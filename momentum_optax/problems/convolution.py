"""Convolutions as matrix products, which are faster where XLA's are slow: in compiled loops on a CPU."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def by_patches(
    inputs: jax.Array,
    kernel: jax.Array,
    strides: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
    *,
    lhs_dilation: Sequence[int] | None = None,
    rhs_dilation: Sequence[int] | None = None,
    dimension_numbers: Any = None,
    feature_group_count: int = 1,
    precision: Any = None,
    preferred_element_type: Any = None,
    out_sharding: None = None,
) -> jax.Array:
    """A convolution as the product of all patches with a matrix, in the place of `jax.lax.conv_general_dilated`.

    On a CPU, XLA's convolutions are many times slower inside a compiled loop than outside, and slower still mapped over
    runs. This one is not, and so suits a sweep of small networks; it takes more memory, for the patches overlap. Flax's
    layers use it if they are told to.

    Args:
      inputs: `[samples, ..., channels]`.
      kernel: `[..., channels, features]`.
      strides: one for each axis in between.
      padding: `"SAME"`, `"VALID"`, or how much before and after each of them.
      lhs_dilation: must be ones: this is no transposed convolution.
      rhs_dilation: how far apart the pixels of a patch are; `None` for neighbours.
      dimension_numbers: must put the channels last, as Flax has them; `None` for that.
      feature_group_count: must be 1.
      precision: of the product, see `jax.numpy.matmul`.
      preferred_element_type: likewise.
      out_sharding: must be `None`.

    Returns:
      `[samples, ..., features]`.

    Raises:
      ValueError: an argument is none of those it knows; the message names it.

    Examples:
      >>> from flax import nnx
      >>> from momentum_optax.problems.convolution import by_patches
      >>> layer = nnx.Conv(1, 16, (3, 3), strides=2, conv_general_dilated=by_patches, rngs=nnx.Rngs(0))
      >>> layer(np.ones((5, 8, 8, 1))).shape
      (5, 4, 4, 16)
    """
    between = range(1, inputs.ndim - 1)
    ones = (1,) * len(between)
    last = jax.lax.conv_dimension_numbers(inputs.shape, kernel.shape, _channels_last(inputs.ndim))
    given = jax.lax.conv_dimension_numbers(inputs.shape, kernel.shape, dimension_numbers or _channels_last(inputs.ndim))
    for name, value, accepted in (
        ("lhs_dilation", tuple(lhs_dilation or ones), ones),
        ("dimension_numbers", given, last),
        ("feature_group_count", feature_group_count, 1),
        ("out_sharding", out_sharding, None),
    ):
        if value != accepted:
            raise ValueError(f"by_patches knows no {name} but {accepted}, not {value}.")
    sizes, dilation = kernel.shape[:-2], tuple(rhs_dilation or ones)
    spans = [(size - 1) * apart + 1 for size, apart in zip(sizes, dilation, strict=True)]
    if isinstance(padding, str):
        padding = jax.lax.padtype_to_pads(inputs.shape[1:-1], spans, strides, padding)
    padded = jnp.pad(inputs, ((0, 0), *padding, (0, 0)))
    ends = [padded.shape[axis] - span + 1 for axis, span in zip(between, spans, strict=True)]
    found = []
    for index in np.ndindex(*sizes):
        starts = np.multiply(index, dilation).tolist()
        cut = (slice(at, at + end, stride) for at, end, stride in zip(starts, ends, strides, strict=True))
        found.append(padded[:, *cut])
    return jnp.matmul(
        jnp.concatenate(found, axis=-1),
        kernel.reshape(-1, kernel.shape[-1]),
        precision=precision,
        preferred_element_type=preferred_element_type,
    )


def _channels_last(axes: int) -> tuple[str, str, str]:
    between = "".join(chr(ord("0") + axis) for axis in range(axes - 2))
    return f"N{between}C", f"{between}IO", f"N{between}C"
