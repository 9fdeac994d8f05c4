"""What is wrong with a trial, found before anything is compiled."""

from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import keystr

from ..points.points import RESERVED
from ..points.reader import Reader
from ..values import listing, whole
from .purity import trace
from .trial import Trial

SHOWN = 3
"""How many leaves of a state a message shows."""


class Checked(NamedTuple):
    """What one run of a trial consists of.

    Attributes:
      state: shapes and dtypes of the state.
      metrics: those of each metric, by name.
    """

    state: Any
    metrics: Mapping[str, jax.ShapeDtypeStruct]


def check(
    trial: Trial,
    structure: Mapping[str, Any],
    hyper: Iterable[str],
    drawn: Any,
    item: Any,
    fold: tuple[Any, int] | None = None,
) -> Checked:
    """Traces a trial, which computes and compiles nothing, and fails if it could not be swept.

    The functions that a sweep traces must be pure, see `purity.trace`. A loss must be a real floating-point number. A
    metric may also be an integer or a boolean, such as a count.

    Args:
      trial: the trial.
      structure: the hyperparameters that are part of the program.
      hyper: the names of the others.
      drawn: what one seed draws; arrays or their shapes and dtypes.
      item: what one step consumes; likewise.
      fold: the index of a fold, and how many there are; `None` without a cross-validation.

    Returns:
      Shapes and dtypes of what the trial makes.

    Raises:
      TypeError: a function returns something else than it must: a state that differs from the one it was given, a loss
        or a metric that is no scalar, something that is no array.
      ValueError: a function is not pure; no one reads a hyperparameter; there is no metric, or one has the name of
        something else; folds are wrong, see `check_folds`.
      KeyError: the trial asks for a hyperparameter that does not exist.
    """
    read: set[str] = set()
    numbers = {name: jax.ShapeDtypeStruct((), np.float32) for name in hyper}

    def given(numbers: Mapping[str, Any]) -> Reader:
        return Reader({**structure, **numbers}, read)

    state = trace("init", trial.init, lambda hp, drawn: _arrays("init", trial.init(given(hp), drawn)), numbers, drawn)
    data = trial.data
    if fold is not None:
        part: Any = trial.fold
        index, count = fold[0], check_folds(trial, fold[1])
        data = trace("fold", part, lambda data, index: _arrays("fold", part(data, index, count)), data, index)
    batch = trace("fetch", trial.fetch, lambda data, item: _arrays("fetch", trial.fetch(data, item)), data, item)
    stepped = trace(
        "step", trial.step, lambda hp, s, batch: _pair(trial.step(given(hp), s, batch)), numbers, state, batch
    )
    _check_state(state, stepped[0])
    _check_scalar("step: the loss", stepped[1], (jnp.floating,))
    metrics = trace(
        "evaluate", trial.evaluate, lambda hp, s, data: _named(trial.evaluate(given(hp), s, data)), numbers, state, data
    )
    _check_metrics(metrics, {*structure, *numbers})
    _check_read(trial, structure, numbers, read)
    return Checked(state, metrics)


def check_folds(trial: Trial, folds: Any) -> int:
    """Checks the number of folds of a cross-validation.

    Args:
      trial: what to cross-validate.
      folds: into how many parts to divide its samples.

    Returns:
      The number.

    Raises:
      ValueError: it is below 2 or above the number of samples, or the trial has no folds.
    """
    folds = whole("folds", folds, 2)
    if trial.fold is None:
        raise ValueError(
            f"folds={folds}, but this trial cannot be cross-validated: it has no `fold`. A trial of `supervised` has."
        )
    if trial.samples is not None and folds > trial.samples:
        raise ValueError(f"folds must be at most {trial.samples}, the number of samples, not {folds}.")
    return folds


def _arrays(name: str, tree: Any) -> Any:
    """The tree, if all its leaves are arrays."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        try:
            jax.typeof(leaf)
        except TypeError as error:
            raise TypeError(
                f"{name} must return arrays, but returns a {type(leaf).__name__}{path and ' at ' + keystr(path)}."
            ) from error
    return tree


def _pair(result: Any) -> tuple[Any, Any]:
    if not (isinstance(result, tuple | list) and len(result) == 2):
        kind = f"{len(result)} values" if isinstance(result, tuple | list) else f"a {type(result).__name__}"
        raise TypeError(f"step must return two values, the state and the loss, not {kind}.")
    return _arrays("step", (result[0], result[1]))


def _named(result: Any) -> dict[str, Any]:
    if not isinstance(result, Mapping):
        raise TypeError(
            f"evaluate must return metrics by name, such as {{'test_loss': loss}}, not a {type(result).__name__}."
        )
    return _arrays("evaluate", dict(result))


def _check_state(given: Any, returned: Any) -> None:
    """Fails if a step's state is not of the same kind as the one it was given."""
    lines = [f"{path}: {was} given, {now} returned" for path, was, now in _differences(given, returned, "state")]
    if lines:
        more = [f"and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
        raise TypeError(
            "step must return a state of the structure, shapes and dtypes that it is given:\n  "
            + "\n  ".join([*lines[:SHOWN], *more])
        )


def _differences(a: Any, b: Any, path: str) -> Iterator[tuple[str, str, str]]:
    """Where two trees differ first on the way from the root, and what is there."""
    if type(a) is not type(b) or isinstance(a, jax.ShapeDtypeStruct):
        if _kind(a) != _kind(b):
            yield path, _kind(a), _kind(b)
        return
    if jax.tree.structure(a) == jax.tree.structure(b) and jax.tree.leaves(a) == jax.tree.leaves(b):
        return
    inside, others = ({keystr((key,)): x for key, x in jax.tree_util.flatten_one_level_with_keys(x)[0]} for x in (a, b))
    found = [
        line for key in {**inside, **others} for line in _differences(inside.get(key), others.get(key), path + key)
    ]
    yield from found or [(path, _kind(a), f"{_kind(b)} with other static contents")]


def _kind(x: Any) -> str:
    if x is None:
        return "nothing"
    if not isinstance(x, jax.ShapeDtypeStruct):
        return f"a {type(x).__name__}"
    return f"{x.dtype}[{','.join(map(str, x.shape))}]"


def _check_metrics(metrics: Mapping[Any, Any], hyper: AbstractSet[str]) -> None:
    """Fails if metrics are none, have no names or names taken, or are no scalars."""
    if not metrics:
        raise ValueError("evaluate must return at least one metric, but it returns an empty mapping.")
    for name, value in metrics.items():
        if not isinstance(name, str):
            raise TypeError(f"evaluate: the name of a metric must be a string, not {name!r}.")
        if name in RESERVED | {"train_loss"} | hyper:
            whose = "a hyperparameter" if name in hyper else "a column of the tables of results"
            raise ValueError(f"evaluate: a metric cannot be called {name!r}, which is the name of {whose}.")
        _check_scalar(f"evaluate: the metric {name!r}", value, (jnp.floating, jnp.integer, jnp.bool_))


def _check_scalar(what: str, value: Any, kinds: tuple[Any, ...]) -> None:
    scalar = isinstance(value, jax.ShapeDtypeStruct) and value.shape == ()
    if not scalar or not any(jnp.issubdtype(value.dtype, kind) for kind in kinds):
        wanted = "a real floating-point number" if len(kinds) == 1 else "a real number"
        raise TypeError(f"{what} must be {wanted} of shape (), not {_kind(value)}.")


def _check_read(trial: Trial, structure: Mapping[str, Any], numbers: Mapping[str, Any], read: set[str]) -> None:
    """Fails if no one reads a hyperparameter."""
    if set(structure) - read:  # Who else sees them?
        reader = Reader(structure, read)
        jax.eval_shape(lambda key: trial.draw(reader, key), jax.random.key(0))
        trial.plan(reader, 0, 1)
        if trial.steps_per_epoch is not None:
            trial.steps_per_epoch(reader)
    unread = [name for name in (*structure, *numbers) if name not in read]
    if not unread:
        return
    there = ", ".join(f"{name}={value!r}" for name, value in structure.items() if name not in unread)
    hint = f", or say when it exists: points.only_when({unread[0]!r}, ...)" if there else ""
    raise ValueError(
        f"No one reads the hyperparameter {unread[0]!r}{there and f' where {there}'}: the trial asks for "
        f"{listing(sorted(read))}. Points that differ in it alone would be the same run. Leave it out{hint}."
    )
