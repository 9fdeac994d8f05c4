"""A ready training step: value, gradient, update and application in one compiled, donated call."""

import sys
from collections.abc import Callable
from typing import Any

import optax

from ._compiled import compiled
from ._finish import apply_updates
from ._two_point import wanted_gradients

Step = Callable[..., tuple[Any, Any, dict[str, Any]]]


def _loaded_nnx() -> Any:
    # Not imported here: who has not imported Flax has no model of its kind.
    return sys.modules.get("flax.nnx")


def make_step(
    loss_fn: Callable[..., Any], tx: optax.GradientTransformation, *, has_aux: bool = False, donate: bool = True
) -> Step:
    """Compiles a training step.

    The step takes the loss and its gradient at the params (for `nesterov_lookahead`, at `lookahead_params`; for `storm`
    and `mars`, at `previous_params` too, in one vmapped pass), asks `tx` for the updates and applies them, in one
    program. Inside `jit`, `scan` or `vmap` it becomes part of that program.
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

    def compute(params, state, others, batch, extra, graph):
        # A model is its graph, the params and the other variables; any other tree is params alone.
        nnx = _loaded_nnx()

        def loss(p):
            # Copies: variables may only be written at the trace level that made them.
            subject = p if graph is None else nnx.merge(graph, p, others, copy=True)
            out = loss_fn(subject, batch)
            value, aux = out if has_aux else (out, None)
            return value, (others if graph is None else nnx.state(subject, nnx.Not(nnx.Param)), aux)

        asks = "previous_gradient" not in extra
        (value, (rest, aux)), grads, second = wanted_gradients(loss, state, params, second=asks)
        extra = {"value": value, "grad": grads, "value_fn": lambda p: loss(p)[0]} | second | extra
        updates, state = tx_update(grads, state, params, **extra)
        metrics = {"loss": value} | ({"aux": aux} if has_aux else {})
        return apply_updates(params, updates), state, rest, metrics

    run = compiled(compute, donate=donate, static=(5,))

    def step(params, state, batch, **extra):
        nnx = _loaded_nnx()
        is_model = isinstance(params, getattr(nnx, "Module", ()))
        graph, trained, others = nnx.split(params, nnx.Param, ...) if is_model else (None, params, None)
        trained, state, others, metrics = run(trained, state, others, batch, extra, graph)
        if not is_model:
            return trained, state, metrics
        nnx.update(params, trained, others)
        return params, state, metrics

    return step
