"""Gradients damped by their angle with the velocity (Malviya et al., 2024)."""

from typing import Any, NamedTuple

import jax
import optax

from .. import _coefficient as coefficient
from .. import _grouping as grouping
from .. import _leafwise as leafwise
from .. import _sums as sums
from .._memories import memories, velocities
from .._paths import paths
from .._rule import ratio
from .._transformation import extended, transformation
from .._types import Scalar


class TorqueAwareState(NamedTuple):
    """State of `torque_aware`.

    Attributes:
      alignment: `()` float for each leaf: average of the cosine between gradient and velocity, which starts at 0.
      inner_state: state of the transformation whose gradients are damped.
    """

    alignment: Any
    inner_state: Any


def torque_aware(
    tx: optax.GradientTransformation, decay: Scalar = 0.9, eps: Scalar = 1e-8, *, downhill: bool = False
) -> optax.GradientTransformationExtraArgs:
    """Damps a gradient that does not agree with the velocity before the velocity takes it in.

    For every leaf, with the velocity as it is before the step:

        alignment <- decay * alignment + (1 - decay) * cos(g, velocity)
        g         <- (eps + (1 + alignment) / 2) * g

    A gradient along the velocity is taken in whole, one across it by half, one against it not at all. Steps are
    therefore about half as large as without, which the authors make up for by the learning rate. The cosine is 0 as
    long as the velocity is; a leaf without velocity is not damped. Of several velocities their sum counts. What divides
    by a size (`adam`) sees the damped gradient on both sides, where the authors' AdaTAM has it only above.

    Args:
      tx: an optimizer or filter with a velocity; Optax's, too.
      decay: how much of the alignment survives a step, in [0, 1).
      eps: how much of a gradient is always taken in; finite and at least 0.
      downhill: whether the velocity holds steps, which go down the gradient, as that of `nesterov` or of `heavy_ball`
        with `lr_in_velocity`.

    Returns:
      A transformation that passes `params` and extra arguments on.

    Raises:
      TypeError: `tx` is no transformation, or another argument not one number.
      ValueError: a number is out of range, or (at init) the state of `tx` has no velocity.

    References:
      Malviya, Mordido, Baratin, Babanezhad Harikandeh, Dziugaite, Pascanu and Chandar (2024), "Torque-Aware Momentum".
      https://arxiv.org/abs/2412.18790
    """
    survives: Any = coefficient.number("decay", decay, coefficient.DECAY)
    least: Any = coefficient.number("eps", eps, coefficient.NON_NEGATIVE)
    inside = extended(tx)
    way = -1 if downhill else 1

    def init(params: optax.Params) -> TorqueAwareState:
        inner = inside.init(params)
        if jax.tree.leaves(params) and not any(True for _ in memories(inner)):
            raise ValueError(
                "torque_aware found no velocity in the state of tx; accepted: a transformation with momentum. Its "
                f"state is {jax.tree.structure(inner)}."
            )
        return TorqueAwareState(jax.tree.map(lambda _: coefficient.stored(0), params), inner)

    def damped(g, old, known):
        if g is None:
            return g, old
        wide = leafwise.widen(g)
        if not known:
            return wide, old
        velocity = way * sum(map(leafwise.widen, known[1:]), start=leafwise.widen(known[0]))
        across, whole, length = sums.inner_products((wide, velocity), (wide, wide), (velocity, velocity))
        cosine = ratio(across, leafwise.root(whole) * leafwise.root(length))
        new = survives * old + (1 - survives) * cosine
        return (least + (1 + new) / 2) * wide, new.astype(old.dtype)

    def update(updates, state: TorqueAwareState, params=None, **extra) -> tuple[optax.Updates, TorqueAwareState]:
        leaves, structure = jax.tree.flatten(updates, is_leaf=grouping.is_none)
        known = velocities(state.inner_state)
        beside = [known.get(path, []) for path in paths(updates, is_leaf=grouping.is_none)]
        rows = list(map(damped, leaves, structure.flatten_up_to(state.alignment), beside))
        fed, alignment = (structure.unflatten([row[i] for row in rows]) for i in (0, 1))
        stepped, inner = inside.update(fed, state.inner_state, params, **extra)
        updates = leafwise.emit(lambda _, step: step, updates, (stepped,))
        return updates, TorqueAwareState(alignment, leafwise.like(inner, state.inner_state))

    return transformation(init, update)
