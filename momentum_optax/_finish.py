"""From a direction to a step: weight decay and the learning rate, the same for every optimizer."""

from typing import Any, NamedTuple

import jax
import numpy as np
import optax

from . import _coefficient as coefficient
from . import _grouping as grouping
from . import _leafwise as leafwise
from ._adaptive import adaptive
from ._transformation import increment, transformation, zero_count
from ._types import Coefficient, Mask


class LearningRateState(NamedTuple):
    """State of `scale_by_learning_rate`.

    Attributes:
      count: `()` int32, updates so far. Kept for a constant too, so that a schedule can take over from a checkpoint.
    """

    count: jax.Array


class DecayState(NamedTuple):
    """State of `add_decayed_weights`.

    Attributes:
      count: `()` int32, updates so far.
    """

    count: jax.Array


@adaptive
def scale_by_learning_rate(learning_rate: Coefficient) -> optax.GradientTransformationExtraArgs:
    """Turns a direction into a step downhill: `update <- -learning_rate(count) * g`.

    Unlike Optax's transformation of this name it keeps the dtype of the updates also for a traced learning rate, takes
    a tree of learning rates, and lets a missing gradient pass.

    Args:
      learning_rate: finite and at least 0; a number, a schedule, or a tree of these.

    Returns:
      A transformation that ignores `params`.

    Raises:
      TypeError: `learning_rate` is no number, schedule or tree of these.
      ValueError: it is out of range, or (at init) its tree does not fit the params.
    """
    learning_rate = coefficient.check("learning_rate", learning_rate, coefficient.NON_NEGATIVE)

    def init(params: optax.Params) -> LearningRateState:
        grouping.fit("learning_rate", learning_rate, params)
        return LearningRateState(zero_count())

    def update(updates, state: LearningRateState, params=None, **extra) -> tuple[optax.Updates, LearningRateState]:
        del params, extra
        updates = leafwise.emit(lambda g, lr: -lr * g, updates, (), coefficient.at(learning_rate, state.count))
        return updates, LearningRateState(increment(state.count))

    return transformation(init, update)


@adaptive
def add_decayed_weights(weight_decay: Coefficient, mask: Mask | None = None) -> optax.GradientTransformationExtraArgs:
    """Adds a multiple of the params to the updates: `update <- g + weight_decay(count) * params`.

    Before a velocity this is an L2 penalty (coupled decay); after it and before the learning rate, decoupled decay.

    Args:
      weight_decay: a finite coefficient.
      mask: which leaves decay; a tree or tree prefix of bools, or a function of the params giving one. `None` for all.
        Matched by names as coefficients are, so that a dict fits any container.

    Returns:
      A transformation whose `update` needs `params` and raises a ValueError without them.

    Raises:
      TypeError: `weight_decay` is no number, schedule or tree of these.
      ValueError: it is not finite, or (at init) its tree or that of `mask` does not fit the params.

    References:
      Loshchilov and Hutter (2017), "Decoupled Weight Decay Regularization". https://arxiv.org/abs/1711.05101
    """
    return _decay(weight_decay, mask)


def decaying(mask: Mask | None, params: optax.Params) -> Any:
    """Which leaves decay, a tree of bools."""
    if mask is None:
        return True
    function: Any = mask
    tree = function(params) if coefficient.is_schedule(mask) else mask
    for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
        if not isinstance(leaf, bool | np.bool_):
            raise TypeError(f"mask{jax.tree_util.keystr(path)} must be True or False; got {leaf!r}.")
    return tree


def _decay(
    weight_decay: Coefficient, mask: Mask | None, step: Coefficient = -1.0
) -> optax.GradientTransformationExtraArgs:
    """`update <- g - step * weight_decay * params`."""
    weight_decay = coefficient.check("weight_decay", weight_decay, coefficient.FINITE)
    step = coefficient.check("learning_rate", step, coefficient.FINITE)

    def init(params: optax.Params) -> DecayState:
        grouping.fit("weight_decay", weight_decay, params)
        grouping.fit("mask", decaying(mask, params), params)
        return DecayState(zero_count())

    def update(updates, state: DecayState, params=None, **extra) -> tuple[optax.Updates, DecayState]:
        del extra
        if params is None:
            raise ValueError("weight_decay needs the params: call update(updates, state, params).")
        updates = leafwise.emit(
            lambda g, p, wd, s, decays: g - s * wd * p if decays else g,
            updates,
            (params,),
            coefficient.at(weight_decay, state.count),
            coefficient.at(step, state.count),
            decaying(mask, params),
        )
        return updates, DecayState(increment(state.count))

    return transformation(init, update)


def _is_none(weight_decay: Coefficient) -> bool:
    return weight_decay is None or coefficient.is_zero(weight_decay)


def finish(
    direction: optax.GradientTransformation,
    learning_rate: Coefficient,
    weight_decay: Coefficient = None,
    mask: Mask | None = None,
) -> optax.GradientTransformationExtraArgs:
    """The optimizer that goes along a direction: decoupled weight decay, then the learning rate.

    Args:
      direction: transforms gradients into a direction uphill.
      learning_rate: see `scale_by_learning_rate`.
      weight_decay: see `add_decayed_weights`, multiplied by the learning rate; `None` for none.
      mask: see `add_decayed_weights`.
    """
    decay = [] if _is_none(weight_decay) else [add_decayed_weights(weight_decay, mask)]
    return join(direction, *decay, scale_by_learning_rate(learning_rate))


def finish_inside(
    direction: optax.GradientTransformation,
    learning_rate: Coefficient,
    weight_decay: Coefficient = None,
    mask: Mask | None = None,
) -> optax.GradientTransformationExtraArgs:
    """The optimizer whose memory holds steps instead of gradients: the learning rate goes in first.

    Weight decay, decoupled, stays outside the memory and is multiplied by the learning rate all the same.

    Args:
      direction: transforms steps into steps.
      learning_rate: see `scale_by_learning_rate`.
      weight_decay: see `add_decayed_weights`; `None` for none.
      mask: see `add_decayed_weights`.
    """
    decay = [] if _is_none(weight_decay) else [_decay(weight_decay, mask, learning_rate)]
    return join(scale_by_learning_rate(learning_rate), direction, *decay)


class ProximalState(NamedTuple):
    """State of the step and the decay in `finish_proximally`.

    Attributes:
      count: `()` int32, updates so far.
    """

    count: jax.Array


def finish_proximally(
    direction: optax.GradientTransformation,
    learning_rate: Coefficient,
    weight_decay: Coefficient = None,
    mask: Mask | None = None,
) -> optax.GradientTransformationExtraArgs:
    """The optimizer that goes along a direction and then divides: the decay of a proximal method.

        params <- (params - learning_rate * u) / (1 + learning_rate * weight_decay)

    Args:
      direction: transforms gradients into a direction uphill.
      learning_rate: see `scale_by_learning_rate`.
      weight_decay: finite and at least 0; `None` for none.
      mask: see `add_decayed_weights`.
    """
    if _is_none(weight_decay):
        return finish(direction, learning_rate)
    learning_rate = coefficient.check("learning_rate", learning_rate, coefficient.NON_NEGATIVE)
    weight_decay = coefficient.check("weight_decay", weight_decay, coefficient.NON_NEGATIVE)

    def init(params: optax.Params) -> ProximalState:
        grouping.fit("learning_rate", learning_rate, params)
        grouping.fit("weight_decay", weight_decay, params)
        grouping.fit("mask", decaying(mask, params), params)
        return ProximalState(zero_count())

    def update(updates, state: ProximalState, params=None, **extra) -> tuple[optax.Updates, ProximalState]:
        del extra
        if params is None:
            raise ValueError("weight_decay needs the params: call update(updates, state, params).")
        updates = leafwise.emit(
            lambda u, p, lr, wd, decays: -lr / (1 + lr * wd) * (u + wd * p) if decays else -lr * u,
            updates,
            (params,),
            coefficient.at(learning_rate, state.count),
            coefficient.at(weight_decay, state.count),
            decaying(mask, params),
        )
        return updates, ProximalState(increment(state.count))

    return join(direction, transformation(init, update))


def join(*parts: optax.GradientTransformation) -> optax.GradientTransformationExtraArgs:
    """A chain that rounds once, at its end, and not between its parts.

    In low precision what is rounded on the way is one more array of the size of the params.
    """
    chain = optax.chain(*parts)

    def update(updates, state, params=None, **extra):
        steps, new = chain.update(leafwise.widen_tree(updates), state, params, **extra)
        return leafwise.emit(lambda _, step: step, updates, (steps,)), new

    return transformation(chain.init, update)


def apply_updates(params: optax.Params, updates: optax.Updates) -> optax.Params:
    """Moves the params by the updates.

    Adds in at least float32 and keeps each param's dtype; a param whose update is `None` stays where it is.

    Args:
      params: a tree of arrays.
      updates: shaped like the params; `None` for what had no gradient.

    Returns:
      `params + updates`.

    Raises:
      ValueError: the trees do not have the same structure.
    """
    return leafwise.apply(lambda p, u: p + u, params, updates)
