"""Functions whose results take the places of their arguments, computed in blocks."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Jaxpr, Var, jaxpr_as_fun

from .equations import Equations, equations
from .leaves import Leaf, apart, leaves, others
from .loops import loop


def in_blocks(function: Callable[..., Any], overwritten: int, *, every: bool = False) -> Callable[..., Any]:
    """The same function up to rounding, with its large leaves computed block by block.

    On a CPU, XLA writes each array that comes out in a loop of its own, and reads what several of them need several
    times; what two of them share it may even keep in an array beside. Here all that belongs to a leaf goes through
    the processor's caches block by block, and different leaves go to different cores.

    Args:
      function: of trees of arrays, that gives a tuple; results take the places of as many arguments, in order.
      overwritten: how many: so many of the first arguments are donated, and come out first.
      every: also leaves for which it saves little, or that are so large that one core works while others wait, and
        however many there are.

    Returns:
      A function that gives what the function gives, and an integer that must come out of the compiled program, too:
      it keeps the loops apart.
    """

    def changed(*arguments: Any) -> tuple[Any, jax.Array]:
        traced, shapes = jax.make_jaxpr(function, return_shape=True)(*arguments)
        of, given = equations(traced), jax.tree.leaves(arguments)
        found = leaves(of, len(jax.tree.leaves(arguments[:overwritten])), every=every)
        results, values = _rest(traced, of, found, given)
        done = jnp.int32(0)
        for leaf in found:
            new, count = loop(of, leaf, values)
            results |= new
            done += count
        return jax.tree.unflatten(jax.tree.structure(shapes), [results[i] for i in range(len(of.outputs))]), done

    return changed


def _rest(
    traced: Any, of: Equations, found: list[Leaf], given: list[Any]
) -> tuple[dict[int, Any], dict[Var, jax.Array]]:
    """What is not computed in blocks, by place; and what the blocks are computed of."""
    results = others(of, found)
    read = dict.fromkeys(v for leaf in found for v in leaf.read)
    body = traced.jaxpr.replace(
        eqns=[of.steps[place] for place in sorted(apart(of, found))], outvars=[*results.values(), *read]
    )
    # In a newer JAX there is one kind of traced function.
    closed = body if isinstance(traced, Jaxpr) else ClosedJaxpr(body, traced.consts)
    values = jaxpr_as_fun(closed)(*given)
    return dict(zip(results, values, strict=False)), dict(zip(read, values[len(results) :], strict=True))
