"""Whose folder it is: what a sweep is, in words that JSON knows, and where two sweeps differ."""

import json
import re
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

IDENTITY = "identity.json"

INFORMATIVE = ("versions", "platform")
"""The parts of an identity that may change, though results may then differ in their last digits."""

_MISSING = object()


def is_known(folder: Path, identity: Mapping[str, Any]) -> bool:
    """Whether a folder is that of a sweep.

    Args:
      folder: the folder.
      identity: the sweep, a value from `plain`.

    Returns:
      False if the folder has no `identity.json` or is not there. What is only informative may differ, with a warning.

    Raises:
      ValueError: the folder is of another sweep, or its `identity.json` is damaged.
    """
    try:
        there = json.loads((folder / IDENTITY).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return False
    except ValueError as error:
        raise ValueError(f"{folder / IDENTITY} is damaged: {error}. Give another folder.") from error
    minor, major = [], []
    for path, text in differences(there, identity):
        (minor if path.split(".")[0] in INFORMATIVE else major).append(text)
    if major:
        more = f" and in {len(major) - 3} more" if len(major) > 3 else ""
        raise ValueError(
            f"folder={str(folder)!r} is that of another sweep, which differs in {', '.join(major[:3])}{more}. "
            "Give another folder, or delete this one."
        )
    if minor:
        warnings.warn(
            f"The sweep in {folder} was begun elsewhere: {', '.join(minor)}. "
            "The last digits of its results may be others than without the change.",
            stacklevel=3,
        )
    return True


def plain(value: Any) -> Any:
    """A value as JSON would give it back.

    Args:
      value: tuples become lists, NumPy numbers and arrays those of Python, other objects strings.

    Returns:
      The value; the same in every process.
    """
    return json.loads(json.dumps(value, default=_plain))


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return dict(value)
    # Without its address, which differs in every process.
    return re.sub(r" at 0x[0-9a-fA-F]+", "", str(value))


def differences(there: Any, here: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Where two values differ.

    Args:
      there: a value from `plain`.
      here: another one.
      path: what to call them.

    Yields:
      The path of each part that differs, and the same with both values.
    """
    if isinstance(there, dict) and isinstance(here, dict):
        for key in there | here:
            name = f"{path}.{key}" if path else key
            yield from differences(there.get(key, _MISSING), here.get(key, _MISSING), name)
    elif isinstance(there, list) and isinstance(here, list) and len(there) == len(here):
        for i, pair in enumerate(zip(there, here, strict=True)):
            yield from differences(*pair, f"{path}[{i}]")
    elif _text(there) != _text(here):
        yield path, f"{path} (there {_short(there)}, here {_short(here)})"


def _text(value: Any) -> str:
    # As text, for NaN is not equal to itself, and 1 is equal to 1.0 and to true.
    return "nothing" if value is _MISSING else json.dumps(value)


def _short(value: Any, width: int = 60) -> str:
    if isinstance(value, list):
        return f"a list of {len(value)}"
    text = _text(value)
    return text if len(text) <= width else text[:width] + "..."
