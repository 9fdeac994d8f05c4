"""Methods that train at one point and answer at another, and those that remember the point before."""

from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import optax

from . import _grouping as grouping
from . import _leafwise as leafwise
from ._paths import pure


@runtime_checkable
class TrainsElsewhere(Protocol):
    """A state that knows where the answer is when the params are not it."""

    def eval_params(self, params: optax.Params) -> optax.Params:
        """The params to evaluate and to keep, given the params that are trained."""
        ...


@runtime_checkable
class LooksAhead(Protocol):
    """A state that asks for the gradient at another point than the params."""

    def lookahead_params(self, params: optax.Params) -> optax.Params:
        """The params to take the gradient at."""
        ...


@runtime_checkable
class RemembersParams(Protocol):
    """A state that asks for a gradient at the params of the update before."""

    def previous_params(self, params: optax.Params) -> optax.Params:
        """The params of the update before, given the present ones."""
        ...


class _OptaxScheduleFree(NamedTuple):
    """What is asked of the state of `optax.contrib.schedule_free`."""

    b1: Any
    z: Any

    def eval_params(self, params: optax.Params) -> optax.Params:
        return average_behind(params, self.z, self.b1)


def _is_optax_schedule_free(node: Any) -> bool:
    return type(node).__name__ == "ScheduleFreeState" and hasattr(node, "base_optimizer_state")


def _adopted(node: Any) -> Any:
    return _OptaxScheduleFree(node.b1, node.z) if _is_optax_schedule_free(node) else node


def average_behind(params: optax.Params, z: Any, b1: Any) -> optax.Params:
    """The `x` of `params = (1 - b1) * z + b1 * x`; where there is no `z`, or `b1` is 0, the params."""

    def is_leaf(node):
        return isinstance(node, leafwise.NoMemory | optax.MaskedNode)

    def factor(b):
        b = jnp.asarray(b)
        return jnp.where(b == 0, 0.0, (1 - b) / jnp.where(b == 0, 1.0, b))

    if is_leaf(z):
        return params
    flat, structure = jax.tree.flatten(z, is_leaf=is_leaf)
    points = structure.flatten_up_to(params)
    found = []
    for y, leaf, b in zip(points, flat, grouping.spread(b1, z, is_leaf), strict=True):
        if y is None or is_leaf(leaf):
            found.append(y)
            continue
        wide = leafwise.widen(y)
        found.append(leafwise.narrow(wide + factor(b) * (wide - leafwise.widen(leaf)), jnp.result_type(y)))
    return structure.unflatten(found)


def holds(kind: type, state: optax.OptState) -> bool:
    """Whether some state inside is of the kind."""
    return any(isinstance(x, kind) for x in jax.tree.leaves(pure(state), is_leaf=lambda x: isinstance(x, kind)))


def _contents(state: optax.OptState) -> str:
    """The types of the states in a chain, for messages."""
    parts = state if type(state) is tuple else (state,)
    return ", ".join(type(part).__name__ for part in parts) or "nothing"


def _is_state(kind: type, x: Any) -> bool:
    """Whether it is a state of the kind, or a chain with one; a model is none, whatever its methods are called."""
    parts = jax.tree.leaves(x, is_leaf=lambda node: isinstance(node, kind))
    return isinstance(x, tuple) and any(isinstance(node, kind) and isinstance(node, tuple) for node in parts)


def _moved(method: str, kind: type, state: optax.OptState, params: optax.Params) -> optax.Params:
    """The params after every state of the kind has moved its own leaves."""
    if isinstance(state, optax.GradientTransformation) or _is_state(kind, params):
        raise TypeError(
            f"{method} takes the state of an optimizer and then the params; got {type(state).__name__} and "
            f"{type(params).__name__}."
        )
    structure = jax.tree.structure(params)
    state, point = pure(state), pure(params)
    moved: set[int] = set()
    for part in jax.tree.leaves(state, is_leaf=lambda x: isinstance(x, kind)):
        if not isinstance(part, kind):
            continue
        before, point = jax.tree.leaves(point), getattr(part, method)(point)
        # A state leaves alone, as the same objects, the params that are masked out of it.
        own = {i for i, (old, new) in enumerate(zip(before, jax.tree.leaves(point), strict=True)) if old is not new}
        if own & moved:
            raise ValueError(f"{method}: two methods in the state move the same params; pass the state of one.")
        moved |= own
    return structure.unflatten(jax.tree.leaves(point)) if moved else params


def eval_params(
    state: optax.OptState, params: optax.Params, *, missing: Literal["error", "params"] = "error"
) -> optax.Params:
    """The params to evaluate and to keep, wherever the method trains.

    Args:
      state: of any optimizer; methods are found inside chains, wrappers and `nnx.Optimizer.opt_state`.
        `optax.contrib.schedule_free` is known, too.
      params: the params being trained.
      missing: what to do with a state of methods that all answer where they train: raise an `"error"`, lest another
        state be taken for the optimizer's, or, in programs for any optimizer, return the `"params"`.

    Returns:
      For methods that train at a lookahead point (`nesterov`), the point they look ahead from; for those that average
      (`schedule_free`, `lookahead`), the average; for all others, `params`, if asked.

    Raises:
      TypeError: the state is a transformation, or it and the params have changed places.
      ValueError: two methods inside the state train the same params elsewhere, or none does.
    """
    if missing not in ("error", "params"):
        raise ValueError(f"missing must be 'error' or 'params'; got {missing!r}.")
    state = jax.tree.map(_adopted, pure(state), is_leaf=_is_optax_schedule_free)
    found = _moved("eval_params", TrainsElsewhere, state, params)
    if missing == "error" and not holds(TrainsElsewhere, state):
        raise ValueError(
            "eval_params: no method in the state answers elsewhere than at the params; got a state of "
            f"{_contents(state)}. Pass the state of an optimizer that does (nesterov, nigt, schedule_free, lookahead), "
            'or take the params; missing="params" does so.'
        )
    return found


def lookahead_params(state: optax.OptState, params: optax.Params) -> optax.Params:
    """The params to take the next gradient at, wherever the method wants it.

    Args:
      state: of any optimizer; methods are found as by `eval_params`.
      params: the params being trained.

    Returns:
      For `nesterov_lookahead`, `params + beta * velocity`; for all others, `params`.

    Raises:
      TypeError: the state is a transformation, or it and the params have changed places.
      ValueError: two methods inside the state look ahead of the same params.
    """
    return _moved("lookahead_params", LooksAhead, state, params)


def previous_params(state: optax.OptState, params: optax.Params) -> optax.Params:
    """The params of the update before, at which `storm`, `mars` and their parts ask for a second gradient.

    Args:
      state: of any optimizer; methods are found as by `eval_params`.
      params: the params being trained.

    Returns:
      The params that the last update was given; before the first update, those that `init` was given. Leaves that no
      method remembers are as in `params`.

    Raises:
      TypeError: the state is a transformation, or it and the params have changed places.
      ValueError: no method inside the state remembers its params, or two remember the same.
    """
    found = _moved("previous_params", RemembersParams, state, params)
    if not holds(RemembersParams, state):
        raise ValueError(
            "previous_params: no method in the state remembers the params of the update before; got a state of "
            f"{_contents(state)}. Methods that do take `previous_gradient=` (storm, mars)."
        )
    return found
