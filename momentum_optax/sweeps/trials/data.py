"""What models are trained and tested on."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np


class Data(NamedTuple):
    """Inputs and targets to train on, and others to test on; arrays with samples along the first axis.

    A cross-validation tests on the samples to train on, and needs no others.
    """

    train_inputs: np.ndarray
    train_targets: np.ndarray
    test_inputs: np.ndarray | None = None
    test_targets: np.ndarray | None = None


def checked(data: Data) -> Data:
    """The data as NumPy arrays that nobody changes.

    Raises:
      TypeError: it is no `Data`, or holds other things than numbers.
      ValueError: a number is NaN or infinite, or the arrays do not fit together.
    """
    if not isinstance(data, Data):
        raise TypeError(f"data must be a momentum_optax.sweeps.Data, not {type(data).__name__}.")
    found = data._replace(**{name: _frozen(part) for name, part in data._asdict().items() if part is not None})
    for name, values in found._asdict().items():
        if values is not None:
            _check_numbers(name, values)
    if found.test_inputs is None and found.test_targets is None:
        _check_lengths("train", found.train_inputs, found.train_targets)
        return found
    for part in ("train", "test"):
        _check_lengths(part, getattr(found, f"{part}_inputs"), getattr(found, f"{part}_targets"))
    for kind in ("inputs", "targets"):
        train, test = (getattr(found, f"{part}_{kind}").shape[1:] for part in ("train", "test"))
        if train != test:
            raise ValueError(
                f"data.train_{kind} and data.test_{kind} must have samples of one shape, not {train} and {test}."
            )
    return found


def _frozen(part: Any) -> np.ndarray:
    """An array as it is now: changes later on would be seen by some sweeps of a trial and not by others."""
    values = np.asarray(part)
    if values.flags.writeable:
        values = values.copy()
        values.flags.writeable = False
    return values


def _check_numbers(name: str, values: np.ndarray) -> None:
    if not (jnp.issubdtype(values.dtype, jnp.number) or values.dtype == np.bool_):
        # NumPy wraps what is no array, such as a dictionary of several.
        found = f"one of {values.dtype}" if values.ndim else f"a {type(values.item()).__name__}"
        raise TypeError(f"data.{name} must be one array of numbers or booleans, not {found}.")
    if jnp.issubdtype(values.dtype, jnp.inexact) and (bad := ~np.isfinite(values)).any():
        where = tuple(int(i) for i in np.argwhere(bad)[0])
        raise ValueError(
            f"data.{name} must be finite, but {int(bad.sum())} of {values.size} entries are NaN or infinite; the first "
            f"is at index {where}."
        )


def _check_lengths(part: str, inputs: Any, targets: Any) -> None:
    counts = [0 if x is None or x.ndim == 0 else len(x) for x in (inputs, targets)]
    if counts[0] != counts[1] or counts[0] == 0:
        raise ValueError(
            f"data.{part}_inputs and data.{part}_targets must have the same number of samples, at least 1, not "
            f"{counts[0]} and {counts[1]}."
        )
