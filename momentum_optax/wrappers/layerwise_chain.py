"""Another transformation for each group of leaves."""

from collections.abc import Mapping
from typing import Any, Literal

import optax

from .._paths import Pattern, assign, check_pattern, spelled
from ._groups import shared_out


def layerwise_chain(
    transforms: Mapping[Pattern, optax.GradientTransformation],
    default: optax.GradientTransformation | Literal["error", "freeze"] = "error",
) -> optax.GradientTransformationExtraArgs:
    """Whole transformations by the path of the leaf: a chain of `optax.masked`, in which no leaf is forgotten.

    Every leaf has exactly one transformation, so that no gradient passes as it came (as it does through `optax.masked`
    alone, where it would be added to the params). For another number in the same method see `layerwise`, which is one
    pass over the params.

    Args:
      transforms: by a glob for the path of a leaf or a branch, or a compiled regular expression, as in `layerwise`.
      default: for leaves that nothing names: a transformation, `"freeze"` for updates of 0 without any memory, or
        `"error"` to refuse them.

    Returns:
      A transformation. Its state is a tuple of `optax.MaskedState`, in the order of the globs, the default last.

    Raises:
      TypeError: a key is neither a glob nor a regular expression, or a value no transformation.
      ValueError: there is nothing in it, or two keys are spelled alike; at `init`, a leaf is named twice or (without a
        default) not at all, or a key names no leaf.

    Examples:
      >>> import jax.numpy as jnp, momentum_optax as mo
      >>> params = {"embed": jnp.zeros(2), "body": jnp.zeros(2), "head": jnp.zeros(2)}
      >>> tx = mo.layerwise_chain({"head": mo.heavy_ball(0.1), "body": mo.qhm(0.01)}, default="freeze")
      >>> updates, _ = tx.update({name: jnp.ones(2) for name in params}, tx.init(params))
      >>> print(updates["embed"], updates["head"])
      [0. 0.] [-0.1 -0.1]
    """
    if not isinstance(transforms, Mapping):
        raise TypeError(f"layerwise_chain needs a mapping from globs to transformations; got {transforms!r}.")
    if not transforms:
        raise ValueError("layerwise_chain needs at least one glob or regular expression; got none.")
    parts: dict[str, optax.GradientTransformation] = {}
    for pattern, tx in transforms.items():
        check_pattern("a key of layerwise_chain", pattern)
        if not isinstance(tx, optax.GradientTransformation):
            raise TypeError(f"layerwise_chain needs a transformation for {spelled(pattern)}; got {tx!r}.")
        parts[pattern if isinstance(pattern, str) else spelled(pattern)] = tx
    if isinstance(default, optax.GradientTransformation):
        parts["default"] = default
    elif default == "freeze":
        parts["default"] = optax.set_to_zero()
    elif default != "error":
        raise ValueError(f"default must be a transformation, 'error' or 'freeze'; got {default!r}.")
    has_default = default != "error"
    if len(parts) < len(transforms) + has_default:
        raise ValueError(f"layerwise_chain needs another name for each group; got {list(transforms)} and 'default'.")

    def choose(tree: Any, where: list[str], leaves: list[Any], absent: list[bool]) -> list[int]:
        del tree, leaves
        return assign("layerwise_chain", list(transforms), where, absent, default=has_default)

    return shared_out(list(parts.values()), choose)
