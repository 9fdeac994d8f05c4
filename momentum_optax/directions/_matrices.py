"""How leaves are seen as matrices, and how large the step of a matrix is for its shape."""

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import jax

from .. import _coefficient as coefficient
from .._paths import Pattern, assign, check_pattern

Layout: TypeAlias = str | Mapping[Pattern, str]
"""What the axes of a leaf are: `i` for inputs, `o` for outputs, `b` for a stack; see `orthogonal_factor`."""

_AXES = re.compile("b*(i+o+|o+i+)")
# Kernels (in, heads, head_dim) of linen's `MultiHeadDotProductAttention` and nnx's `MultiHeadAttention`. That of `out`,
# (heads, head_dim, out), needs nothing: its last axis is the outputs. Boxed params of linen end in `value`.
_OF_HEADS = re.compile(r"(^|/)(query|key|value)/kernel(/value)?$")
_CONSTANT = 0.2


class View(NamedTuple):
    """A leaf as a stack of matrices.

    Attributes:
      shape: of the stack, `[..., m, n]`.
      inputs: how many inputs a matrix has.
      outputs: how many outputs.
      outputs_first: whether the outputs are the rows.
    """

    shape: tuple[int, ...]
    inputs: int
    outputs: int
    outputs_first: bool


def check_layout(layout: Any) -> None:
    """Raises unless it is a layout."""
    if not isinstance(layout, str | Mapping):
        raise TypeError(f"layout must be 'io', 'oi', or a mapping from globs to such strings; got {layout!r}.")
    if isinstance(layout, str) and layout not in ("io", "oi"):
        raise ValueError(f"layout must be 'io' or 'oi', or a mapping from globs to an axis each; got {layout!r}.")
    for pattern, axes in layout.items() if isinstance(layout, Mapping) else ():
        check_pattern("a key of layout", pattern)
        if not (isinstance(axes, str) and _AXES.fullmatch(axes)):
            raise ValueError(
                f"layout[{pattern!r}] must have a letter for each axis, b for a stack, then i for inputs and o for "
                f"outputs, each together, such as 'io', 'bio' or 'ioo'; got {axes!r}."
            )


def axes_of(layout: Layout, paths: Sequence[str], ndims: Sequence[int | None]) -> list[str]:
    """The letters for each leaf; `ndims` holds `None` for one that is absent.

    What a mapping does not name has the layout `"io"`, in which the attention of Flax has axes of its own.
    """
    axes = [""] * len(paths)
    if isinstance(layout, Mapping):
        # A leaf of the other group, or without a gradient, may be named all the same.
        numbers = assign("layout", list(layout), paths, [True] * len(paths), default=True)
        letters = list(layout.values())
        axes = [letters[number] if number >= 0 else "" for number in numbers]
    plain = layout if isinstance(layout, str) else "io"
    for i, (path, ndim) in enumerate(zip(paths, ndims, strict=True)):
        if ndim is None:
            continue
        if ndim < 2:
            raise ValueError(
                f"{path!r} has {ndim} axes, and no orthogonal factor; only leaves of two axes and more are matrices. "
                "Give it another transformation, as for_matrices does."
            )
        if not axes[i] and plain == "io" and ndim == 3 and _OF_HEADS.search(path):
            axes[i] = "ioo"
        elif not axes[i]:
            axes[i] = "i" * (ndim - 1) + "o" if plain == "io" else "o" + "i" * (ndim - 1)
        elif len(axes[i]) != ndim:
            raise ValueError(f"layout says {axes[i]!r} of {path!r}, which has {ndim} axes.")
    return axes


def view(shape: Sequence[int], axes: str) -> View:
    """The leaf of this shape as a stack of matrices; neighbouring axes of one letter become one."""
    sizes = {letter: math.prod(n for n, a in zip(shape, axes, strict=True) if a == letter) for letter in "io"}
    stack = tuple(shape[: axes.count("b")])
    order = [letter for letter, _ in itertools.groupby(axes) if letter != "b"]
    return View((*stack, *(sizes[letter] for letter in order)), sizes["i"], sizes["o"], order[0] == "o")


def check_shape_factor(shape_factor: Any) -> None:
    """Raises unless it names a convention, or is a number or `None`."""
    if isinstance(shape_factor, str):
        if shape_factor not in SHAPE_FACTORS:
            known = ", ".join(map(repr, SHAPE_FACTORS))
            raise ValueError(f"shape_factor must be one of {known}, a number, or None; got {shape_factor!r}.")
    elif shape_factor is not None:
        coefficient.number("shape_factor", shape_factor, coefficient.POSITIVE)


def _grow(inputs: int, outputs: int) -> float:
    return math.sqrt(max(1.0, outputs / inputs))


def _match(inputs: int, outputs: int) -> float:
    return _CONSTANT * math.sqrt(max(inputs, outputs))


def _spectral(inputs: int, outputs: int) -> float:
    return math.sqrt(outputs / inputs)


SHAPE_FACTORS = {
    "original": _grow,
    "torch": _grow,
    "optax": _grow,
    "match_rms_adamw": _match,
    "keras": _match,
    "spectral": _spectral,
}


def shape_factor_of(shape_factor: Any, of: View) -> float | jax.Array:
    """What to multiply the orthogonal factor by."""
    if shape_factor is None or not of.inputs:
        return 1.0
    if isinstance(shape_factor, str):
        return SHAPE_FACTORS[shape_factor](of.inputs, of.outputs)
    return shape_factor * math.sqrt(max(of.inputs, of.outputs))
