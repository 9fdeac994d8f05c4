"""RMSProp, plain, centred and with momentum (Hinton, 2012; Graves, 2013)."""

from collections.abc import Callable
from typing import Any

import jax
import optax

from .. import _coefficient as coefficient
from .. import _grouping as grouping
from .. import _leafwise as leafwise
from .._adaptive import adaptive
from .._finish import finish_inside, join
from .._transformation import transformation
from .._types import Coefficient, Mask, Scalar
from ..directions.divide import divide
from ..directions.root_mean_square import root_mean_square
from ..directions.root_variance import root_variance
from ..filters.identity import identity
from ..filters.trace import TraceState, trace

Finish = Callable[[optax.GradientTransformation], optax.GradientTransformationExtraArgs]
"""What a velocity is the middle of: `velocity -> transformation`."""


def _method(
    finish: Finish,
    decay: Coefficient,
    eps: Coefficient,
    initial_scale: Scalar,
    eps_in_sqrt: bool,
    centered: bool,
    momentum: Coefficient,
    nesterov: bool,
    bias_correction: bool,
    state_dtype: jax.typing.DTypeLike | None,
) -> optax.GradientTransformationExtraArgs:
    decay = coefficient.check("decay", decay)
    eps = coefficient.check("eps", eps, coefficient.NON_NEGATIVE)
    initial_scale = coefficient.number("initial_scale", initial_scale, coefficient.NON_NEGATIVE)
    momentum = coefficient.check("momentum", momentum)
    outside, inside = (0.0, eps) if eps_in_sqrt else (eps, 0.0)
    root = root_variance if centered else root_mean_square
    by = root(decay, outside, inside, debias=bias_correction, initial=initial_scale, state_dtype=state_dtype)
    quotient = grouping.named(divide(identity(), by=by), decay=decay, eps=eps)

    def around(velocity: optax.GradientTransformation) -> optax.GradientTransformationExtraArgs:
        return finish(grouping.named(velocity, momentum=momentum))

    remembers_all = not any(map(coefficient.is_zero, jax.tree.leaves((decay, momentum))))
    if not (nesterov and remembers_all):
        return join(quotient, around(trace(momentum, nesterov=nesterov, state_dtype=state_dtype)))

    plain = trace(momentum, state_dtype=state_dtype)
    ahead = around(transformation(plain.init, _look_ahead(momentum)))
    return _from_the_state(join(quotient, around(plain)), ahead, outside, inside, bias_correction)


def _look_ahead(momentum: Coefficient) -> Any:
    """What `trace` does last with `nesterov`, from a velocity that has been moved."""

    def update(updates, state: TraceState, params=None, **extra) -> tuple[optax.Updates, TraceState]:
        del params, extra
        now = coefficient.at(momentum, state.count)
        return leafwise.emit(lambda g, v, b: b * v + g, updates, (state.velocity,), now), state

    return update


def _from_the_state(
    tx: optax.GradientTransformationExtraArgs,
    ahead: optax.GradientTransformationExtraArgs,
    eps: Any,
    eps_root: Any,
    debias: bool,
) -> optax.GradientTransformationExtraArgs:
    """`tx`, whose updates `ahead` forms from the new velocity and from quotients of the new second moment.

    Both the velocity and the update take the quotient in. A compiler keeps it in between, an array more of the size of
    the params, which costs more than to divide twice.
    """

    def quotient(updates, old, new):
        # Behind a barrier the compiler does not see that these are the quotients that it has formed already.
        second = jax.lax.optimization_barrier(new.second_moment) if jax.tree.leaves(updates) else new.second_moment
        inverse = jax.tree.map(lambda w: 1 / w, new.weight) if debias else 1.0
        return leafwise.emit(
            lambda g, s, i, e, e_root: g / (leafwise.root(s * i + e_root) + e),
            updates,
            (second,),
            inverse,
            coefficient.at(eps, old.count),
            coefficient.at(eps_root, old.count),
        )

    def is_velocity(state):
        return isinstance(state, TraceState)

    def update(updates, state: Any, params=None, **extra) -> tuple[optax.Updates, Any]:
        wide = leafwise.widen_tree(updates)
        new: Any = tx.update(wide, state, params, **extra)[1]
        again = quotient(wide, state[0].denominator, new[0].denominator)
        # The learning rate and the decay at the counts of this step, around the velocity after it.
        moved = jax.tree.map(lambda o, n: n if is_velocity(o) else o, state[1], new[1], is_leaf=is_velocity)
        steps, _ = ahead.update(again, moved, params, **extra)
        return leafwise.emit(lambda _, step: step, updates, (steps,)), new

    return transformation(tx.init, update)


@adaptive
def scale_by_rmsprop(
    decay: Coefficient = 0.9,
    eps: Coefficient = 1e-8,
    initial_scale: Scalar = 0.0,
    eps_in_sqrt: bool = True,
    centered: bool = False,
    momentum: Coefficient = None,
    nesterov: bool = False,
    bias_correction: bool = False,
    *,
    state_dtype: jax.typing.DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """The direction of `rmsprop` at a constant learning rate: a velocity of quotients, as torch has it.

    Args:
      decay: see `rmsprop`.
      eps: see `rmsprop`.
      initial_scale: see `rmsprop`.
      eps_in_sqrt: see `rmsprop`.
      centered: see `rmsprop`.
      momentum: see `rmsprop`.
      nesterov: see `rmsprop`.
      bias_correction: see `rmsprop`.
      state_dtype: see `heavy_ball`.
    """
    numbers = (decay, eps, initial_scale, eps_in_sqrt, centered, momentum, nesterov, bias_correction)
    return _method(optax.with_extra_args_support, *numbers, state_dtype)


@adaptive
def rmsprop(
    learning_rate: Coefficient,
    decay: Coefficient = 0.9,
    eps: Coefficient = 1e-8,
    initial_scale: Scalar = 0.0,
    eps_in_sqrt: bool = True,
    centered: bool = False,
    momentum: Coefficient = None,
    nesterov: bool = False,
    bias_correction: bool = False,
    *,
    weight_decay: Coefficient = None,
    mask: Mask | None = None,
    state_dtype: jax.typing.DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """RMSProp: each gradient divided by how large gradients have been.

    With gradient `g`, starting from `second_moment = initial_scale` and `velocity = 0`:

        second_moment <- decay * second_moment + (1 - decay) * |g|^2
        velocity      <- momentum * velocity - learning_rate * g / sqrt(second_moment + eps)
        params        <- params + velocity

    The arguments are those of `optax.rmsprop`, and so are the numbers. (Under a schedule of `momentum`, which Optax
    does not take, `nesterov` looks ahead by the next momentum, as `trace` does.) As in Optax and Keras the learning
    rate is inside the velocity; torch has it outside (`compat.torch_rmsprop`, or `scale_by_rmsprop` before the learning
    rate).

    Args:
      learning_rate: see `heavy_ball`.
      decay: how much of the second moment survives a step, in [0, 1).
      eps: finite and at least 0; in units of the squared gradient, or with `eps_in_sqrt=False` of the gradient.
      initial_scale: where the second moment starts, finite and at least 0; TensorFlow 1 took 1.
      eps_in_sqrt: whether `eps` is added inside the root (Optax, Keras) or outside (torch).
      centered: whether to divide by the root of the variance, by `root_variance`.
      momentum: how much of the velocity survives a step, in [0, 1); `None` for no velocity.
      nesterov: whether to look ahead.
      bias_correction: whether to divide the second moment by the weight of the gradients seen.
      weight_decay: see `heavy_ball`; the decay is not remembered.
      mask: see `heavy_ball`.
      state_dtype: see `heavy_ball`.

    Returns:
      An optimizer, ready for `init` and `update`.

    Raises:
      TypeError: a coefficient is no number, schedule or tree of these, or `initial_scale` no number.
      ValueError: a number is out of range, or (at init) a tree does not fit the params.

    References:
      Hinton (2012), "Neural Networks for Machine Learning", lecture 6e.
      https://www.cs.toronto.edu/~tijmen/csc321/slides/lecture_slides_lec6.pdf
      Graves (2013), "Generating Sequences With Recurrent Neural Networks". https://arxiv.org/abs/1308.0850
    """
    numbers = (decay, eps, initial_scale, eps_in_sqrt, centered, momentum, nesterov, bias_correction)
    return _method(lambda v: finish_inside(v, learning_rate, weight_decay, mask), *numbers, state_dtype)
