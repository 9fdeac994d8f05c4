"""What the command line says when something is wrong."""

import contextlib
import importlib.util
import traceback
from collections.abc import Iterator
from pathlib import Path

import typer

PACKAGE = Path(__file__).parents[1]


def bad(option: str, message: str) -> typer.BadParameter:
    """The error of an option that is not accepted; a full stop is added to the message."""
    return typer.BadParameter(f"{message.removesuffix('.')}.", param_hint=option)


def unwritable(output: Path, error: OSError) -> typer.BadParameter:
    """The error of a folder that cannot be written."""
    return bad("--output", f"{output} cannot be written ({error.strerror or error}); name a folder that can")


def need_sweep_extra() -> None:
    """Ends with what to do about it if a package of the `sweep` extra is missing."""
    for name in ("flax", "matplotlib", "orbax", "pandas", "sklearn"):
        if importlib.util.find_spec(name) is None:
            raise SystemExit(f'Sweeps need {name}: pip install ".[sweep]" in a clone')


def check_parquet(asked: bool) -> None:
    """Refuses to promise what cannot be written hours later."""
    if asked and not any(importlib.util.find_spec(name) for name in ("fastparquet", "pyarrow")):
        raise bad("--parquet", "this needs fastparquet or pyarrow; without it, runs.csv has the same rows")


@contextlib.contextmanager
def library_errors() -> Iterator[None]:
    """Shows errors of the library without their traceback; those of the user's own code keep it."""
    try:
        yield
    except (ValueError, KeyError, TypeError, OSError, MemoryError, RuntimeError) as error:
        if not Path(traceback.extract_tb(error.__traceback__)[-1].filename).is_relative_to(PACKAGE):
            raise
        # The text of a KeyError is quoted.
        text = str(error.args[0]) if isinstance(error, KeyError) else str(error)
        notes = [note for note in getattr(error, "__notes__", ()) if "JAX has removed" not in note]
        message = "\n".join([text, *notes])
        about_folder = message.startswith("folder=") or "delete this one" in message
        message = message.replace("delete this one", "let --no-resume replace what is in this one")
        raise bad("--output", message) if about_folder else typer.BadParameter(message) from error
