"""Rules for any maker of transformations."""

from collections.abc import Callable
from typing import Any

import optax

from .._adaptive import adaptive
from .._plan import deferred_in


def build(
    make: Callable[..., optax.GradientTransformation], *args: Any, **kwargs: Any
) -> optax.GradientTransformationExtraArgs:
    """Makes a transformation in whose arguments there are rules, `layerwise` or `by_depth`.

    The methods of this library take them as they are; this is for Optax's and for your own. The maker is called again
    inside every `init` and `update`, with values that may be traced in the places of the rules. The state is that of
    the transformation, inside an `AdaptiveState` if there are rules. What differs between leaves (`layerwise`,
    `by_depth`, a rule with `each_leaf`) comes as a tree, which Optax's makers do not take; see `layerwise_chain`.

    Args:
      make: makes a transformation from coefficients, such as `optax.adam`. If it takes a `learning_rate`, what it makes
        goes downhill; otherwise uphill, as a filter does.
      *args: of the maker.
      **kwargs: of the maker.

    Returns:
      A transformation.

    Raises:
      TypeError: there is nothing to build: no argument has to see first.

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
    return adaptive(make)(*args, **kwargs)
