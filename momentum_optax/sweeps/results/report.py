"""The results of a sweep, put before a reader: a table on the terminal, files and pictures in a folder."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table

from ..pictures import heat_maps, learning_curves, parallel_coordinates, pareto, seed_strip
from ..storage import folder as folders
from ..storage.saving import write_files
from .best import Mode, default_metric
from .results import SweepResult

PICTURES = {
    f"{draw.__name__}.png": draw for draw in (heat_maps, learning_curves, parallel_coordinates, pareto, seed_strip)
}
"""By file name, a function from a result and a metric to a figure."""

NUMBERS = ("runs.npz", "sweep.json")
"""What `SweepResult.save` writes and `write` does not."""

FILES = (*PICTURES, *(name for name in folders.FILES if name not in NUMBERS))
"""What `write` writes."""

# Broken by hand, so that the table fits into 80 columns.
HEADINGS = {
    "learning_rate": "learning\nrate",
    "test_accuracy": "test\naccuracy",
    "steps_to_0.95": "steps to\n95 %",
}


def print_table(
    result: SweepResult,
    *,
    rows: int = 15,
    console: Console | None = None,
    metric: str | None = None,
    mode: Mode | None = None,
) -> None:
    """Prints the best points, and each method's best if it is not among them.

    Args:
      result: the sweep.
      rows: how many of the best points to print.
      console: where to; `None` for standard output.
      metric: what to rank by; `None` for `best.default_metric`.
      mode: whether larger or smaller is better; `None` for what its name tells.
    """
    console = Console() if console is None else console
    metric = default_metric(result) if metric is None else metric
    ranking = result.table(metric, mode=mode)
    if "accuracy" not in metric:
        ranking = ranking.drop(columns=[column for column in ranking if str(column).startswith("steps_to_")])
    table = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 0 if "pruned" in ranking else 1),
        pad_edge=False,
        collapse_padding=True,
        title=f"The best of {len(ranking)} points x {len(result.seeds)} seeds",
    )
    headings = {**HEADINGS, f"{metric}_spread": "spread"}
    if "pruned" in ranking:
        headings["diverged"] = "di-\nverged"
    for column in map(str, ranking):
        left = any(isinstance(value, str) for value in ranking[column])
        heading = headings.get(column, column.replace("_", " "))
        table.add_column(heading, justify="left" if left else "right", no_wrap=left)
    shown = ranking["rank"] <= rows
    if "method" in ranking:
        shown |= ~ranking.duplicated("method")
    for _, row in ranking[shown].iterrows():
        table.add_row(*(_cell(str(column), value, metric) for column, value in row.items()))
    console.print(table)
    name = "Accuracy" if metric == "test_accuracy" else metric.replace("_", " ").capitalize()
    pruned = int((result.pruned_at >= 0).sum())
    stopped = f", {pruned} stopped early" if pruned else ""
    console.print(
        f"{name} is the median over {'seeds and folds' if result.folds else 'seeds'} and spread the range; "
        f"{int(result.diverged.sum())} of {result.diverged.size} runs diverged{stopped}."
    )
    if ways := result.settings.get("ways"):
        console.print(_how(ways))


def write(
    result: SweepResult,
    folder: str | Path,
    *,
    metric: str | None = None,
    mode: Mode | None = None,
    parquet: bool = False,
) -> list[Path]:
    """Writes tables and all pictures; the numbers themselves are for `SweepResult.save`.

    Args:
      result: the sweep.
      folder: where to; made if missing, files of the same names are replaced.
      metric: what to rank by and to show; `None` for `best.default_metric`.
      mode: whether larger or smaller is better; `None` for what its name tells.
      parquet: whether to write `runs.parquet` too, see `folder.save`.

    Returns:
      The files.

    Raises:
      ImportError: there is no package that writes Parquet.
      OSError: the folder cannot be written; then no file has been touched.
    """
    ranking = result.table(metric, mode=mode)
    tables = folders.writers(result, metric, parquet=parquet)
    tables = {name: write for name, write in tables.items() if name not in NUMBERS}
    tables["table.csv"] = lambda path: ranking.to_csv(path, index=False, float_format=folders.FLOAT)
    return write_files(folder, {**pictures(result, metric, mode), **tables})


def pictures(
    result: SweepResult, metric: str | None = None, mode: Mode | None = None
) -> dict[str, Callable[[Path], object]]:
    """All pictures: by file name, a function that writes to the path it is given.

    Args:
      result: the sweep.
      metric: what to show; `None` for `best.default_metric`.
      mode: whether larger or smaller is better; `None` for what its name tells.

    Returns:
      The functions.
    """
    return {
        name: lambda path, draw=draw: draw(result, metric=metric, mode=mode).savefig(path, dpi=150)
        for name, draw in PICTURES.items()
    }


def _how(ways: Sequence[Mapping[str, Any]]) -> str:
    """How the runs of some programs were trained, and what was measured to find that out."""
    found = dict.fromkeys(f"{way['strategy']}, {way['chunk']} runs together" for way in ways)
    timed: dict[str, list[float]] = {}
    for name, seconds in (item for way in ways for item in way.get("seconds_per_step", {}).items()):
        timed.setdefault(name, []).append(1e6 * seconds)
    times = ", ".join(f"{name} {median(values):.3g}" for name, values in timed.items())
    return f"Strategy: {'; '.join(found)}{times and f' (microseconds a step of a run, measured: {times})'}."


def _cell(column: str, value: object, metric: str) -> str:
    if isinstance(value, str | bool | np.bool_):
        return str(value)
    number = math.nan if value is pd.NA else float(value)  # pyright: ignore[reportArgumentType]
    if math.isnan(number):
        return ""
    measured = column.startswith(metric)
    if measured and "accuracy" in metric:
        return f"{number:.2%}"
    if number.is_integer() and abs(number) < 1e9:
        return f"{number:.0f}"
    short = f"{number:.3g}" if measured else f"{number:.4g}"
    return f"{number:g}" if float(short).is_integer() else short  # no beta is 1
