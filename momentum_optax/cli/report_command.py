"""`momentum-optax report`, and what `momentum-optax sweep` ends with."""

from pathlib import Path
from typing import Annotated, Any

import typer

from ..sweeps import SweepResult, load
from ..sweeps.storage.unfinished import load_unfinished
from . import folders, texts
from .errors import bad, check_parquet, need_sweep_extra, unwritable

MODES = ("max", "min")


def report(
    folder: Annotated[Path, typer.Argument(help="Of a sweep, finished or not.", show_default=False)],
    metric: Annotated[str | None, typer.Option(help="What to rank by. [default: test_accuracy or alike]")] = None,
    mode: Annotated[str | None, typer.Option(metavar="max|min", help="Which is better. [default: by its name]")] = None,
    rows: Annotated[int, typer.Option(help="How many points to print.")] = 15,
    output: Annotated[Path | None, typer.Option(help="Folder for tables and pictures. [default: FOLDER]")] = None,
    parquet: Annotated[bool, typer.Option("--parquet", help="Write runs.parquet too.")] = False,
) -> None:
    """Prints the ranking of a sweep, and writes its tables and pictures, by another metric if you like."""
    texts.count("--rows", rows)
    texts.one_of("--mode", mode, MODES)
    need_sweep_extra()
    check_parquet(parquet)
    try:
        result = load(folder) if folders.finished(folder) else load_unfinished(folder)
    except (OSError, ValueError) as error:
        raise bad("FOLDER", str(error)) from error
    show(result, folder if output is None else output, metric, mode, rows=rows, parquet=parquet)


def show(
    result: SweepResult,
    output: Path,
    metric: str | None,
    mode: Any,
    *,
    rows: int = 15,
    parquet: bool = False,
    quiet: bool = False,
) -> None:
    """Prints the ranking, unless it is to be quiet, and writes tables and pictures."""
    from ..sweeps.results import report

    if metric is not None and metric not in result.metrics:
        raise bad("--metric", f"there is no metric {metric!r}; there are {', '.join(sorted(result.metrics))}")
    steps = result.settings.get("steps", 0)
    if not quiet:
        report.print_table(result, rows=rows, metric=metric, mode=mode)
        if result.steps[-1] < steps:
            print(f"Not finished: this is after {result.steps[-1]} of {steps} steps.")
    try:
        files = report.write(result, output, metric=metric, mode=mode, parquet=parquet)
    except OSError as error:
        raise unwritable(output, error) from error
    if not quiet:
        print(f"Wrote {', '.join(file.name for file in files)} to {output}.")
