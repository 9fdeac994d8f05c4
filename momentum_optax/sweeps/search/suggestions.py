"""The hyperparameters of a space as Optuna suggests them."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from ..points.sampling import Space
from ..points.scales import Choice, Scale, as_choice_or_scale
from ..values import Value

if TYPE_CHECKING:
    import optuna


class Suggestion(NamedTuple):
    """How Optuna suggests a hyperparameter.

    Attributes:
      name: what Optuna calls it.
      ask: asks an Optuna trial for it.
      value: from what Optuna suggests to the value.
    """

    name: str
    ask: "Callable[[optuna.Trial], Any]"
    value: Callable[[Any], Value]


def suggestions(space: Mapping[str, Space]) -> dict[str, Suggestion]:
    """How Optuna suggests the hyperparameters of a space.

    What is uniform on a scale is what Optuna models. So of a `one_minus_log` scale it suggests `1 - beta`, by this
    name, on a logarithmic scale.

    Args:
      space: by hyperparameter, a scale without a count, or a list to choose from.

    Returns:
      The suggestions by hyperparameter.

    Raises:
      ValueError: there is no hyperparameter, a scale has a count, or a list is bad, see `grid`, or has values that
        Optuna cannot tell apart.
    """
    if not isinstance(space, Mapping) or not space:
        raise ValueError(f"space must have a scale or a list for at least one hyperparameter, by name, not {space!r}.")
    return {name: _suggestion(name, as_choice_or_scale(name, given)) for name, given in space.items()}


def _suggestion(name: str, kind: Scale | Choice) -> Suggestion:
    if isinstance(kind, Choice):
        return _choice(name, kind)
    if kind.count is not None:
        raise ValueError(f"{name}: a count is for grid and zip_points; a search tries any number. Leave it out.")
    low, high = kind.low, kind.high
    if kind.kind == "one_minus_log":
        rest = f"1 - {name}"
        # Rounded, 1 - (1 - beta) may be just outside.
        inside = lambda left: min(max(1 - left, low), high)  # noqa: E731
        return Suggestion(rest, lambda trial: trial.suggest_float(rest, 1 - high, 1 - low, log=True), inside)
    return Suggestion(name, lambda trial: trial.suggest_float(name, low, high, log=kind.kind == "log"), float)


def _choice(name: str, kind: Choice) -> Suggestion:
    options: Any = kind.options
    if isinstance(options, range):
        return Suggestion(name, lambda trial: trial.suggest_int(name, options[0], options[-1], step=options.step), int)
    if len(set(options)) < len(options):
        raise ValueError(f"{name}: Optuna cannot tell True from 1 or False from 0; leave one out of {list(options)}.")
    return Suggestion(name, lambda trial: trial.suggest_categorical(name, list(options)), lambda value: value)
