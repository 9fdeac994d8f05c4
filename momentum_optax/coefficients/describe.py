"""Which leaf has which coefficient, to be read."""

from typing import Any

import jax
import optax
from jax.core import Tracer

from .. import _coefficient as coefficient
from .. import _grouping as grouping
from .._paths import paths
from .._plan import column
from .._types import Coefficient, Deferred


def describe(beta: Coefficient, params: optax.Params, *, count: int = 0) -> str:
    """A table of the leaves and their coefficients, one line each.

    Args:
      beta: any coefficient: a number, schedule or rule, a tree of these, `layerwise` or `by_depth`.
      params: arrays or anything in their place; only the paths matter.
      count: at which schedules are evaluated.

    Returns:
      Lines of a path and a value; to be printed.

    Raises:
      ValueError: the coefficient does not fit the params; the message names the paths.

    Examples:
      >>> import jax.numpy as jnp, momentum_optax as mo
      >>> beta = {"embed": 0.5, "head": lambda count: 1 - 1 / (count + 2)}
      >>> print(mo.describe(beta, {"embed": jnp.zeros(2), "head": {"bias": jnp.zeros(2)}}, count=8))
      embed      0.5
      head/bias  0.9 at count 8
    """
    values = [value for _, value in column("beta", beta, params)]
    names = [name or "(the params)" for name in paths(params, grouping.is_absent)]
    width = max(map(len, names), default=0)
    leaves = jax.tree.leaves(params, is_leaf=grouping.is_absent)
    return "\n".join(
        f"{name:<{width}}  {_spelled(value, count)}"
        for name, value, leaf in zip(names, values, leaves, strict=True)
        if not grouping.is_absent(leaf)
    )


def _spelled(value: Any, count: int) -> str:
    if isinstance(value, Deferred):
        return repr(value)
    if coefficient.is_schedule(value):
        return f"{float(coefficient.at(value, count)):g} at count {count}"
    return "traced" if isinstance(value, Tracer) else f"{float(value or 0):g}"
