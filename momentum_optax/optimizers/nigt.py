"""Normalized descent with implicit gradient transport (Cutkosky and Mehta, 2020)."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from .. import _coefficient as coefficient
from .. import _grouping as grouping
from .. import _leafwise as leafwise
from .. import _sums as sums
from .._adaptive import adaptive
from .._transformation import increment, transformation, zero_count
from .._types import Coefficient


class NigtState(NamedTuple):
    """State of `nigt`.

    Attributes:
      count: `()` int32, updates so far.
      velocity: moving average of gradients; shaped like the params.
      rate: `()` for each learning rate: the last step was `rate * velocity`.
      beta: `()` for each beta: the one by which the params are ahead.
    """

    count: jax.Array
    velocity: Any
    rate: Any
    beta: Any

    def eval_params(self, params: optax.Params) -> optax.Params:
        """`params + beta / (1 - beta) * rate * velocity`: the point that the last step went to."""

        def is_leaf(node):
            return isinstance(node, leafwise.NoMemory | optax.MaskedNode)

        rates, betas = (grouping.spread(values, self.velocity, is_leaf) for values in (self.rate, self.beta))
        ahead = [rate * beta / (1 - beta) for rate, beta in zip(rates, betas, strict=True)]
        structure = jax.tree.structure(self.velocity, is_leaf=is_leaf)
        return leafwise.shift(params, self.velocity, structure.unflatten(ahead), sign=1)


@adaptive
def nigt(
    learning_rate: Coefficient, beta: Coefficient = 0.9, *, state_dtype: jax.typing.DTypeLike | None = None
) -> optax.GradientTransformationExtraArgs:
    """Steps of one length along an average of gradients, each of which was taken so far ahead that it fits here.

    The gradients in an average are those of older points. Taken ahead along the last step, the newest makes up for what
    the others lag behind, to first order, and at no cost. The params are the points ahead; with `g` the gradient there,
    and `theta` where the steps lead, starting from `theta = params`:

        velocity <- beta * velocity + (1 - beta) * g                         (at the first update velocity <- g)
        step     <- -learning_rate * velocity / |velocity|, the norm over all leaves
        theta    <- theta + step
        params   <- theta + next_beta / (1 - next_beta) * step

    `eval_params(state, params)` returns `theta`, at which to evaluate. Where the velocity is 0 there is no step. The
    first update is the state's, not a leaf's: a leaf whose first gradient comes later begins with `(1 - beta) * g`. So
    is the norm: a leaf that sits out (`None`) is led back by the norm of the others' last step, not of its own.

    Args:
      learning_rate: the length of a step, finite and at least 0; a number, a schedule, or a tree of these.
      beta: how much of the average survives a step, in [0, 1); at a plain 0 this is normalized descent, and nothing is
        kept.
      state_dtype: dtype of `velocity`; `None` keeps the dtype of each param.

    Returns:
      An optimizer, ready for `init` and `update`.

    Raises:
      TypeError: a coefficient is no number, schedule or tree of these.
      ValueError: a coefficient is out of range, or (at init) its tree does not fit the params.

    Examples:
      >>> import jax.numpy as jnp, momentum_optax as mo
      >>> tx = mo.nigt(1.0, beta=0.5)
      >>> params = jnp.array([0.0, 0.0])
      >>> state = tx.init(params)
      >>> update, state = tx.update(jnp.array([3.0, 4.0]), state, params)
      >>> params = mo.apply_updates(params, update)
      >>> print(params, mo.eval_params(state, params))
      [-1.2 -1.6] [-0.6 -0.8]

    References:
      Cutkosky and Mehta (2020), "Momentum Improves Normalized SGD", algorithm 1. https://arxiv.org/abs/2002.03305
    """
    learning_rate = coefficient.check("learning_rate", learning_rate, coefficient.NON_NEGATIVE)
    beta = coefficient.check("beta", beta)

    def init(params: optax.Params) -> NigtState:
        grouping.fit("learning_rate", learning_rate, params)
        grouping.fit("beta", beta, params)
        velocity = leafwise.zeros(params, state_dtype, decay=beta)
        start = coefficient.stored(coefficient.at(beta, zero_count()))
        return NigtState(zero_count(), velocity, coefficient.zeros(learning_rate), start)

    def update(updates, state: NigtState, params=None, **extra) -> tuple[optax.Updates, NigtState]:
        del params, extra
        count, first = increment(state.count), state.count == 0
        decay = jax.tree.map(lambda b: jnp.where(first, 0.0, b), state.beta)
        value, velocity = leafwise.remember(lambda g, v, b: b * v + (1 - b) * g, updates, state.velocity, decay)
        norm = leafwise.root(sums.inner_product(value, value))
        inverse = jnp.where(norm == 0, 0.0, 1 / jnp.where(norm == 0, 1.0, norm))
        rate = grouping.advance(
            lambda _, lr: lr * inverse, updates, state.rate, coefficient.at(learning_rate, state.count)
        )
        ahead = grouping.advance(lambda _, b: b, updates, state.beta, coefficient.at(beta, count))
        updates = leafwise.emit(_step, updates, (value,), state.rate, rate, decay, ahead)
        return updates, NigtState(count, velocity, rate, ahead)

    return transformation(init, update)


def _step(g: Any, m: Any, rate_before: Any, rate: Any, b: Any, ahead: Any) -> Any:
    """To the next point ahead, from the one before: back to `theta`, one step on, and ahead of that.

    The way back is along the old velocity, `b * old = m - (1 - b) * g`, which is written over by now.
    """
    return rate_before * (m / (1 - b) - g) - rate / (1 - ahead) * m
