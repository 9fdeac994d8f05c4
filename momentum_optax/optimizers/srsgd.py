"""Stochastic gradient descent with scheduled restarts of Nesterov's momentum (Wang et al., 2020)."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from .. import _coefficient as coefficient
from .. import _grouping as grouping
from .. import _leafwise as leafwise
from .._finish import finish_inside
from .._transformation import increment, transformation, zero_count
from .._types import Coefficient, Mask


class SrsgdState(NamedTuple):
    """State of `scale_by_srsgd`.

    Attributes:
      count: `()` int32, updates so far.
      velocity: the last step of `theta`; shaped like the params.
      ahead: `()` for each period: how far the params are ahead, `params = theta + ahead * velocity`.
      phase: `()` for each period: updates since the last restart.
    """

    count: jax.Array
    velocity: Any
    ahead: Any
    phase: Any

    def eval_params(self, params: optax.Params) -> optax.Params:
        """`params - ahead * velocity`: the end of the last step, before the extrapolation."""
        return leafwise.shift(params, self.velocity, self.ahead, sign=-1)


def scale_by_srsgd(
    period: Coefficient = 40, *, state_dtype: jax.typing.DTypeLike | None = None
) -> optax.GradientTransformationExtraArgs:
    """Turns the steps of gradient descent into those of `srsgd`; goes after the learning rate.

    With incoming step `s`, starting from `velocity = ahead = phase = 0`:

        velocity <- ahead * velocity + s
        ahead    <- phase / (phase + 3)
        phase    <- phase + 1, and 0 when that is period
        update   <- s + ahead * velocity

    Args:
      period: see `srsgd`.
      state_dtype: see `heavy_ball`.
    """
    period = coefficient.check("period", period, coefficient.AT_LEAST_ONE)

    def init(params: optax.Params) -> SrsgdState:
        grouping.fit("period", period, params)
        velocity = leafwise.zeros(params, state_dtype)
        return SrsgdState(zero_count(), velocity, coefficient.zeros(period), coefficient.zeros(period))

    def update(updates, state: SrsgdState, params=None, **extra) -> tuple[optax.Updates, SrsgdState]:
        del params, extra
        value, velocity = leafwise.remember(lambda s, v, a: a * v + s, updates, state.velocity, state.ahead)
        ahead = grouping.advance(lambda _, j: j / (j + 3), updates, state.ahead, state.phase)
        updates_out = leafwise.emit(lambda s, v, a: s + a * v, updates, (value,), ahead)
        phase = grouping.advance(
            lambda j, end: jnp.where(j + 1 >= end, 0, j + 1), updates, state.phase, coefficient.at(period, state.count)
        )
        return updates_out, SrsgdState(increment(state.count), velocity, ahead, phase)

    return transformation(init, update)


def srsgd(
    learning_rate: Coefficient,
    period: Coefficient = 40,
    *,
    weight_decay: Coefficient = None,
    mask: Mask | None = None,
    state_dtype: jax.typing.DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Scheduled restart SGD: momentum that grows as in Nesterov's method and is taken away every `period` updates.

    With `g` the gradient at the params, at update `t = 1, 2, ...`, starting from `theta = params`:

        theta  <- params - learning_rate * g
        params <- theta + j / (j + 3) * (theta - previous theta),   j = (t - 1) mod period

    `eval_params(state, params)` returns `theta`. It is `nesterov` under that schedule of beta; growing momentum
    accumulates the errors of noisy gradients, and the restarts bound them.

    Args:
      learning_rate: see `heavy_ball`.
      period: updates from one restart to the next, at least 1; 1 is gradient descent. A number, a schedule (the authors
        let it grow from stage to stage), or a tree of these. In the authors' code it is `restarting_iter - 1`.
      weight_decay: see `heavy_ball`; the decay is not remembered. (The authors' is part of the gradient: chain
        `add_decayed_weights` before.)
      mask: see `heavy_ball`.
      state_dtype: see `heavy_ball`.

    Returns:
      An optimizer, ready for `init` and `update`.

    Raises:
      TypeError: a coefficient is no number, schedule or tree of these.
      ValueError: a coefficient is out of range, or (at init) its tree does not fit the params.

    References:
      Wang, Nguyen, Sun, Bertozzi, Baraniuk and Osher (2020), "Scheduled Restart Momentum for Accelerated Stochastic
      Gradient Descent". https://arxiv.org/abs/2002.10583
      The authors' code, https://github.com/minhtannguyen/SRSGD
    """
    return finish_inside(scale_by_srsgd(period, state_dtype=state_dtype), learning_rate, weight_decay, mask)
