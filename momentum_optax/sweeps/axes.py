"""The hyperparameters of a space as Optuna sees them, and back."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from .sampling import Space
from .scales import Choice, Scale, as_choice_or_scale
from .values import Value

if TYPE_CHECKING:
    import optuna


class Axis(NamedTuple):
    """A hyperparameter as Optuna sees it.

    Attributes:
      name: what Optuna calls it.
      suggest: draws it, for an Optuna trial.
      value: the value that stands for what was drawn.
    """

    name: str
    suggest: "Callable[[optuna.Trial], Any]"
    value: Callable[[Any], Value]


def axes(space: Mapping[str, Space]) -> dict[str, Axis]:
    """How Optuna draws the hyperparameters of a space.

    What is uniform on a scale is what Optuna models. So on a `one_minus_log` scale it draws `1 - beta` on a logarithmic
    scale, and knows it by this name.

    Args:
      space: by hyperparameter, a scale without a count, or a list to choose from.

    Returns:
      The axes by hyperparameter.

    Raises:
      ValueError: there is no hyperparameter, a scale has a count, or a list is bad, see `grid`, or has values that
        Optuna cannot tell apart.
    """
    if not space:
        raise ValueError("space: a search needs at least one hyperparameter.")
    return {name: _axis(name, as_choice_or_scale(name, given)) for name, given in space.items()}


def point(axes: Mapping[str, Axis], params: Mapping[str, Any]) -> dict[str, Value]:
    """The point that the params of an Optuna trial stand for."""
    return {name: axis.value(params[axis.name]) for name, axis in axes.items()}


def _axis(name: str, kind: Scale | Choice) -> Axis:
    if isinstance(kind, Choice):
        return _choice(name, kind)
    if kind.count is not None:
        raise ValueError(f"{name}: a count is for grid and zip_points; a search tries any number. Leave it out.")
    low, high = kind.low, kind.high
    if kind.kind == "one_minus_log":
        rest = f"1 - {name}"
        # Rounded, 1 - (1 - beta) may be just outside.
        inside = lambda left: min(max(1 - left, low), high)  # noqa: E731
        return Axis(rest, lambda trial: trial.suggest_float(rest, 1 - high, 1 - low, log=True), inside)
    return Axis(name, lambda trial: trial.suggest_float(name, low, high, log=kind.kind == "log"), float)


def _choice(name: str, kind: Choice) -> Axis:
    options: Any = kind.options
    if isinstance(options, range):
        return Axis(name, lambda trial: trial.suggest_int(name, options[0], options[-1], step=options.step), int)
    if len(set(options)) < len(options):
        raise ValueError(f"{name}: Optuna cannot tell True from 1 or False from 0; leave one out of {list(options)}.")
    return Axis(name, lambda trial: trial.suggest_categorical(name, list(options)), lambda value: value)
