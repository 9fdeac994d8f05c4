"""Two gradients of one batch: at the params, and at those of the update before."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from . import _grouping as grouping
from . import _leafwise as leafwise
from ._evaluation import RemembersParams, holds, lookahead_params, previous_params
from ._paths import paths


def two_point_gradients(
    loss_fn: Callable[..., Any], *, has_aux: bool = False
) -> Callable[..., tuple[Any, optax.Updates, optax.Updates]]:
    """Makes the function that takes the gradients of a loss at two points in one vmapped pass.

    What the loss gets beside the params is the same for both: the batch, and the keys of whatever is random.

    Args:
      loss_fn: `(params, *args, **kwargs) -> loss`, or `-> (loss, aux)` with `has_aux`; real, of shape `()`.
      has_aux: whether `loss_fn` returns something beside the loss.

    Returns:
      `gradients(params, previous_params, *args, **kwargs) -> (loss, gradient, previous_gradient)`: the loss at `params`
      (or the pair `(loss, aux)` there), the gradient at `params`, and the gradient at `previous_params`.

    Raises:
      TypeError: `loss_fn` is no function.

    Examples:
      >>> import jax.numpy as jnp, momentum_optax as mo
      >>> gradients = mo.two_point_gradients(lambda x, batch: jnp.mean((x - batch) ** 2) / 2)
      >>> print(*gradients(jnp.asarray(1.0), jnp.asarray(3.0), jnp.zeros(4)))
      0.5 1.0 3.0
    """
    if not callable(loss_fn):
        raise TypeError(f"loss_fn must be a function of the params and a batch; got {loss_fn!r}.")

    def gradients(params, before, *args, **kwargs):
        at_one = jax.value_and_grad(lambda p: loss_fn(p, *args, **kwargs), has_aux=has_aux)
        both = jax.vmap(at_one)(jax.tree.map(lambda *points: jnp.stack(points), params, before))
        (value, gradient), (_, previous) = (jax.tree.map(lambda x, i=i: x[i], both) for i in (0, 1))
        return value, gradient, previous

    return gradients


def wanted_gradients(
    loss_fn: Callable[..., Any], state: optax.OptState, params: optax.Params, *, second: bool = True
) -> tuple[Any, optax.Updates, dict[str, Any]]:
    """`(loss, aux)` and its gradient where the method in the state wants it.

    Args:
      loss_fn: `params -> (loss, aux)`.
      state: of any optimizer.
      params: the params being trained.
      second: whether to take the gradient at the previous params too, where a method asks for it.

    Returns:
      What the loss gave, the gradient, and `previous_gradient` as the extra argument that it is, if there is one.
    """
    point = lookahead_params(state, params)
    # A method that remembers none of the params, such as `storm` at `a = 1`, gives them back as they are.
    if second and holds(RemembersParams, state) and (before := previous_params(state, params)) is not params:
        out, gradient, previous = two_point_gradients(loss_fn, has_aux=True)(point, before)
        return out, gradient, {"previous_gradient": previous}
    out, gradient = jax.value_and_grad(loss_fn, has_aux=True)(point)
    return out, gradient, {}


def given(previous_gradient: optax.Updates | None, updates: optax.Updates, method: str) -> optax.Updates:
    """The gradients at the params before, None where there is no gradient.

    Args:
      previous_gradient: what `update` was given.
      updates: the gradients.
      method: the name under which the user knows who asks.

    Raises:
      ValueError: there are none, or they are not of the structure and the shapes of the updates.
    """
    advice = (
        "the gradient at mo.previous_params(state, params) on the same batch: call update(updates, state, params, "
        "previous_gradient=...). mo.two_point_gradients(loss) takes both gradients in one pass, and mo.make_step does "
        "all of it."
    )
    if previous_gradient is None and jax.tree.leaves(updates):
        raise ValueError(f"{method} needs previous_gradient, {advice}")
    # Masks and partitions hand extra arguments on as they are, with what is masked out of the updates.
    flat, structure = jax.tree.flatten(updates, is_leaf=grouping.is_absent)
    try:
        column = structure.flatten_up_to(previous_gradient)
    except ValueError as error:
        raise ValueError(f"previous_gradient does not have the structure of the updates: {error}") from None
    pairs = list(zip(flat, column, strict=True))
    if any(grouping.is_absent(p) and not grouping.is_absent(g) for g, p in pairs):
        raise ValueError(f"{method}: a leaf of previous_gradient is None where there is a gradient. It is {advice}")
    for path, (g, p) in zip(paths(updates, grouping.is_absent), pairs, strict=True):
        if grouping.is_absent(g):
            continue
        if not jax.tree_util.all_leaves([p]):
            raise ValueError(f"previous_gradient does not have the structure of the updates: at {path!r} it is {p!r}.")
        if jnp.shape(p) != jnp.shape(g):  # broadcasting would hide it
            raise ValueError(
                f"{method}: previous_gradient has the shape {jnp.shape(p)} at {path!r}, where the gradient has "
                f"{jnp.shape(g)}. It is {advice}"
            )
    return structure.unflatten([g if grouping.is_absent(g) else p for g, p in pairs])


def copied(params: optax.Params, memory: Any) -> Any:
    """The memory, as made by `zeros`, filled with the params; in buffers of its own, as both may be donated."""

    def leaf(p, zero):
        # Where only shapes are asked for, there is nothing to copy.
        if isinstance(zero, leafwise.NoMemory) or isinstance(p, jax.ShapeDtypeStruct):
            return zero
        return zero + leafwise.narrow(jnp.asarray(p), zero.dtype)

    if isinstance(memory, leafwise.NoMemory):
        return memory
    flat, structure = jax.tree.flatten(params)
    zeros = structure.flatten_up_to(memory)
    return structure.unflatten([leaf(p, zero) for p, zero in zip(flat, zeros, strict=True)])


def follow(params: optax.Params | None, updates: optax.Updates, memory: Any, method: str) -> Any:
    """The memory filled with the params that now become the previous ones, where there is a gradient."""
    if isinstance(memory, leafwise.NoMemory):
        return memory
    if params is None:
        raise ValueError(f"{method} needs the params: call update(updates, state, params).")
    flat, structure = jax.tree.flatten(updates, is_leaf=grouping.is_none)
    points, old = structure.flatten_up_to(params), structure.flatten_up_to(memory)
    return structure.unflatten(
        m if g is None or isinstance(m, leafwise.NoMemory) else jnp.copy(leafwise.narrow(p, m.dtype))
        for g, p, m in zip(flat, points, old, strict=True)
    )


def recall(memory: Any, params: optax.Params) -> optax.Params:
    """The params before, from the memory of them; where there is none, the params."""

    def is_leaf(node):
        return isinstance(node, leafwise.NoMemory | optax.MaskedNode)

    if is_leaf(memory):
        return params
    flat, structure = jax.tree.flatten(memory, is_leaf=is_leaf)
    points = structure.flatten_up_to(params)
    return structure.unflatten(
        p if p is None or is_leaf(m) else jnp.asarray(m, jnp.result_type(p)) for p, m in zip(points, flat, strict=True)
    )
