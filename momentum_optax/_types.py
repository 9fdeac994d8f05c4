"""The types that every room shares."""

from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn, TypeAlias

import chex
import jax
import numpy as np
import optax

Scalar: TypeAlias = float | int | np.generic | np.ndarray | jax.Array
"""A number: Python's, NumPy's, or an array of shape `()`, traced or not."""

Schedule: TypeAlias = Callable[[chex.Numeric], chex.Numeric]
"""A function of the count of updates so far: 0 at the first update, 1 at the second, and so on."""


class Deferred:
    """A coefficient whose values are known only when the params are: by their paths, or by what a rule sees."""

    def _no_number(self, *_: object) -> NoReturn:
        raise TypeError(
            f"{self!r} is no number before it has seen the params or the training. Methods of momentum_optax take it "
            "as a coefficient; for those of Optax there is momentum_optax.rules.build."
        )

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = __pow__ = _no_number
    __rpow__ = __neg__ = __lt__ = __gt__ = __le__ = __ge__ = _no_number


CoefficientTree: TypeAlias = Mapping[str, "Coefficient"] | Sequence["Coefficient"] | chex.ArrayTree

Coefficient: TypeAlias = Scalar | Schedule | CoefficientTree | Deferred | None
"""A hyperparameter: a number, a schedule, a rule, a tree of these that is a prefix of the params, or `layerwise`.

`None` stands for 0 where a decay is expected. See `_coefficient` for what becomes of it.
"""

Mask: TypeAlias = chex.ArrayTree | Callable[[optax.Params], chex.ArrayTree]
"""Which leaves something applies to: a tree (or tree prefix) of bools, or a function of the params giving one."""
