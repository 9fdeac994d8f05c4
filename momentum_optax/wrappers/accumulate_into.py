"""Gradient accumulation without an accumulator: micro-batches go straight into the velocity."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal, jaxpr_as_fun

from .. import _leafwise as leafwise
from .._arguments import integer
from .._memories import fields, map_holders
from .._transformation import extended, transformation, zero_count
from ._defence import select, zeroed


class AccumulateIntoState(NamedTuple):
    """State of `accumulate_into`.

    Attributes:
      micro: `()` int32, micro-batches of the present group so far, below `k`.
      inner_state: state of the wrapped transformation; within a group its velocities have decayed already and hold the
        micro-batches so far, and all else is as before the group.
    """

    micro: jax.Array
    inner_state: Any


def accumulate_into(tx: optax.GradientTransformation, k: int) -> optax.GradientTransformationExtraArgs:
    """Averages the gradients of `k` micro-batches inside the velocity: nothing of the params' size is added.

    At the micro-batches `i = 0, ..., k - 1` of a group, for `tx` with `velocity <- beta * velocity + c * g`:

        velocity <- (beta * velocity if i == 0 else velocity) + c * g_i / k
        update   <- (what tx makes of the velocity if i == k - 1 else 0)

    so that the k-th update is that of `tx` for the mean gradient, as with `optax.MultiSteps(tx, k)`, without its copy
    of the params. beta decays once a group, counts and schedules go by groups.

    This is exact for a `tx` whose velocity is linear in the gradient and whose update sees the gradient only through
    its velocity: `heavy_ball`, `ema_momentum`, `pnm`, `trace`, `ema`, Optax's `sgd` with momentum, with whatever
    comes after them. Methods that need the mean gradient itself (Nesterov's, `qhm`, second moments, coupled
    weight decay with Nesterov, clipping before the velocity) are refused: `init` looks at how `tx` computes. A leaf
    without gradient (`None`) sits the micro-batch out; give all micro-batches of a group the same leaves.

    Args:
      tx: an optimizer or filter; what it computes after the velocity is computed at each micro-batch.
      k: micro-batches in a group, an integer of at least 1.

    Returns:
      A transformation that passes `params` and extra arguments on.

    Raises:
      TypeError: `tx` is no transformation, or `k` no integer that is known before anything runs.
      ValueError: `k` is below 1; or (at init) `tx` keeps no velocity for a leaf, or is not as described.

    Examples:
      Two halves of a gradient of 1 are one step:

      >>> import jax.numpy as jnp, momentum_optax as mo
      >>> tx = mo.wrappers.accumulate_into(mo.heavy_ball(1.0, 0.5), k=2)
      >>> state = tx.init(jnp.zeros(()))
      >>> for g in (0.5, 1.5, 1.0, 1.0):
      ...     update, state = tx.update(jnp.asarray(g), state)
      ...     print(update)
      0.0
      -1.0
      0.0
      -1.5
    """
    k = integer("k", k, at_least=1)
    inside = extended(tx)

    def init(params: optax.Params) -> AccumulateIntoState:
        _check(inside, params)
        return AccumulateIntoState(zero_count(), inside.init(params))

    def update(updates, state: AccumulateIntoState, params=None, **extra) -> tuple[Any, AccumulateIntoState]:
        first, last = state.micro == 0, state.micro == k - 1
        share = jax.tree.map(lambda g: leafwise.widen(g) / k, updates)
        step, kept = _opened(inside, state.inner_state, params, **extra)
        velocity = [leafwise.widen(v) for v in kept]

        # The velocity is affine in the gradient: its value at 0 is the decay, its derivative folds a gradient in.
        zero = jax.tree.map(jnp.zeros_like, share)
        decayed, folded = jax.jvp(lambda g: step(g, velocity)[0], (zero,), (share,))
        velocity = [
            leafwise.narrow(jnp.where(first, d, v) + f, old.dtype)
            for d, v, f, old in zip(decayed, velocity, folded, kept, strict=True)
        ]

        # All else that a step computes, it computes from the new velocity: here, from this one.
        closed, shape = jax.make_jaxpr(step, return_shape=True)(share, kept)
        jaxpr, given = closed.jaxpr, closed.jaxpr.outvars[: len(kept)]
        equations, _ = _after(jaxpr, given)
        program = jaxpr.replace(constvars=[*jaxpr.constvars, *given], eqns=equations)
        typed = [v.astype(var.aval.dtype) for v, var in zip(velocity, given, strict=True)]
        run = jaxpr_as_fun(ClosedJaxpr(program, [*closed.consts, *typed]))
        out = run(*jax.tree.leaves((share, kept)))
        _, (steps, rest) = jax.tree.unflatten(jax.tree.structure(shape), out)
        updates = zeroed(~last, leafwise.emit(lambda _, u: u, updates, (steps,)))
        inner = leafwise.like(
            _closed(state.inner_state, velocity, select(last, rest, _others(state.inner_state))), state.inner_state
        )
        return updates, AccumulateIntoState(jnp.where(last, 0, state.micro + 1), inner)

    return transformation(init, update)


def _is_velocity(state: Any) -> list[bool]:
    """For each leaf of a state, whether it is a velocity."""

    def mark(node):
        held = [name for name, kind in fields(node).items() if kind == "velocity"]
        return node._replace(**{name: jax.tree.map(lambda _: True, getattr(node, name)) for name in held})

    return [leaf is True for leaf in jax.tree.leaves(map_holders(mark, state))]


def _others(state: Any) -> list[Any]:
    """The leaves that are no velocities."""
    return [x for x, is_velocity in zip(jax.tree.leaves(state), _is_velocity(state), strict=True) if not is_velocity]


def _closed(state: Any, velocity: Iterable[Any], others: Iterable[Any]) -> Any:
    """The state with other leaves."""
    source = {True: iter(velocity), False: iter(others)}
    return jax.tree.unflatten(
        jax.tree.structure(state), [next(source[is_velocity]) for is_velocity in _is_velocity(state)]
    )


def _opened(tx: optax.GradientTransformationExtraArgs, state: Any, params: Any, **extra: Any) -> tuple[Any, list[Any]]:
    """The step as a function `(gradient, velocity) -> velocity, (update, others)`, and the velocities of the state."""
    others = _others(state)

    def step(gradient, velocity):
        updates, new = tx.update(gradient, _closed(state, velocity, others), params, **extra)
        flat = zip(jax.tree.leaves(new), _is_velocity(new), strict=True)
        moved = [x for x, is_velocity in flat if is_velocity]
        return moved, (updates, _others(new))

    return step, [x for x, is_velocity in zip(jax.tree.leaves(state), _is_velocity(state), strict=True) if is_velocity]


def _after(jaxpr: Jaxpr, given: Iterable[Any]) -> tuple[list[Any], bool]:
    """The equations that lead from the given values of a program to its outputs, and whether they take inputs, too."""
    known = set(given)
    needed = {atom for atom in jaxpr.outvars if not isinstance(atom, Literal)} - known
    equations = []
    for equation in reversed(jaxpr.eqns):
        if needed.intersection(equation.outvars):
            needed |= {atom for atom in equation.invars if not isinstance(atom, Literal)} - known
            equations.append(equation)
    return equations[::-1], bool(needed.intersection(jaxpr.invars))


def _check(tx: optax.GradientTransformationExtraArgs, params: optax.Params) -> None:
    """Raises a ValueError unless all that a step computes depends on the gradient by way of a linear velocity."""
    if not jax.tree.leaves(params):
        return
    leafwise.check_params(params)
    # In the widest dtype: where a wider number is stored in a narrower one, it is clipped to what that can hold.
    zeros = jax.tree.map(
        lambda p: jnp.zeros(np.shape(p), jnp.promote_types(jax.dtypes.result_type(p), jnp.result_type(float))), params
    )
    wrong = "keeps no velocity to hold the micro-batches"
    step, velocity = _opened(tx, tx.init(zeros), zeros)
    velocity = [leafwise.widen(v) for v in velocity]
    if velocity:
        jaxpr = jax.make_jaxpr(step)(zeros, velocity).jaxpr
        _, more = _after(jaxpr, jaxpr.outvars[: len(velocity)])
        wrong = "uses the gradient besides the velocity, or remembers more of it" if more else ""
        try:
            back = jax.linear_transpose(lambda g, v: step(g, v)[0], zeros, velocity)
            jax.eval_shape(back, velocity)
        # Each is how JAX says, of one operation or another, that it has no transpose: that it is not linear.
        except (NotImplementedError, AssertionError, TypeError, ValueError):
            wrong = wrong or "has a velocity that is not linear in the gradient"
    if wrong:
        raise ValueError(
            f"accumulate_into: tx {wrong}. Accepted: heavy_ball, ema_momentum and others whose update is made of a "
            "linear velocity alone, with a beta that is not a plain 0. For all others, use optax.MultiSteps."
        )
