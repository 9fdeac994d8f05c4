"""What a row of the catalogue says."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Literal

import optax

Scale = Literal["linear", "log", "one-minus-log"]


@dataclasses.dataclass(frozen=True)
class Hyperparameter:
    """A number that a method takes, and where it is worth trying.

    Attributes:
      name: the keyword under which `Method.build` takes it.
      default: a value to start from; the signature's default where that is one (those of `compat` are their peers').
      low: the smallest value worth trying.
      high: the largest value worth trying.
      scale: how values are spread between `low` and `high`; `one-minus-log` is logarithmic in `1 - value`.
    """

    name: str
    default: float
    low: float
    high: float
    scale: Scale = "linear"


@dataclasses.dataclass(frozen=True)
class Method:
    """One row of the catalogue.

    Attributes:
      name: where the method lives below `momentum_optax`, for example `qhm` or `compat.torch_sgd`.
      build: makes the transformation from the hyperparameters, by keyword. The public function, or an example of it
        where it takes other things than numbers, or makes something else than a transformation.
      kind: `optimizer` takes a learning rate and descends; a `coefficient` is no
        transformation, a `wrapper` is one of transformations; the others are parts to chain.
      summary: one line for the table.
      equation: one step, in the names of the arguments.
      source: author, year, title.
      url: where the source is.
      hyperparameters: the numbers to sweep, in the order of the signature.
      decays: names of the hyperparameters that say how much of the past survives; at 0 the method forgets.
      debiased: whether a constant gradient gives a constant update, whatever the decays do.
      lookahead: whether the gradient is to be taken at `lookahead_params` instead of the params.
      exceptions: laws of `momentum_optax.testing` that do not hold here, and why.
    """

    name: str
    build: Callable[..., optax.GradientTransformationExtraArgs]
    kind: Literal["filter", "direction", "combinator", "optimizer", "coefficient", "wrapper"]
    summary: str
    equation: str
    source: str
    url: str
    hyperparameters: tuple[Hyperparameter, ...] = ()
    decays: tuple[str, ...] = ()
    debiased: bool = False
    lookahead: bool = False
    exceptions: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def defaults(self) -> dict[str, float]:
        """The hyperparameters at their defaults."""
        return {h.name: h.default for h in self.hyperparameters}
