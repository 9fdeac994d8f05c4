"""One leaf, block by block."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Var

from .equations import Equations, of_blocks
from .leaves import Leaf, Output


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
        return jax.lax.dynamic_slice_in_dim(x, start, leaf.rows)

    carried = [output.old for output in leaf.outputs]
    read = {v: values[v].reshape(leaf.view) for v in leaf.arrays.difference(carried)}
    few = {v: values[v] for v in leaf.few}

    def body(carry: Any) -> Any:
        start, _, arrays = carry
        arrays = dict(zip(carried, arrays, strict=True))
        known: dict[Any, Any] = few | {v: cut(x, start) for v, x in (read | arrays).items()}
        known |= {v: jax.lax.optimization_barrier(known[v]) for v in leaf.saved}

        def write(output: Output, x: jax.Array) -> None:
            arrays[output.old] = jax.lax.dynamic_update_slice_in_dim(arrays[output.old], x, start, 0)
            if output.back:
                arrays[output.old] = jax.lax.optimization_barrier(arrays[output.old])
                known[output.new] = cut(arrays[output.old], start)

        for output in leaf.outputs:
            if output.new not in of.maker:
                write(output, known[output.new])
        for equation in (of.steps[place] for place in leaf.equations):
            inputs = [known[v] if isinstance(v, Var) else v.val for v in equation.invars]
            new = equation.outvars[0]
            known[new] = x = of_blocks(equation, inputs, start, block)
            for output in leaf.outputs:
                if output.new is new:
                    write(output, x)
        end = start + leaf.rows
        return end, end < leaf.view[0], [arrays[v] for v in carried]

    # XLA lets loops run side by side if they share no memory, down to their counters: these are carried, unknown to it
    # beforehand, and used in the end.
    start, more = jax.lax.optimization_barrier((jnp.int32(0), jnp.bool_(True)))
    for v in leaf.after:
        x = values[v].astype(jnp.float32)
        start += ((x != x) & (x == x)).astype(jnp.int32)  # nothing, which XLA does not know
    old = [values[v].reshape(leaf.view) for v in carried]
    end, more, new = jax.lax.while_loop(lambda carry: carry[1], body, (start, more, old))
    return {output.place: x.reshape(shape) for output, x in zip(leaf.outputs, new, strict=True)}, end + more
