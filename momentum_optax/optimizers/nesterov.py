"""Nesterov's accelerated gradient, trained at the lookahead points (Nesterov, 1983; Sutskever et al., 2013)."""

from typing import Any, NamedTuple

import jax
import optax

from .. import _coefficient as coefficient
from .. import _leafwise as leafwise
from .._adaptive import adaptive
from .._finish import finish_inside
from .._transformation import transformation
from .._types import Coefficient, Mask
from ..filters import _lookahead as lookahead


class NesterovState(NamedTuple):
    """State of `scale_by_nesterov`.

    Attributes:
      count: `()` int32, updates so far.
      velocity: decaying sum of steps; shaped like the params.
      ahead: `()` for each coefficient: the beta by which the params are ahead, `params = theta + ahead * velocity`.
    """

    count: jax.Array
    velocity: Any
    ahead: Any

    def eval_params(self, params: optax.Params) -> optax.Params:
        """`params - ahead * velocity`: the point that is looked ahead from."""
        return leafwise.shift(params, self.velocity, self.ahead, sign=-1)


@adaptive
def scale_by_nesterov(
    beta: Coefficient = 0.9, *, state_dtype: jax.typing.DTypeLike | None = None
) -> optax.GradientTransformationExtraArgs:
    """Turns the steps of gradient descent into those of `nesterov`; goes after the learning rate.

    With incoming step `s`, at the count that the update sees, starting from `ahead = beta(0)`:

        velocity <- ahead * velocity + s
        ahead    <- beta(count + 1)
        update   <- s + ahead * velocity

    Args:
      beta: see `nesterov`.
      state_dtype: see `heavy_ball`.
    """
    beta = coefficient.check("beta", beta)

    def init(params: optax.Params) -> NesterovState:
        return NesterovState(*lookahead.start(beta, params, state_dtype))

    def update(updates, state: NesterovState, params=None, **extra) -> tuple[optax.Updates, NesterovState]:
        del params, extra
        value, parts = lookahead.move(beta, updates, state)
        updates = leafwise.emit(lambda s, v, b: b * v + s, updates, (value,), parts[2])
        return updates, NesterovState(*parts)

    return transformation(init, update)


@adaptive
def nesterov(
    learning_rate: Coefficient,
    beta: Coefficient = 0.9,
    *,
    weight_decay: Coefficient = None,
    mask: Mask | None = None,
    state_dtype: jax.typing.DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Nesterov's accelerated gradient, exact under every schedule of `beta` and `learning_rate`.

    The method moves `theta` and takes its gradient ahead of it. Here the params *are* the lookahead points, so that the
    gradient at the params is the one that is needed. With `g` the gradient at `params = theta + beta(count) *
    velocity`:

        velocity <- beta(count) * velocity - learning_rate(count) * g
        theta    <- theta + velocity
        params   <- theta + beta(count + 1) * velocity

    `eval_params(state, params)` returns `theta`, at which to evaluate. For constant coefficients the params are those
    of torch's `SGD(nesterov=True)`.

    Args:
      learning_rate: see `heavy_ball`.
      beta: how much of the velocity survives a step, in [0, 1).
      weight_decay: see `heavy_ball`; the decay is not remembered.
      mask: see `heavy_ball`.
      state_dtype: see `heavy_ball`.

    Returns:
      An optimizer, ready for `init` and `update`.

    Raises:
      TypeError: a coefficient is no number, schedule or tree of these.
      ValueError: a coefficient is out of range, or (at init) its tree does not fit the params.

    References:
      Nesterov (1983), "A method of solving a convex programming problem with convergence rate O(1/k^2)".
      Sutskever, Martens, Dahl and Hinton (2013), "On the importance of initialization and momentum in deep learning".
      https://proceedings.mlr.press/v28/sutskever13.html
    """
    return finish_inside(scale_by_nesterov(beta, state_dtype=state_dtype), learning_rate, weight_decay, mask)
