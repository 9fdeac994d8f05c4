"""No step against the gradient (Liang et al., 2024)."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import optax

from .. import _coefficient as coefficient
from .. import _leafwise as leafwise
from .. import _sums as sums
from .._transformation import extended, transformation
from .._types import Scalar
from ..directions.sign import agreement


class CautiousState(NamedTuple):
    """State of `cautious`.

    Attributes:
      inner_state: state of the transformation that is made cautious.
    """

    inner_state: Any


def cautious(
    tx: optax.GradientTransformation, eps: Scalar = 1e-3, *, downhill: bool = True
) -> optax.GradientTransformationExtraArgs:
    """Leaves out every number of an update that goes against its gradient, and enlarges the others to make up for it.

    For every leaf, with gradient `g` and the update `u` of `tx`:

        mask   <- 1 where u goes the way that g asks for, else 0
        update <- u * mask / max(mean(mask), eps)

    What `tx` remembers is not changed. Weight decay is part of what is left out if it is inside `tx`; the authors have
    it outside, as in `chain(cautious(scale_by_lion(), downhill=False), add_decayed_weights(0.1),
    scale_by_learning_rate(1e-4))`. Nor should a method be inside that trains elsewhere than it answers (`nesterov`): it
    counts on its steps.

    Args:
      tx: an optimizer, or with `downhill=False` a part of one; Optax's, too.
      eps: the least mean to divide by, above 0: where only a few numbers agree, they grow by at most `1 / eps`.
      downhill: whether the updates of `tx` go down the gradient, as those of an optimizer do; False for parts that come
        before the learning rate. Of complex numbers, real and imaginary part go together.

    Returns:
      A transformation that passes `params` and extra arguments on.

    Raises:
      TypeError: `tx` is no transformation, or `eps` not one number.
      ValueError: `eps` is not above 0.

    Examples:
      After a gradient of 1 in both places, the velocity is against the second of the next:

      >>> import jax.numpy as jnp, momentum_optax as mo
      >>> tx = mo.cautious(mo.heavy_ball(1.0, beta=0.5))
      >>> state = tx.init(jnp.zeros(2))
      >>> for g in ([1.0, 1.0], [1.0, -0.25]):
      ...     update, state = tx.update(jnp.array(g), state)
      ...     print(update)
      [-1. -1.]
      [-3. -0.]

    References:
      Liang, Chen, Liu and Liu (2024), "Cautious Optimizers: Improving Training with One Line of Code".
      https://arxiv.org/abs/2411.16085
    """
    least: Any = coefficient.number("eps", eps, coefficient.POSITIVE)
    inside = extended(tx)
    way = -1 if downhill else 1

    def leaf(g, u):
        if not u.size:
            return u
        mask = way * agreement(u, g) > 0
        mean = sums.count(mask).astype(u.real.dtype) / mask.size
        return u * jnp.where(mask, 1 / jnp.maximum(mean, least), 0)

    def init(params: optax.Params) -> CautiousState:
        return CautiousState(inside.init(params))

    def update(updates, state: CautiousState, params=None, **extra) -> tuple[optax.Updates, CautiousState]:
        stepped, inner = inside.update(leafwise.widen_tree(updates), state.inner_state, params, **extra)
        return leafwise.emit(leaf, updates, (stepped,)), CautiousState(leafwise.like(inner, state.inner_state))

    return transformation(init, update)
