"""The filter without memory."""

from typing import NamedTuple

import optax

from .._transformation import transformation


class IdentityState(NamedTuple):
    """State of `identity`: nothing."""


def identity() -> optax.GradientTransformationExtraArgs:
    """Passes each gradient on: `update <- g`. The term of a `blend` that is the gradient itself."""

    def init(params: optax.Params) -> IdentityState:
        del params
        return IdentityState()

    def update(updates, state: IdentityState, params=None, **extra) -> tuple[optax.Updates, IdentityState]:
        del params, extra
        return updates, state

    return transformation(init, update)
