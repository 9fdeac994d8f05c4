"""A ready update: transformation and application in one compiled, donated call."""

from collections.abc import Callable
from typing import Any

import optax

from ._compiled import compiled
from ._finish import apply_updates

Update = Callable[..., tuple[Any, Any]]


def make_update(tx: optax.GradientTransformation, *, donate: bool = True, blocks: bool | None = None) -> Update:
    """Compiles an update of the params, for those who compute their gradients themselves.

    It asks `tx` for the updates and applies them, in one program; inside `jit`, `scan` or `vmap` it becomes part of
    that program. (`make_step` computes the gradient, too.) The memory of the params and the state that go in is used
    for those that come out; do not touch the old ones afterwards (or turn it off with `donate=False`).

    On a CPU, large leaves are updated in blocks: XLA alone would go through memory once for each array that comes out,
    and a method with several memories, or a wrapper that uses an update twice, would read the same arrays again and
    again or keep one more. In blocks an update of Adam or RMSProp takes three quarters of the time, one by
    `outer_momentum(adam)` less than half, without an array beside (benchmarks/RESULTS.md); compiling takes one
    and a half to five times as long, tracing included.

    Args:
      tx: any Optax transformation.
      donate: whether the update may use up the params and the state it is given.
      blocks: `None` for leaves of 131,072 numbers and more that are faster so: where arrays are read several times, and
        no leaf is so large that one core works on it while others wait; of more than 256 such leaves for the largest,
        for compiling takes longer and longer. `True` for all of 131,072 numbers and more, `False` for none.
        Left to XLA are leaves that cannot be cut into blocks of about 8,000, that hold 16-bit numbers, whose update
        moves numbers from place to place, or whose params and memories each need the other's old values. Without effect
        with `donate=False`, on several devices, on GPUs and TPUs, and inside other programs.

    Returns:
      `update(params, state, gradients, **extra) -> (params, state)`, with `state = tx.init(params)`; what is passed by
      keyword goes to `tx`, and is arrays or trees of these. For a `flax.nnx` model, params are
      `nnx.state(model, nnx.Param)`; `nnx.update(model, params)` puts them back.

    Raises:
      TypeError: `tx` is no transformation, or `blocks` neither `True`, `False` nor `None`.

    Examples:
      >>> import jax.numpy as jnp, momentum_optax as mo
      >>> tx = mo.heavy_ball(0.1)
      >>> update = mo.make_update(tx)
      >>> params = jnp.zeros(3)
      >>> params, state = update(params, tx.init(params), jnp.ones(3))
      >>> print(params)
      [-0.1 -0.1 -0.1]
    """
    if not hasattr(tx, "update"):
        raise TypeError(f"tx must be a gradient transformation; got {tx!r}.")
    if not (blocks is None or isinstance(blocks, bool)):
        raise TypeError(f"blocks must be True, False or None; got {blocks!r}.")
    tx_update = optax.with_extra_args_support(tx).update

    def compute(params, state, gradients, extra):
        updates, state = tx_update(gradients, state, params, **extra)
        return apply_updates(params, updates), state

    call = compiled(compute, donate=donate, blocks=blocks, keep_unused=True)

    def update(params, state, gradients, **extra):
        return call(params, state, gradients, extra)

    return update
