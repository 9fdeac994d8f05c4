"""A folder with all that a sweep found, for people and for programs."""

import hashlib
import importlib.util
import json
import platform
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .identity import IDENTITY
from .saving import write_files

if TYPE_CHECKING:
    from ..results.results import SweepResult

FLOAT = "%.7g"
"""Metrics are float32; more digits would be noise."""


FORMAT = 1
"""Of `sweep.json` and `runs.npz`; to be raised when a version could not read what a later one writes."""

FILES = ("runs.csv", "table.csv", "runs.npz", "sweep.json")
"""What `save` writes."""


def save(result: "SweepResult", folder: str | Path, metric: str | None = None, *, parquet: bool = False) -> list[Path]:
    """Writes the results of a sweep.

    Args:
      result: the sweep.
      folder: where to; made if missing, files of the same names are replaced.
      metric: what to rank by, see `table.rank`.
      parquet: whether to write `runs.parquet` too, with the same rows as `runs.csv` in full precision; needs
        fastparquet or pyarrow.

    Returns:
      The files: `runs.csv` with one row for each run and evaluation, `table.csv` with the ranking, `runs.npz` with all
      numbers as they are, and `sweep.json` with points, settings, versions of packages and the ranking. `load` reads
      the last two.

    Raises:
      ImportError: there is no package that writes Parquet; no file has been touched.
      OSError: the folder cannot be written; no file of an earlier sweep has been touched.
    """
    return write_files(folder, writers(result, metric, parquet=parquet))


def writers(
    result: "SweepResult", metric: str | None = None, *, parquet: bool = False
) -> dict[str, Callable[[Path], object]]:
    """What `save` writes: by file name, a function that writes to the path it is given.

    Args:
      result: the sweep.
      metric: what to rank by.
      parquet: whether to write `runs.parquet` too.

    Returns:
      The functions, to be called in this order.
    """
    if parquet and not any(importlib.util.find_spec(engine) for engine in ("fastparquet", "pyarrow")):
        raise ImportError("parquet=True needs fastparquet or pyarrow; without it, runs.csv has the same rows.")
    ranking = result.table(metric)

    def describe(path: Path) -> None:
        known = ranking.astype(object).where(ranking.notna(), None)
        rows = [{k: _plain(v) for k, v in row.items()} for row in known.to_dict("records")]
        description = {
            "format": FORMAT,
            # A folder whose files are of two sweeps, for a machine stopped while they were replaced, is found out.
            "runs.npz": digest(path.with_name("runs.npz")),
            "points": [dict(point) for point in result.points],
            "seeds": list(result.seeds),
            "folds": list(result.folds),
            "settings": dict(result.settings),
            "versions": versions(),
            "table": rows,
        }
        path.write_text(json.dumps(description, indent=2, default=_json) + "\n", encoding="utf-8")

    tables: dict[str, Callable[[Path], object]] = {
        "runs.csv": lambda path: result.frame().to_csv(path, index=False, float_format=FLOAT),
        "table.csv": lambda path: ranking.to_csv(path, index=False, float_format=FLOAT),
    }
    if parquet:
        tables["runs.parquet"] = lambda path: result.frame().to_parquet(path, index=False)
    arrays = {name: getattr(result, name) for name in ("steps", "diverged_at", "pruned_at", "cost")}
    arrays |= {f"metrics/{name}": _native(values) for name, values in result.metrics.items()}
    return {**tables, "runs.npz": lambda path: np.savez_compressed(path, **arrays), "sweep.json": describe}


def load(folder: str | Path) -> "SweepResult":
    """Reads what `save` wrote, as `momentum-optax sweep` does too.

    Args:
      folder: a folder with the results of a sweep.

    Returns:
      The result, equal to the one that was saved: every number is the same, bit for bit. In `settings`, and in
      hyperparameters that are neither numbers nor strings, tuples have become lists and other objects strings.

    Raises:
      FileNotFoundError: the folder holds no finished sweep.
      ValueError: it was written by a version too old or too new, or its files are damaged or of two sweeps.

    Examples:
      >>> result = load("momentum-optax-results")  # doctest: +SKIP
      >>> result.best("test_accuracy", statistic="mean").point  # doctest: +SKIP
    """
    from ..results.results import SweepResult

    folder = Path(folder)
    try:
        text = (folder / "sweep.json").read_text(encoding="utf-8")
    except FileNotFoundError as error:
        if (folder / IDENTITY).exists():
            raise FileNotFoundError(
                f"{folder} holds a sweep that is not finished, but under way or stopped. "
                f"`momentum-optax report {folder}` shows what it has found so far; the call that began it goes on."
            ) from error
        raise FileNotFoundError(f"{folder} holds no finished sweep, for it has no sweep.json.") from error
    try:
        description = json.loads(text)
    except ValueError as error:
        raise ValueError(f"{folder / 'sweep.json'} is damaged: {error}.") from error
    written = description.get("format") if isinstance(description, dict) else None
    if written is None:
        raise ValueError(f"{folder} was written by an older version, which kept no exact numbers; read its runs.csv.")
    if written != FORMAT:
        by = description.get("versions", {}).get("momentum_optax", "of unknown number")
        raise ValueError(
            f"{folder} has format {written}, written by momentum_optax {by}; this version reads format {FORMAT}. "
            "Install the version that wrote it, or a newer one."
        )
    path = folder / "runs.npz"
    if not path.is_file():
        raise FileNotFoundError(f"{folder} holds no whole sweep, for it has no runs.npz.")
    if digest(path) != description["runs.npz"]:
        raise ValueError(f"{path} is damaged, or of another sweep than the sweep.json beside it.")
    with np.load(path, allow_pickle=False) as arrays:
        metrics = {key.removeprefix("metrics/"): arrays[key] for key in arrays if key.startswith("metrics/")}
        rest = {key: arrays[key] for key in arrays if not key.startswith("metrics/")}
    return SweepResult(
        points=tuple(description["points"]),
        seeds=tuple(description["seeds"]),
        folds=tuple(description["folds"]),
        metrics=metrics,
        settings=description["settings"],
        **rest,
    )


def digest(path: Path) -> str:
    """What tells a file from all others."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def versions() -> dict[str, str]:
    """The versions of Python and of the packages that results depend on, as far as they are installed."""
    found = {"python": platform.python_version()}
    for name in ("momentum_optax", "jax", "jaxlib", "optax", "flax", "numpy", "scikit-learn"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _plain(value: object) -> object:
    """A value that JSON knows; missing numbers become null."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return float(FLOAT % value) if np.isfinite(value) else None
    return value


def _json(value: Any) -> object:
    """What JSON has no word for, as one that it has."""
    return value.tolist() if isinstance(value, np.generic | np.ndarray) else str(value)


def _native(values: np.ndarray) -> np.ndarray:
    """Numbers that a NumPy file can hold: bfloat16 and its like become float32, which has them all."""
    values = np.asarray(values)
    return values.astype(np.float32) if values.dtype.kind == "V" else values
