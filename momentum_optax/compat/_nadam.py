"""The numerator that torch's and Keras's NAdam share, with a momentum that grows (Dozat, 2016)."""

from typing import Any, NamedTuple

import jax
import optax

from .. import _coefficient as coefficient
from .. import _grouping as grouping
from .. import _leafwise as leafwise
from .._transformation import increment, transformation, zero_count
from .._types import Coefficient
from ..filters.ema import average


class NadamAverageState(NamedTuple):
    """State of `nadam_average`.

    Attributes:
      count: `()` int32, updates so far.
      velocity: moving average of gradients by the constant `b1`; shaped like the params.
      weight: `()` for each coefficient: 1 minus the product of all `mu` so far.
    """

    count: jax.Array
    velocity: Any
    weight: Any


def nadam_average(
    b1: Coefficient, momentum_decay: Coefficient, state_dtype: jax.typing.DTypeLike | None
) -> optax.GradientTransformationExtraArgs:
    """Dozat's lookahead, in which the average is taken by `b1` and debiased as if it were by `mu`.

    At step `t`, 1 at the first update, with `mu(t) = b1 * (1 - 0.96 ** (t * momentum_decay) / 2)`:

        velocity <- b1 * velocity + (1 - b1) * g
        weight   <- mu(t) * weight + (1 - mu(t))
        update   <- mu(t + 1) * velocity / next_weight + (1 - mu(t)) * g / weight

    where `next_weight = mu(t + 1) * weight + (1 - mu(t + 1))`. `b1` is that of the step in both.
    """

    def grown(ahead: float) -> Any:
        return coefficient.combine(
            lambda b, decay, step: b * (1 - 0.5 * 0.96 ** (step * decay)),
            b1,
            momentum_decay,
            lambda count: count + ahead,
        )

    mu, next_mu = grown(1.0), grown(2.0)

    def init(params: optax.Params) -> NadamAverageState:
        return NadamAverageState(zero_count(), leafwise.zeros(params, state_dtype, decay=b1), coefficient.zeros(mu))

    def update(updates, state: NadamAverageState, params=None, **extra) -> tuple[optax.Updates, NadamAverageState]:
        del params, extra
        beta, now, ahead = (coefficient.at(c, state.count) for c in (b1, mu, next_mu))
        weight = grouping.advance(average, updates, state.weight, now)
        old = jax.tree.map(lambda n, w: (1 - n) / w, now, weight)
        new = jax.tree.map(lambda n, w: n / average(w, n), ahead, weight)
        value, velocity = leafwise.remember(lambda g, v, b: average(v, b, g), updates, state.velocity, beta)
        updates = leafwise.emit(lambda g, v, n, o: n * v + o * g, updates, (value,), new, old)
        return updates, NadamAverageState(increment(state.count), velocity, weight)

    return transformation(init, update)
