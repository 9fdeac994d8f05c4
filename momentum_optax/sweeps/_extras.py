"""Packages that only some of the sweeps' parts need."""

import importlib.util


def need(package: str, what: str, extra: str = "sweep") -> None:
    """Fails, with what to do about it, if a package of an extra is missing."""
    if importlib.util.find_spec(package) is None:
        raise ImportError(f'{what} need {package}: pip install ".[{extra}]" in a clone')
