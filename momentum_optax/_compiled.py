"""Compiled calls that may use up the params and the state they are given."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer

from .blocks import in_blocks


def compiler_options() -> dict[str, Any]:
    """What XLA is told about a step, for the device that it runs on."""
    # On a CPU each output is a loop of its own. A method that reads its old memory to form the update (`difference`,
    # `pid`) then keeps a copy of it, unless the compiler looks more closely at who reads what when.
    return {"xla_cpu_copy_insertion_use_region_analysis": True} if jax.default_backend() == "cpu" else {}


def compiled(
    function: Callable[..., Any],
    *,
    donate: bool,
    blocks: bool | None = False,
    keep_unused: bool = False,
    static: tuple[int, ...] = (),
) -> Callable[..., Any]:
    """The function as one compiled program; inside `jit`, `scan` or `vmap` a part of that one.

    Args:
      function: of the params, the state, and more; gives a tuple of new params, new state, and more.
      donate: whether the memory of the params and the state that go in may be used for those that come out.
      blocks: whether large leaves are computed in blocks; `None` for those that are faster so. Only on one CPU device,
        and with `donate`.
      keep_unused: whether memory that is only overwritten is used too, or it would be found anew each time; whatever
        else is not used must be there then.
      static: places of arguments that are no arrays.
    """
    in_one = donate and blocks is not False and jax.default_backend() == "cpu" and jax.device_count() == 1
    program = jax.jit(
        in_blocks(function, 2, every=bool(blocks)) if in_one else function,
        static_argnums=static,
        donate_argnums=(0, 1) if donate else (),
        keep_unused=keep_unused,
        compiler_options=compiler_options(),
    )

    def call(params, state, *others):
        # Inside another program, whose compilation this is part of.
        if any(isinstance(x, Tracer) for x in jax.tree.leaves((params, state, others))):
            return function(params, state, *others)
        if donate:
            params, state = _without_repetition((params, state), others)
        results = program(params, state, *others)
        return results[0] if in_one else results

    return call


def _without_repetition(donated: Any, others: Any) -> Any:
    """The donated tree with a copy of every array that is there before, or elsewhere: memory is donated only once."""
    seen = {id(x) for x in jax.tree.leaves(others)}

    def leaf(x):
        if isinstance(x, jax.Array) and id(x) in seen:
            return jnp.copy(x)
        seen.add(id(x))
        return x

    return jax.tree.map(leaf, donated)
