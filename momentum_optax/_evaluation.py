"""Methods that train at one point and answer at another."""

from typing import Any, Protocol, runtime_checkable

import jax
import optax


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


def _find(state: Any, kind: type) -> list[Any]:
    leaves = jax.tree.leaves(state, is_leaf=lambda x: isinstance(x, kind))
    return [leaf for leaf in leaves if isinstance(leaf, kind)]


def eval_params(state: optax.OptState, params: optax.Params) -> optax.Params:
    """The params to evaluate and to keep, wherever the method trains.

    Args:
      state: of any optimizer; the method is found inside chains and wrappers.
      params: the params being trained.

    Returns:
      For methods that train at a lookahead point (`nesterov`), the point they look ahead from; for all others,
      `params`.

    Raises:
      ValueError: several methods inside the state train elsewhere.
    """
    found = _find(state, TrainsElsewhere)
    if len(found) > 1:
        names = ", ".join(type(s).__name__ for s in found)
        raise ValueError(
            f"eval_params: the state holds several methods that train elsewhere ({names}); pass one of them."
        )
    return found[0].eval_params(params) if found else params


def lookahead_params(state: optax.OptState, params: optax.Params) -> optax.Params:
    """The params to take the next gradient at, for `nesterov_lookahead`.

    Args:
      state: of an optimizer with `nesterov_lookahead` inside.
      params: the params being trained.

    Returns:
      `params + beta * velocity`.

    Raises:
      ValueError: the state holds no method that looks ahead, or several.
    """
    found = _find(state, LooksAhead)
    if len(found) != 1:
        raise ValueError(f"lookahead_params: the state must hold one method that looks ahead; found {len(found)}.")
    return found[0].lookahead_params(params)
