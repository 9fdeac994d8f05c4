"""Methods that train at one point and answer at another."""

from typing import Protocol, runtime_checkable

import jax
import optax

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


def _moved(method: str, kind: type, state: optax.OptState, params: optax.Params) -> optax.Params:
    """The params after every state of the kind has moved its own leaves."""
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


def eval_params(state: optax.OptState, params: optax.Params) -> optax.Params:
    """The params to evaluate and to keep, wherever the method trains.

    Args:
      state: of any optimizer; methods are found inside chains, wrappers and `nnx.Optimizer.opt_state`.
      params: the params being trained.

    Returns:
      For methods that train at a lookahead point (`nesterov`), the point they look ahead from; for all others,
      `params`.

    Raises:
      ValueError: two methods inside the state train the same params elsewhere.
    """
    return _moved("eval_params", TrainsElsewhere, state, params)


def lookahead_params(state: optax.OptState, params: optax.Params) -> optax.Params:
    """The params to take the next gradient at, wherever the method wants it.

    Args:
      state: of any optimizer; methods are found as by `eval_params`.
      params: the params being trained.

    Returns:
      For `nesterov_lookahead`, `params + beta * velocity`; for all others, `params`.

    Raises:
      ValueError: two methods inside the state look ahead of the same params.
    """
    return _moved("lookahead_params", LooksAhead, state, params)
