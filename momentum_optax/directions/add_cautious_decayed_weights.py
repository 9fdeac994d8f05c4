"""Weight decay where it does not oppose the step (Chen et al., 2025)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from .. import _coefficient as coefficient
from .. import _grouping as grouping
from .. import _leafwise as leafwise
from .._adaptive import adaptive
from .._finish import decaying
from .._transformation import increment, transformation, zero_count
from .._types import Coefficient, Mask
from .sign import agreement


class CautiousDecayState(NamedTuple):
    """State of `add_cautious_decayed_weights`.

    Attributes:
      count: `()` int32, updates so far.
    """

    count: jax.Array


@adaptive
def add_cautious_decayed_weights(
    weight_decay: Coefficient, mask: Mask | None = None
) -> optax.GradientTransformationExtraArgs:
    """Adds a multiple of those params that the step is going to bring nearer to 0.

        update <- g + weight_decay * (params where params * g >= 0, else 0)

    It stands where `add_decayed_weights` does, after the direction and before the learning rate, so that `g` goes
    uphill: `chain(scale_by_lion(), add_cautious_decayed_weights(0.1), scale_by_learning_rate(1e-4))`. A weight that
    the loss wants larger is left in peace: the minimum of the loss is no longer moved. Of complex numbers the real part
    of `conj(params) * g` is asked.

    Args:
      weight_decay: a finite coefficient.
      mask: which leaves decay; a tree or tree prefix of bools, or a function of the params giving one. `None` for all.

    Returns:
      A transformation whose `update` needs `params` and raises a ValueError without them.

    Raises:
      TypeError: `weight_decay` is no number, schedule or tree of these.
      ValueError: it is not finite, or (at init) its tree or that of `mask` does not fit the params.

    References:
      Chen, Li, Liang, Su, Xie, Wang Pierse, Liang, Lao and Liu (2025), "Cautious Weight Decay".
      https://arxiv.org/abs/2510.12402
    """
    weight_decay = coefficient.check("weight_decay", weight_decay, coefficient.FINITE)

    def leaf(g, p, wd, chosen):
        return g + wd * jnp.where(agreement(p, g) >= 0, p, 0) if chosen else g

    def init(params: optax.Params) -> CautiousDecayState:
        grouping.fit("weight_decay", weight_decay, params)
        grouping.fit("mask", decaying(mask, params), params)
        return CautiousDecayState(zero_count())

    def update(updates, state: CautiousDecayState, params=None, **extra) -> tuple[optax.Updates, CautiousDecayState]:
        del extra
        if params is None:
            raise ValueError("weight_decay needs the params: call update(updates, state, params).")
        now = coefficient.at(weight_decay, state.count)
        updates = leafwise.emit(leaf, updates, (params,), now, decaying(mask, params))
        return updates, CautiousDecayState(increment(state.count))

    return transformation(init, update)
