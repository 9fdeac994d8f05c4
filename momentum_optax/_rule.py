"""What a rule is: a coefficient that decides on its value at every update, from what it sees of the training."""

import abc
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, NamedTuple

import jax
import jax.numpy as jnp

from . import _leafwise as leafwise
from . import _sums as sums
from ._types import Deferred


class Seen(NamedTuple):
    """What a rule is shown of the leaves that it is for; only those that have a gradient, in at least float32.

    Attributes:
      where: the place of the rule, for messages.
      count: `()` int32, updates so far.
      gradients: one array for each leaf.
      memory: what the method would add to the params without this gradient, uphill, so that it has the sign of a
        gradient; for rules with `hears_memory`.
      kept: what the rule keeps of each leaf, from the last update.
      learning_rates: `()` for each leaf; `None` where there is none.
      value: `()`, the loss, or `None`.
    """

    where: str
    count: jax.Array
    gradients: list[jax.Array]
    memory: list[jax.Array] | None
    kept: list[jax.Array] | None
    learning_rates: list[Any] | None
    value: Any


class Rule(Deferred, abc.ABC):
    """A coefficient with a state of its own. One rule may be used in many places; each has its own state.

    Attributes:
      start: by the name of the output, the value before the first update.
      output: the output that the rule itself stands for as a coefficient.
      each_leaf: whether every leaf has a value of its own, or all that the rule is for have one.
      hears_memory: whether it looks at `Seen.memory`.
      needs_learning_rate: whether it looks at `Seen.learning_rates`.
      keeps: what is kept of each leaf: nothing; something made of its gradients, by `keep`; or the sensitivity of the
        last step (see `learn`), its derivative by the value.
    """

    start: Mapping[str, Any]
    output: ClassVar[str] = "beta"
    each_leaf: bool = False
    hears_memory: ClassVar[bool] = False
    needs_learning_rate: ClassVar[bool] = False
    keeps: ClassVar[Literal["nothing", "gradients", "sensitivity"]] = "nothing"

    def init(self) -> Any:
        """The state, a tree of numbers, before the first update."""
        return ()

    def keep(self, gradient: jax.Array, kept: jax.Array) -> jax.Array:
        """What is kept of a leaf after its gradient was seen."""
        del kept
        return gradient

    @abc.abstractmethod
    def decide(self, state: Any, seen: Seen) -> tuple[Mapping[str, Any], Any]:
        """The value of every output for the update that is about to be made, and the state."""

    def learn(self, state: Any, steps: list[jax.Array]) -> Any:
        """The state after the update was made.

        `steps` are, for each leaf, by how much the point has moved at which the gradient is taken: what the method
        emitted, and where it looks ahead of the params (`nesterov_lookahead`) also what it looks ahead by.
        """
        del steps
        return state


class Output(Deferred):
    """One of several coefficients that a rule decides on together."""

    def __init__(self, rule: Rule, name: str):
        self.rule, self.name = rule, name

    def __repr__(self) -> str:
        return f"{self.rule!r}.{self.name}"


def dot(one: list[jax.Array], other: list[jax.Array]) -> jax.Array:
    """The inner product of two lists of arrays, real part.

    A leaf where it is not finite counts for 0: what has gone wrong in one layer does not decide for the others.
    """
    return dots((one, other))[0]


def dots(*pairs: tuple[list[jax.Array], list[jax.Array]]) -> list[jax.Array]:
    """The same for several pairs of such lists, in one pass."""

    def total(parts: tuple[jax.Array, ...]) -> jax.Array:
        # In one sum: a thousand leaves added one after the other take minutes to compile.
        stacked = jnp.stack(parts)
        stacked = stacked.astype(jnp.promote_types(stacked.dtype, jnp.result_type(float)))
        return jnp.sum(jnp.where(jnp.isfinite(stacked), stacked, 0))

    leaves = zip(*(zip(*pair, strict=True) for pair in pairs), strict=True)
    rows = [sums.inner_products(*leaf) for leaf in leaves]
    return list(map(total, zip(*rows, strict=True))) if rows else [jnp.zeros((), jnp.result_type(float)) for _ in pairs]


def norm(leaves: list[jax.Array]) -> jax.Array:
    """The Euclidean norm of a list of arrays; see `dot` about what is not finite."""
    return leafwise.root(dot(leaves, leaves))


def ratio(numerator: Any, denominator: jax.Array, otherwise: Any = 0.0) -> jax.Array:
    """The quotient, and something else where the denominator is 0; its derivative stays finite there."""
    zero = denominator == 0
    return jnp.where(zero, otherwise, numerator / jnp.where(zero, 1, denominator))
