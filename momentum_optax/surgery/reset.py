"""Velocities that begin anew."""

from typing import Any

import optax

from .. import _coefficient as coefficient
from .. import _memories as memories
from .._types import Scalar
from ._choice import Where, check_found, chooser, in_group


def reset(
    state: optax.OptState,
    where: Where | None = None,
    *,
    keep: Scalar = 0.0,
    second_moments: bool = False,
    counts: bool = False,
    group: str | None = None,
) -> optax.OptState:
    """Forgets the past: the velocities in the state of any optimizer begin anew.

    For every leaf that is chosen:

        velocity <- keep * velocity

    and likewise the weight by which an average is debiased, so that after a full reset it is the average of the
    gradients to come. A weight or a count that several leaves share changes only if all of them are chosen: a leaf
    reset alone under a shared weight takes small steps until its average has filled again. (Give such leaves betas of
    their own, in a tree.) The count by which Optax debiases begins at 0 again where all that it debiases is reset; in
    its Adam that takes `second_moments=True`, and otherwise the first steps are short.

    Averages that began at another number than 0, as some of Optax's do (`initial_accumulator_value`), begin at 0. What
    an optimizer has learnt about the loss stays, such as the learning rate of Prodigy.

    The params stay. Those of `nesterov` are ahead of the point that they were looked ahead from; after a reset they are
    that point. To go back to it, take `eval_params(state, params)` before.

    Args:
      state: of any optimizer, at whatever depth its velocities lie: in chains, masks, partitions, `MultiSteps`,
        `inject_hyperparams`, `nnx.Optimizer.opt_state`, `TrainState.opt_state`.
      where: which leaves, by the paths of their params; a glob such as `"encoder/*/kernel"` or `"head"`, a compiled
        regular expression, a sequence of these, a function of the path, or a tree (or tree prefix) of bools. `None` for
        all.
      keep: how much of the past stays, in [0, 1]; a number, traced or not.
      second_moments: whether second moments are reset, too.
      counts: whether the counts that the velocities' coefficients are scheduled by begin at 0 again. Those of a
        learning rate go on.
      group: label of an `optax.partition`; only what it keeps under that label is reset, and `where` looks there.

    Returns:
      The state, with the same structure, shapes and dtypes.

    Raises:
      TypeError: `where` is none of what is accepted.
      ValueError: the state holds no velocity, `where` names or chooses no leaf, no partition has the group, or `keep`
        is out of range.

    Examples:
      >>> import jax.numpy as jnp, momentum_optax as mo
      >>> tx, params = mo.heavy_ball(1.0, beta=0.5), {"body": jnp.zeros(()), "head": jnp.zeros(())}
      >>> gradients = {"body": jnp.ones(()), "head": jnp.ones(())}
      >>> _, state = tx.update(gradients, tx.init(params))
      >>> updates, _ = tx.update(gradients, mo.reset(state, "head"))
      >>> print(updates["body"], updates["head"])
      -1.5 -1.0
    """
    keep = coefficient.number("keep", keep, coefficient.FRACTION)

    def operate(part: Any) -> Any:
        check_found(part, second_moments=second_moments)
        chosen = chooser(where, part, second_moments=second_moments)
        return memories.fade(part, True, keep, second_moments=second_moments, counts=counts, chosen=chosen)

    return in_group(operate, state, group)
