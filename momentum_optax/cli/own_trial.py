"""A trial of the user's own, named by its module and function."""

import dataclasses
import difflib
import importlib
import inspect
import os
import sys
from collections.abc import Mapping
from typing import Any

from ..sweeps import Trial
from .errors import bad

EXPECTED = "a momentum_optax.sweeps.Trial, as sweeps.supervised(...) and sweeps.trial(...) make it"


def own_trial(name: str, arguments: Mapping[str, Any]) -> Trial:
    """Finds a trial, or makes it by a function.

    Args:
      name: `MODULE:FUNCTION`; modules in the current folder are found too.
      arguments: for the function, by keyword.

    Returns:
      The trial; its settings say where it is from.

    Raises:
      BadParameter: there is no such module or function, the function does not take the arguments, or what it returns
        is no trial. What the function itself raises is not touched.
    """
    module_name, colon, attribute = name.partition(":")
    if not (module_name and colon and attribute):
        raise bad("--trial", f"{name!r} is not accepted; write MODULE:FUNCTION, such as my_module:make_trial")
    module = _module(module_name)
    try:
        made = getattr(module, attribute)
    except AttributeError as error:
        offered = [key for key in vars(module) if not key.startswith("_")]
        close = difflib.get_close_matches(attribute, offered, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise bad(
            "--trial", f"{module_name} has no {attribute!r}; {hint}Expected is a function that makes {EXPECTED}"
        ) from error
    if not isinstance(made, Trial) and callable(made):
        try:
            inspect.signature(made).bind(**arguments)
        except TypeError as error:
            raise bad("--set", f"{name} takes {inspect.signature(made)}: {error}") from error
        made = made(**arguments)
    elif arguments:
        raise bad("--set", f"{name} is no function, and takes nothing")
    if not isinstance(made, Trial):
        raise bad("--trial", f"{name} gives {made!r:.60}; expected is {EXPECTED}")
    settings = {"trial": name, **({"arguments": dict(arguments)} if arguments else {})}
    return dataclasses.replace(made, settings={**made.settings, **settings})


def _module(name: str) -> Any:
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())  # as `python -m` does
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        # Another one may be missing, which the user's module imports.
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        hint = f"; write {name[:-3].replace('/', '.')}, without .py" if name.endswith(".py") else ""
        raise bad(
            "--trial", f"there is no module {error.name!r} in {os.getcwd()} or among what is installed{hint}"
        ) from error
