"""The exponential moving average of gradients (Kingma and Ba, 2014)."""

from typing import Any, NamedTuple

import jax
import optax

from .. import _coefficient as coefficient
from .. import _grouping as grouping
from .. import _leafwise as leafwise
from .._adaptive import adaptive
from .._transformation import increment, transformation, zero_count
from .._types import Coefficient


class EmaState(NamedTuple):
    """State of `ema`.

    Attributes:
      count: `()` int32, updates so far.
      velocity: moving average of gradients, biased towards its start at 0; shaped like the params.
      weight: `()` for each coefficient: how much the gradients so far weigh in the average, 1 minus the product of all
        betas so far.
    """

    count: jax.Array
    velocity: Any
    weight: Any


@adaptive
def ema(
    beta: Coefficient,
    *,
    debias: bool = True,
    nesterov: bool = False,
    state_dtype: jax.typing.DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Replaces each gradient by a moving average of all gradients so far.

    For every leaf, with gradient `g`, starting from `velocity = 0` and `weight = 0`, at the count that the update sees,
    with `beta = beta(count)` and `next_beta = beta(count + 1)`:

        velocity <- beta * velocity + (1 - beta) * g
        weight   <- beta * weight + (1 - beta)
        update   <- velocity / weight                                            (plain)
        update   <- next_beta * velocity / next_weight + (1 - beta) * g / weight (nesterov)

    where `next_weight = next_beta * weight + (1 - next_beta)`; without `debias` both weights are 1. With `nesterov` the
    first updates are larger than a constant gradient: both terms are debiased, and their ages differ. `weight` is the
    average of a gradient that is always 1, so that the debiased (plain) average of a constant is that constant
    under every schedule of beta. It equals 1 minus the product of the betas; kept in this form it does not cancel when
    beta is close to 1.

    A leaf that has no gradient (`None`) keeps its velocity; the weight is shared by the leaves under one coefficient
    and counts the step while any of them has a gradient. For leaves that rest at different times, give a tree of betas.

    Args:
      beta: how much of the past survives a step, in [0, 1); where it is a plain 0, no velocity is kept.
      debias: whether to divide by the weight of the gradients seen.
      nesterov: whether to weigh the newest gradient as the next average will (Dozat).
      state_dtype: dtype of `velocity`; `None` keeps the dtype of each param.

    Returns:
      A transformation that ignores `params`.

    Raises:
      TypeError: `beta` is no number, schedule or tree of these.
      ValueError: `beta` is out of range, or (at init) its tree does not fit the params.

    Examples:
      Averages of 1, 2, 3 with weights 1/4, 1/2, 1 of the last gradient's:

      >>> import jax.numpy as jnp, momentum_optax as mo
      >>> tx = mo.ema(0.5)
      >>> state = tx.init(jnp.zeros(()))
      >>> for g in (1.0, 2.5, 3.0):
      ...     update, state = tx.update(jnp.asarray(g), state)
      ...     print(update)
      1.0
      2.0
      2.5714285

    References:
      Kingma and Ba (2014), "Adam: A Method for Stochastic Optimization". https://arxiv.org/abs/1412.6980
      Dozat (2016), "Incorporating Nesterov Momentum into Adam". https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ
    """
    beta = coefficient.check("beta", beta)

    def init(params: optax.Params) -> EmaState:
        grouping.fit("beta", beta, params)
        return EmaState(zero_count(), leafwise.zeros(params, state_dtype, decay=beta), coefficient.zeros(beta))

    def update(updates, state: EmaState, params=None, **extra) -> tuple[optax.Updates, EmaState]:
        del params, extra
        count = increment(state.count)
        now, ahead = coefficient.at(beta, state.count), coefficient.at(beta, count)
        weight = grouping.advance(average, updates, state.weight, now)
        value, velocity = leafwise.remember(lambda g, v, b: average(v, b, g), updates, state.velocity, now)
        if nesterov:
            # The factors are formed once for each coefficient, not for each leaf.
            past = jax.tree.map(lambda a, w: a / average(w, a) if debias else a, ahead, weight)
            newest = jax.tree.map(lambda b, w: (1 - b) / w if debias else 1 - b, now, weight)
            updates = leafwise.emit(lambda g, v, p, n: p * v + n * g, updates, (value,), past, newest)
        elif debias:
            updates = leafwise.emit(lambda g, v, w: v / w, updates, (value,), weight)
        else:
            updates = leafwise.emit(lambda g, v: v, updates, (value,))
        return updates, EmaState(count, velocity, weight)

    return transformation(init, update)


def average(old: Any, beta: Any, new: Any = 1) -> Any:
    """`beta * old + (1 - beta) * new`: one step of a moving average, and of the weight of what it has seen."""
    return beta * old + (1 - beta) * new
