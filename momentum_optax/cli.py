"""The command line: `momentum-optax sweep` and `momentum-optax methods`."""

import difflib
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

try:
    import typer
    from rich import box
    from rich.console import Console
    from rich.panel import Panel
    from rich.table import Table
except ImportError as error:
    raise SystemExit(f'The command line needs {error.name}: pip install "momentum_optax[sweep]"') from error

from .catalog import CATALOG, Method

if TYPE_CHECKING:
    from .sweeps import SweepResult

METHODS = ("heavy_ball", "nesterov", "qhm", "ema_momentum")
LEARNING_RATES = "0.001,0.002,0.005,0.01,0.02,0.05,0.1,0.2,0.5,1,2,5,10"
BETAS = "0,0.5,0.8,0.9,0.95,0.98,0.99,0.995"
QUICK = {"learning_rate": "0.01,0.1,1,10", "beta": "0,0.9,0.99", "seeds": 3, "steps": 100}
INTERRUPTED = 130

app = typer.Typer(
    no_args_is_help=True, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False
)


def main() -> None:
    """Runs the command line."""
    try:
        app()
    except KeyboardInterrupt:
        print("\nInterrupted before anything was finished.", file=sys.stderr)
        sys.exit(INTERRUPTED)


@app.callback()
def _root() -> None:
    """Momentum for JAX: choose a method, a learning rate and a beta by trying them."""


@app.command()
def sweep(
    method: Annotated[
        list[str] | None, typer.Option(help="A method to try; repeat it, or separate by commas.")
    ] = None,
    learning_rate: Annotated[
        str | None, typer.Option(help=f"Learning rates. [default: {LEARNING_RATES}]")
    ] = None,
    beta: Annotated[
        str | None, typer.Option(help=f"Betas, for methods that have one. [default: {BETAS}]")
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(help="How many seeds to train each point from. [default: 10]")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Updates per run. [default: 400]")] = None,
    batch_size: Annotated[int, typer.Option(help="Samples per update.")] = 32,
    output: Annotated[Path, typer.Option(help="Folder for tables and pictures.")] = Path(
        "momentum-optax-results"
    ),
    quick: Annotated[bool, typer.Option("--quick", help="A smaller grid, fewer seeds and steps.")] = False,
) -> None:
    """Trains a small network on handwritten digits with each method, learning rate, beta and seed."""
    if method is None:
        names = METHODS
    else:
        names = tuple(
            dict.fromkeys(name.strip() for entry in method for name in entry.split(",") if name.strip())
        )
    rows = [_method(name) for name in names]
    if not rows:
        raise _bad("--method", "name at least one method")
    small = QUICK if quick else {}
    rates = _numbers(
        "--learning-rate", learning_rate or small.get("learning_rate", LEARNING_RATES), 0.0, math.inf
    )
    betas = _numbers("--beta", beta or small.get("beta", BETAS), 0.0, 1.0)
    seeds = small.get("seeds", 10) if seeds is None else seeds
    steps = small.get("steps", 400) if steps is None else steps
    for option, value in {"--seeds": seeds, "--steps": steps, "--batch-size": batch_size}.items():
        if value < 1:
            raise _bad(option, f"{value} is not accepted; give a whole number of at least 1")
    from .sweeps.saving import check_writable

    try:
        check_writable(output)
    except OSError as error:
        raise _bad("--output", f"{output} cannot be written ({error}); name a folder that can") from error
    _use_all_cores()
    finished, interrupted = _train(rows, rates, betas, seeds, steps, batch_size)
    if finished:
        _report(finished, output)
    if interrupted:
        kept = ", ".join(str(r.points[0]["method"]) for r in finished)
        message = f"kept what was finished: {kept}." if kept else "nothing was finished, nothing was written."
        print(f"Interrupted; {message}", file=sys.stderr)
        raise typer.Exit(INTERRUPTED)


@app.command()
def methods(
    name: Annotated[str | None, typer.Argument(help="Show only this method, in full.")] = None,
) -> None:
    """Lists the methods of the library with their equations and sources."""
    console = Console()
    if name is not None:
        row = _method(name, kinds=None)
        numbers = [
            f"{h.name} = {h.default:g}  (try {h.low:g} to {h.high:g}, {h.scale})" for h in row.hyperparameters
        ]
        lines = [
            row.summary,
            "",
            row.equation,
            "",
            *numbers,
            f"buffers: {row.buffers}",
            "",
            row.source,
            row.url,
        ]
        console.print(Panel("\n".join(lines), title=f"{row.name} ({row.kind})", expand=False), markup=False)
        return
    table = Table("method", "kind", "one step", "source", box=box.SIMPLE_HEAD)
    for row in CATALOG:
        table.add_row(row.name, row.kind, row.equation, f"{row.source}\n{row.url}".strip())
    console.print(table, markup=False)


def _train(
    rows: list[Method], rates: list[float], betas: list[float], seeds: int, steps: int, batch_size: int
) -> tuple[list["SweepResult"], bool]:
    """Sweeps the methods one after the other; also says whether it was interrupted."""
    from .problems import digits
    from .sweeps import grid, progress_bar, supervised, sweep

    try:
        data = digits.load()
        trials = [
            supervised(digits.MLP, data, optimizer=lambda hp, row=row: row.build(**hp), batch_size=batch_size)
            for row in rows
        ]
    except ValueError as error:
        raise _bad("--batch-size", str(error)) from error
    finished = []
    try:
        with progress_bar([row.name for row in rows]) as progress:
            for row, trial in zip(rows, trials, strict=True):
                has_beta = any(h.name == "beta" for h in row.hyperparameters)
                points = grid(learning_rate=rates, **({"beta": betas} if has_beta else {}))
                every = max(5, steps // 40)
                finished.append(
                    sweep(
                        trial,
                        points,
                        seeds=seeds,
                        steps=steps,
                        evaluate_every=every,
                        label=row.name,
                        progress=progress,
                    )
                )
    except KeyboardInterrupt:
        return finished, True
    return finished, False


def _report(finished: list["SweepResult"], output: Path) -> None:
    """Prints the ranking; writes tables and pictures."""
    from .sweeps import join
    from .sweeps.pictures import heat_maps, learning_curves
    from .sweeps.saving import write_files

    result = join(finished)
    ranking = result.table()
    table = Table(box=box.SIMPLE_HEAD, title=f"The best of {len(ranking)} points x {len(result.seeds)} seeds")
    headings = {
        "test_accuracy": "test accuracy",
        "test_accuracy_spread": "spread",
        "steps_to_0.95": "steps to 95 %",
    }
    for column in ranking:
        heading, left = headings.get(column, column.replace("_", " ")), column == "method"
        table.add_column(heading, justify="left" if left else "right", no_wrap=left)
    best = ranking.groupby("method", sort=False).head(1)
    shown = ranking[(ranking["rank"] <= 15) | ranking.index.isin(best.index)]
    for _, row in shown.iterrows():
        table.add_row(*(_cell(column, value) for column, value in row.items()))
    console = Console()
    console.print(table)
    lost = int(result.diverged.sum())
    console.print(
        f"{lost} of {result.diverged.size} runs diverged. Shown: the best 15 points and each method's best."
    )
    files = result.save(output)
    draw = {"heat_maps.png": heat_maps, "learning_curves.png": learning_curves}
    files += write_files(
        output, {name: lambda path, f=f: f(result).savefig(path, dpi=150) for name, f in draw.items()}
    )
    print(f"Wrote {', '.join(file.name for file in files)} to {output}.")


def _cell(column: str, value: object) -> str:
    if isinstance(value, str):
        return value
    number = float(value)  # pyright: ignore[reportArgumentType]
    if math.isnan(number):
        return ""
    return f"{number:.2%}" if column.startswith("test_accuracy") else f"{number:g}"


def _use_all_cores() -> None:
    """Makes each core a device, unless JAX has started already or the user has chosen; then `sweep` uses threads."""
    import jax

    from .sweeps.run import cpu_count

    if jax.config.jax_num_cpu_devices <= 0:
        try:
            jax.config.update("jax_num_cpu_devices", cpu_count())
        except RuntimeError:
            return


def _method(name: str, kinds: tuple[str, ...] | None = ("optimizer",)) -> Method:
    known = {row.name: row for row in CATALOG if kinds is None or row.kind in kinds}
    if name in known:
        return known[name]
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    option = "NAME" if kinds is None else "--method"
    raise _bad(option, f"there is no method {name!r}; {hint}Known are: {', '.join(known)}")


def _numbers(option: str, text: str, low: float, high: float) -> list[float]:
    """Different numbers from a list separated by commas; `low` is accepted, `high` is not, except that rates exceed 0."""
    accepted = "numbers above 0" if high == math.inf else f"numbers of at least {low:g} and below {high:g}"
    numbers = []
    for word in text.split(","):
        try:
            number = float(word)
        except ValueError:
            number = math.nan
        inside = low < number < high if high == math.inf else low <= number < high
        if not inside:
            raise _bad(option, f"{word.strip()!r} is not accepted; give {accepted}, separated by commas")
        if number in numbers:
            raise _bad(option, f"{word.strip()!r} is given twice")
        numbers.append(number)
    return sorted(numbers)


def _bad(option: str, message: str) -> typer.BadParameter:
    return typer.BadParameter(f"{message}.", param_hint=option)


if __name__ == "__main__":
    main()
