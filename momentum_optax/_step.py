"""A ready training step: value, gradient, update and application in one compiled, donated call."""

import sys
from collections.abc import Callable
from typing import Any

import jax
import optax

from ._finish import apply_updates

Step = Callable[..., tuple[Any, Any, dict[str, Any]]]


def _compiler_options() -> dict[str, Any]:
    # On a CPU each output is a loop of its own. A method that reads its old memory to form the update (`difference`,
    # `pid`) then keeps a copy of it, unless the compiler looks more closely at who reads what when.
    return {"xla_cpu_copy_insertion_use_region_analysis": True} if jax.default_backend() == "cpu" else {}


def _loaded_nnx() -> Any:
    # Not imported here: who has not imported Flax has no model of its kind.
    return sys.modules.get("flax.nnx")


def make_step(
    loss_fn: Callable[..., Any], tx: optax.GradientTransformation, *, has_aux: bool = False, donate: bool = True
) -> Step:
    """Compiles a training step.

    The step takes the loss and its gradient at the params, asks `tx` for the updates and applies them, in one program.
    The memory of the params and the state that go in is used for those that come out, which on large models makes the
    step several times faster; do not touch the old ones afterwards (or turn it off with `donate=False`).

    Args:
      loss_fn: `(params, batch) -> loss`, or `-> (loss, aux)` with `has_aux`; the loss is real, of shape `()`. For a
        `flax.nnx` model it is `(model, batch)`, and may change the model's other variables (batch statistics, keys).
      tx: any Optax transformation. It is given `value` (the loss), `grad`, and `value_fn` besides what the caller of
        the step passes by keyword.
      has_aux: whether `loss_fn` returns something beside the loss.
      donate: whether the step may use up the params and the state it is given.

    Returns:
      `step(params, state, batch, **extra) -> (params, state, metrics)`, with `state = tx.init(params)` and `metrics` a
      dict of `loss` and, with `has_aux`, `aux`. For a model, `state = tx.init(nnx.state(model, nnx.Param))`; the model
      is changed in place and returned.

    Raises:
      TypeError: `loss_fn` is no function or `tx` no transformation.

    Examples:
      >>> import jax.numpy as jnp, momentum_optax as mo
      >>> tx = mo.heavy_ball(0.1)
      >>> step = mo.make_step(lambda params, batch: jnp.mean((params - batch) ** 2), tx)
      >>> params = jnp.zeros(())
      >>> params, state, metrics = step(params, tx.init(params), jnp.ones(4))
      >>> print(params, metrics["loss"])
      0.2 1.0
    """
    if not callable(loss_fn):
        raise TypeError(f"loss_fn must be a function of (params, batch); got {loss_fn!r}.")
    if not hasattr(tx, "update"):
        raise TypeError(f"tx must be a gradient transformation; got {tx!r}.")
    tx_update = optax.with_extra_args_support(tx).update
    donated = (0, 1) if donate else ()

    def advance(loss, params, state, extra):
        # `loss(params) -> (value, rest)`; one place for trees and models.
        (value, rest), grads = jax.value_and_grad(loss, has_aux=True)(params)
        extra = {"value": value, "grad": grads, "value_fn": lambda p: loss(p)[0]} | extra
        updates, state = tx_update(grads, state, params, **extra)
        return apply_updates(params, updates), state, value, rest

    def on_tree(params, state, batch, extra):
        def loss(p):
            out = loss_fn(p, batch)
            return out if has_aux else (out, None)

        params, state, value, aux = advance(loss, params, state, extra)
        return params, state, {"loss": value} | ({"aux": aux} if has_aux else {})

    def on_model(params, state, others, batch, extra, graph):
        nnx = _loaded_nnx()

        def loss(p):
            model = nnx.merge(graph, p, others)
            out = loss_fn(model, batch)
            value, aux = out if has_aux else (out, None)
            return value, (nnx.state(model, nnx.Not(nnx.Param)), aux)

        params, state, value, (others, aux) = advance(loss, params, state, extra)
        return params, state, others, {"loss": value} | ({"aux": aux} if has_aux else {})

    options = _compiler_options()
    tree_step = jax.jit(on_tree, donate_argnums=donated, compiler_options=options)
    model_step = jax.jit(on_model, donate_argnums=donated, static_argnums=5, compiler_options=options)

    def step(params, state, batch, **extra):
        nnx = _loaded_nnx()
        if nnx is None or not isinstance(params, nnx.Module):
            return tree_step(params, state, batch, extra)
        graph, trained, others = nnx.split(params, nnx.Param, ...)
        trained, state, others, metrics = model_step(trained, state, others, batch, extra, graph)
        nnx.update(params, trained, others)
        return params, state, metrics

    return step
