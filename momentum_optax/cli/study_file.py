"""A sweep described in a TOML file, whose keys are the options of the command line."""

import difflib
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import typer

from ..sweeps.values import listing
from .errors import bad

TABLES = ("points", "set")
"""Options that are tables in a file; they keep the types of TOML."""


def read_study(context: typer.Context, path: Path | None) -> Path | None:
    """Makes the content of a file the defaults of the options; tables are left in `tables(context)`.

    To be called before other options are read.

    Raises:
      BadParameter: the file cannot be read, or a key is not that of an option; the message names the file and the key.
    """
    if path is None:
        return None
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise bad("FILE", f"{path} cannot be read ({error.strerror or error})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise bad("FILE", f"{path} is no TOML: {error}") from error
    options = dict(_options(context))
    defaults: dict[str, Any] = {}
    for key, given in content.items():
        name = key.replace("_", "-")
        if name not in options:
            close = difflib.get_close_matches(name, options, n=1)
            hint = f"did you mean {close[0]}? " if close else ""
            raise bad("FILE", f"{path}: there is no option {key!r}; {hint}Accepted are {listing(sorted(options))}")
        if name in TABLES and isinstance(given, Mapping):
            tables(context)[name] = dict(given)
        else:
            defaults[options[name].name] = _default(path, key, given, options[name])
    context.default_map = defaults
    return path


def tables(context: typer.Context) -> dict[str, dict[str, Any]]:
    """The tables of the file, by option."""
    return context.meta.setdefault(__name__, {})


def exclusive(context: typer.Context, **given: Any) -> list[Any]:
    """Options that say the same in two ways.

    Args:
      context: of the command.
      **given: their values by name of the argument.

    Returns:
      The values, but `None` for those of the file if there is one on the command line.

    Raises:
      BadParameter: more than one is left.
    """
    left = [name for name, value in given.items() if value]
    if typed := [name for name in left if context.get_parameter_source(name).name == "COMMANDLINE"]:  # pyright: ignore
        left = typed
    if len(left) > 1:
        first, second = (f"--{name.replace('_', '-')}" for name in left[:2])
        raise bad(second, f"this says the same as {first}; give one of them")
    return [value if name in left else None for name, value in given.items()]


def _options(context: typer.Context) -> Iterator[tuple[str, Any]]:
    for parameter in context.command.params:
        for option in parameter.opts:
            if option.startswith("--") and option != "--help":
                yield option.removeprefix("--"), parameter


def _default(path: Path, key: str, given: Any, option: Any) -> Any:
    """As text, as on the command line, so that what is accepted is the same."""
    if isinstance(given, bool) and option.is_flag:
        return given
    words = given if isinstance(given, list) else [given]
    for word in words:
        if isinstance(word, bool) or not isinstance(word, str | int | float):
            raise bad("FILE", f"{path}: {key}: {given!r} is not accepted; give what --{key.replace('_', '-')} takes")
    if option.multiple:
        return [str(word) for word in words]
    # A list of one is a list, which a comma says where a number alone would be a count.
    return ",".join(map(str, words)) + ("," if key == "seeds" and isinstance(given, list) and len(given) == 1 else "")
