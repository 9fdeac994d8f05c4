"""One leaf, block by block."""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Var

from .equations import Equations, of_blocks
from .leaves import Leaf


def loop(of: Equations, leaf: Leaf, values: dict[Var, jax.Array]) -> tuple[dict[int, jax.Array], jax.Array]:
    """Computes a leaf.

    Args:
      of: what the function computes.
      leaf: which part of it.
      values: of the leaf's arrays and scalars, and of the arguments that it overwrites.

    Returns:
      The results by their places, and a number that is known when they are.
    """
    shape = values[leaf.outputs[0].old].shape
    block = leaf.rows, *leaf.view[1:]

    def cut(x: jax.Array, start: jax.Array) -> jax.Array:
        return jax.lax.dynamic_slice(x, (start, *zeros), block, allow_negative_indices=False)

    zeros = [jnp.int32(0)] * (len(block) - 1)
    carried = [output.old for output in leaf.outputs]
    read = {v: values[v].reshape(leaf.view) for v in leaf.arrays.difference(carried)}
    few = {v: values[v] for v in leaf.few}
    # With another counter, which XLA does not know to be equal, it does not compute once and keep what is used again.
    counters = list(itertools.accumulate((output.again for output in leaf.outputs), initial=0))[1:]

    def body(carry: Any) -> Any:
        starts, _, old = carry
        whole = read | dict(zip(carried, old, strict=True))
        back: dict[Var, jax.Array] = {}
        new = []
        for output, here in zip(leaf.outputs, (starts[i] for i in counters), strict=True):
            known: dict[Var, Any] = few | {v: cut(x, here) for v, x in (whole | back).items()}
            for equation in (of.steps[place] for place in output.equations):
                inputs = [known[v] if isinstance(v, Var) else v.val for v in equation.invars]
                known[equation.outvars[0]] = of_blocks(equation, inputs, here, block)
            x = jax.lax.dynamic_update_slice(
                whole[output.old], known[output.new], (here, *zeros), allow_negative_indices=False
            )
            if output.back:
                back[output.new] = x = jax.lax.optimization_barrier(x)
            new.append(x)
        ends = [start + leaf.rows for start in starts]
        return ends, ends[0] < leaf.view[0], new

    # XLA lets loops run side by side if they share no memory, down to their counters: these are carried, unknown to it
    # beforehand, and used in the end.
    start, more = jax.lax.optimization_barrier(([jnp.int32(0)] * (1 + counters[-1]), jnp.bool_(True)))
    for v in leaf.after:
        x = values[v] if jnp.issubdtype(values[v].dtype, jnp.inexact) else values[v].astype(jnp.float32)
        start[0] += ((x != x) & (x == x)).astype(jnp.int32)  # nothing, which XLA does not know
    old = [values[v].reshape(leaf.view) for v in carried]
    end, more, new = jax.lax.while_loop(lambda carry: carry[1], body, (start, more, old))
    results = {output.place: x.reshape(shape) for output, x in zip(leaf.outputs, new, strict=True)}
    return results, sum(end) + more.astype(jnp.int32)
