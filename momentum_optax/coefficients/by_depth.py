"""A coefficient for each layer, by its depth."""

import re
from collections.abc import Callable, Sequence
from typing import Any

import jax

from .. import _coefficient as coefficient
from .._paths import Pattern, assign, check_pattern, listed
from .._plan import ByPath, Entry
from .._types import Coefficient


def _numbers(path: str) -> tuple[int, ...]:
    """The numbers in the path of a leaf: those of its layers, not of `w1` and `w2` inside one."""
    *branch, leaf = path.split("/")
    layers = [*branch, leaf] if leaf.isdigit() or not branch else branch
    return tuple(int(number) for name in layers for number in re.findall(r"\d+", name))


class _ByDepth(ByPath):
    def __init__(self, function: Callable[[float], Any], order: Sequence[Pattern] | None):
        self.function, self.order = function, order
        self.known: dict[float, Any] = {}

    def __repr__(self) -> str:
        return f"by_depth({self.function!r}, order={self.order!r})"

    def examples(self) -> dict[str, Any]:
        return {"first": self.at(0.0), "last": self.at(1.0)}

    def at(self, depth: float) -> Any:
        """The value at a depth: of schedules the same object at every update, so that each is tried out once."""
        if depth in self.known:
            return self.known[depth]
        with jax.ensure_compile_time_eval():
            value = self.function(depth)
            # One that closes over hyperparameters of a sweep does not outlive the trace they are of.
            if coefficient.is_schedule(value) and coefficient.outlives_a_trace(f"by_depth at {depth:g}", value):
                self.known[depth] = value
        return value

    def assign(self, name: str, paths: Sequence[str], absent: Sequence[bool]) -> list[Entry]:
        if self.order is None:
            bare = [path for path, out in zip(paths, absent, strict=True) if not (_numbers(path) or out)]
            if bare:
                raise ValueError(
                    f"{name}: by_depth finds no number of a layer in {listed(bare)}. Name the layers from the first to "
                    "the last, as in order=['embed', 'layers/*', 'head']."
                )
            keys = [(0, _numbers(path)) for path in paths]
        else:
            places = assign(name, self.order, paths, absent, default=False, advice="order must name all")
            keys = [(place, _numbers(path)) for place, path in zip(places, paths, strict=True)]
        # What is absent and has no place of its own is no layer: a whole branch, whose layers nobody sees.
        known = [bool(numbers) if self.order is None else place >= 0 for place, numbers in keys]
        layers = sorted({at for at, own, out in zip(keys, known, absent, strict=True) if own or not out})
        last = len(layers) - 1
        entries = {at: (f"layer {i}", self.at(i / last if last else 1.0)) for i, at in enumerate(layers)}
        anything = entries[layers[-1]] if layers else ("layer 0", self.at(1.0))
        return [entries.get(at, anything) for at in keys]


def by_depth(function: Callable[[float], Coefficient], order: Sequence[Pattern] | None = None) -> ByPath:
    """A coefficient by the depth of the layer, as in `by_depth(lambda depth: 0.5 + 0.4 * depth)`.

    Layers are told apart and put in order by the numbers in the path, so that `Dense_10` comes after `Dense_2`; leaves
    of the same numbers are in one layer.

    Args:
      function: from the depth, a Python float from 0 for the first layer to 1 for the last (and for an only one), to a
        number, schedule or rule.
      order: globs or compiled regular expressions for the parts of the model, from the first to the last; those that
        name several layers are ordered by the numbers inside. `None` if every path has a number.

    Returns:
      A coefficient; see `layerwise`. It is a function of all layers that there are: `update` needs the params where a
      whole branch of the updates is None.

    Raises:
      TypeError: `function` is no function, or `order` no sequence of globs and regular expressions.
      ValueError: at `init`, a leaf has no number and there is no `order`; or one in `order` names no leaf, or a leaf is
        named twice or not at all.

    Examples:
      >>> import jax.numpy as jnp, momentum_optax as mo
      >>> params = {"embed": jnp.zeros(2), "head": jnp.zeros(2), "layers": [jnp.zeros(2), jnp.zeros(2)]}
      >>> print(mo.describe(mo.by_depth(lambda depth: 0.9 * depth, order=["embed", "layers/*", "head"]), params))
      embed     0
      head      0.9
      layers/0  0.3
      layers/1  0.6
    """
    if not callable(function):
        raise TypeError(f"function must map the depth, from 0 to 1, to a coefficient; got {function!r}.")
    if order is not None:
        if isinstance(order, str) or not isinstance(order, Sequence):
            raise TypeError(f"order must be a sequence of globs, from the first part to the last; got {order!r}.")
        for pattern in order:
            check_pattern("a part of order", pattern)
    return _ByDepth(function, order)
