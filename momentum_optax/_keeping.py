"""What the rules of an argument keep of each leaf, from one update to the next."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from . import _grouping as grouping
from . import _leafwise as leafwise
from ._plan import Plan
from ._rule import Rule


def _rule_of_leaf(argument: str, plan: Plan, number: int) -> list[Rule | None]:
    """The rule of the argument that keeps something of each leaf."""
    column: list[Rule | None] = [None] * number
    for watch in plan.watches:
        if watch.argument == argument and watch.rule.keeps != "nothing":
            for i in watch.leaves:
                column[i] = watch.rule
    return column


def nothing_yet(argument: str, plan: Plan, params: optax.Params) -> Any:
    """Zeros for the leaves of which a rule keeps something, in at least float32, and nothing for the others."""
    leaves, structure = jax.tree.flatten(params, is_leaf=grouping.is_absent)

    def start(leaf, rule):
        if grouping.is_absent(leaf):
            return leaf
        dtype = jax.dtypes.result_type(leaf)
        return leafwise.zeros(leaf, jnp.finfo(leafwise.wide_dtype(dtype)).dtype) if rule else leafwise.NoMemory()

    rules = _rule_of_leaf(argument, plan, len(leaves))
    return structure.unflatten([start(leaf, rule) for leaf, rule in zip(leaves, rules, strict=True)])


def after(
    argument: str,
    plan: Plan,
    kept: list[Any],
    gradients: list[Any],
    values: dict[str, Any],
    steps: Callable[[dict[str, Any]], list[Any]],
) -> list[Any]:
    """What is kept of each leaf after an update.

    Args:
      argument: that the rules stand in.
      plan: of the leaves.
      kept: of the leaves, before the update.
      gradients: of the leaves.
      values: what the rules decided on.
      steps: how far each leaf moves, as a function of the values.
    """
    rules = _rule_of_leaf(argument, plan, len(gradients))
    own = {
        slot.name: values[slot.name]
        for watch in plan.watches
        for slot in watch.slots
        if watch.argument == argument and watch.rule.keeps == "sensitivity"
    }
    sensitivity: list[Any] = [None] * len(gradients)
    if own:
        ones = jax.tree.map(jnp.ones_like, own)
        _, sensitivity = jax.jvp(lambda own: steps(values | own), (own,), (ones,))

    def leaf(g, s, k, rule):
        if rule is None or grouping.is_absent(g):
            return k
        value = s if rule.keeps == "sensitivity" else rule.keep(leafwise.widen(g), leafwise.widen(k))
        return leafwise.narrow(leafwise.widen(value), k.dtype)

    return [leaf(*row) for row in zip(gradients, sensitivity, kept, rules, strict=True)]
