"""The results of a sweep, put before a reader: a table on the terminal, files and pictures in a folder."""

import math
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from .pictures import heat_maps, learning_curves
from .results import SweepResult
from .saving import write_files, writers

PICTURES = {"heat_maps.png": heat_maps, "learning_curves.png": learning_curves}
FILES = ("runs.csv", "table.csv", "sweep.json", *PICTURES)
"""What `write` writes."""

# Broken by hand, so that the table fits into 80 columns.
HEADINGS = {
    "learning_rate": "learning\nrate",
    "test_accuracy": "test\naccuracy",
    "test_accuracy_spread": "spread",
    "steps_to_0.95": "steps to\n95 %",
}


def print_table(result: SweepResult, *, rows: int = 15, console: Console | None = None) -> None:
    """Prints the best points, and each method's best if it is not among them.

    Args:
      result: the sweep.
      rows: how many of the best points to print.
      console: where to; `None` for standard output.
    """
    console = Console() if console is None else console
    ranking = result.table()
    table = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
        title=f"The best of {len(ranking)} points x {len(result.seeds)} seeds",
    )
    for column in map(str, ranking):
        left = column == "method"
        heading = HEADINGS.get(column, column.replace("_", " "))
        table.add_column(heading, justify="left" if left else "right", no_wrap=left)
    shown = ranking["rank"] <= rows
    if "method" in ranking:
        shown |= ~ranking.duplicated("method")
    for _, row in ranking[shown].iterrows():
        table.add_row(*(_cell(str(column), value) for column, value in row.items()))
    console.print(table)
    console.print(
        f"Accuracy is the median over seeds and spread the range; {int(result.diverged.sum())} of "
        f"{result.diverged.size} runs diverged."
    )


def write(result: SweepResult, folder: str | Path) -> list[Path]:
    """Writes tables, settings and both pictures.

    Args:
      result: the sweep.
      folder: where to; made if missing, files of the same names are replaced.

    Returns:
      The files.

    Raises:
      OSError: the folder cannot be written; then no file has been touched.
    """
    pictures = {name: lambda path, f=f: f(result).savefig(path, dpi=150) for name, f in PICTURES.items()}
    return write_files(folder, {**writers(result), **pictures})


def _cell(column: str, value: object) -> str:
    if isinstance(value, str):
        return value
    number = float(value)  # pyright: ignore[reportArgumentType]
    if math.isnan(number):
        return ""
    return f"{number:.2%}" if column.startswith("test_accuracy") else f"{number:g}"
