"""Rules for any maker of transformations."""

import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from .._adaptive import adaptive
from .._plan import Entry, Method, Place, deferred_in


def _check_trees(method: Method, params: optax.Params) -> None:
    """Raises a TypeError if the maker takes a number in a place, but not a tree of them, and a tree stands there."""
    plan = method.plan(params)
    columns = plan.values({slot.name: watch.rule.start[slot.output] for watch in plan.watches for slot in watch.slots})
    trees = [place for place, entries in columns.items() if len({label for label, _ in entries}) > 1]
    if not trees:
        return

    def try_out(columns: dict[Place, list[Entry]]) -> None:
        tx = method.with_columns(params, columns)
        jax.eval_shape(lambda p: tx.update(p, tx.init(p), p, value=jnp.zeros(())), params)

    try:
        try_out(columns)
    except Exception as error:
        try:
            try_out({place: entries[:1] * len(entries) for place, entries in columns.items()})
        except Exception:
            return  # something else is amiss, and will be said where it matters
        given = ", ".join(f"{place}={method.places[place]!r}" for place in trees)
        raise TypeError(
            f"{getattr(method.make, '__name__', method.make)} takes no tree for {', '.join(map(str, trees))}; got "
            f"{given}, which differs between leaves. Accepted: what is one number for all leaves, such as a rule "
            "without each_leaf; or a method of this library in its place; or one transformation for each group of "
            "leaves, by layerwise_chain."
        ) from error


def build(
    make: Callable[..., optax.GradientTransformation], *args: Any, **kwargs: Any
) -> optax.GradientTransformationExtraArgs:
    """Makes a transformation in whose arguments there are rules, `layerwise` or `by_depth`.

    The methods of this library take them as they are; this is for Optax's and for your own. The maker is called again
    inside every `init` and `update`, with values that may be traced in the places of the rules. The state is that of
    the transformation, inside an `AdaptiveState` if there are rules. What differs between leaves (`layerwise`,
    `by_depth`, a rule with `each_leaf`) comes as a tree, which Optax's makers refuse; see `layerwise_chain`.

    Args:
      make: makes a transformation from coefficients, such as `optax.adam`. If it takes a `learning_rate`, what it makes
        goes downhill; otherwise uphill, as a filter does.
      *args: of the maker.
      **kwargs: of the maker.

    Returns:
      A transformation.

    Raises:
      TypeError: there is nothing to build: no argument has to see first; or (at init) what differs between leaves is
        for a maker that takes no trees.

    Examples:
      >>> import jax.numpy as jnp, momentum_optax as mo, optax
      >>> tx = mo.rules.build(optax.adam, 1e-3, b1=mo.rules.alignment(low=0.5, high=0.9))
      >>> state = tx.init(jnp.ones(2))
      >>> for _ in range(2):
      ...     updates, state = tx.update(jnp.ones(2), state)
      >>> print(state.values["b1"])
      0.72
    """
    if not deferred_in((args, kwargs)):
        raise TypeError(
            f"rules.build needs a rule, layerwise or by_depth among the arguments of {getattr(make, '__name__', make)};"
            f" got {args!r} and {kwargs!r}."
        )
    tx = adaptive(make)(*args, **kwargs)
    arguments = inspect.signature(make).bind(*args, **kwargs)
    arguments.apply_defaults()
    method = Method(make, arguments)

    def init(params: optax.Params) -> Any:
        state = tx.init(params)
        if jax.tree.leaves(params):
            _check_trees(method, params)
        return state

    return optax.GradientTransformationExtraArgs(init, tx.update)
