"""Transformations that share out the leaves among them, so that each leaf has exactly one."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import optax

from .. import _grouping as grouping
from .._paths import paths
from .._transformation import transformation

Choose = Callable[[Any, list[str], list[Any], list[bool]], Sequence[int]]
"""`(tree, paths, leaves, absent) -> numbers`: which part each leaf is for; -1 for one left to the last."""


def shared_out(parts: Sequence[optax.GradientTransformation], choose: Choose) -> optax.GradientTransformationExtraArgs:
    """A chain of `optax.masked`, the state a tuple of `optax.MaskedState` in the order of the parts.

    Args:
      parts: the transformations.
      choose: sees the params, or the updates where there are no params.
    """

    def chain(tree: Any, updates: Any) -> optax.GradientTransformationExtraArgs:
        """The masked chain for updates that may have no gradient where the tree has a leaf or a whole branch."""
        where = paths(tree, grouping.is_absent)
        leaves = jax.tree.leaves(tree, is_leaf=grouping.is_absent)
        numbers = choose(tree, where, leaves, list(map(grouping.is_absent, leaves)))
        named = zip(where, numbers, leaves, strict=True)
        groups = {path: number for path, number, leaf in named if number >= 0 or leaf is not None}
        structure = jax.tree.structure(updates, is_leaf=grouping.is_absent)
        # A branch without gradients passes through every group, as each may have something in it.
        own = [groups.get(path) for path in paths(updates, grouping.is_absent)]
        masked = [
            optax.masked(tx, structure.unflatten([group is None or group % len(parts) == i for group in own]))
            for i, tx in enumerate(parts)
        ]
        return optax.with_extra_args_support(optax.chain(*masked))

    def update(updates, state, params=None, **extra):
        return chain(updates if params is None else params, updates).update(updates, state, params, **extra)

    return transformation(lambda params: chain(params, params).init(params), update)
