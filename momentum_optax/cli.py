"""The command line: `momentum-optax sweep` and `momentum-optax methods`."""

import difflib
import functools
import math
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import optax

try:
    import typer
    from rich import box
    from rich.console import Console
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text
except ImportError as error:
    raise SystemExit(f'The command line needs {error.name}: pip install "momentum_optax[sweep]"') from error

from .catalog import CATALOG, Method

if TYPE_CHECKING:
    from .sweeps import Progress, SweepResult, Trial

METHODS = "heavy_ball,nesterov,qhm,ema_momentum"
LEARNING_RATES = "0.001,0.002,0.005,0.01,0.02,0.05,0.1,0.2,0.5,1,2,5,10"
BETAS = "0,0.5,0.8,0.9,0.95,0.98,0.99,0.995"
SEEDS, STEPS = 10, 500
QUICK_LEARNING_RATES, QUICK_BETAS = "0.01,0.03,0.1,0.3,1,3", "0,0.5,0.9,0.99"
QUICK_SEEDS, QUICK_STEPS = 3, 150
INTERRUPTED = 130

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


def main() -> None:
    """Runs the command line."""
    try:
        app()
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        sys.exit(INTERRUPTED)


@app.callback()
def root() -> None:
    """Momentum for JAX: choose a method, a learning rate and a beta by trying them."""


@app.command()
def sweep(
    method: Annotated[
        list[str] | None,
        typer.Option(help=f"A method; repeat it, or separate by commas. [default: {METHODS}]"),
    ] = None,
    learning_rate: Annotated[
        str | None, typer.Option(help=f"Learning rates, separated by commas. [default: {LEARNING_RATES}]")
    ] = None,
    beta: Annotated[str | None, typer.Option(help=f"Betas, for methods that have one. [default: {BETAS}]")] = None,
    seeds: Annotated[int | None, typer.Option(help=f"Runs of each point. [default: {SEEDS}]")] = None,
    steps: Annotated[int | None, typer.Option(help=f"Updates per run. [default: {STEPS}]")] = None,
    batch_size: Annotated[int, typer.Option(help="Samples per update.")] = 32,
    output: Annotated[Path, typer.Option(help="Folder for tables and pictures.")] = Path("momentum-optax-results"),
    quick: Annotated[bool, typer.Option("--quick", help="Smaller defaults, for a first look.")] = False,
) -> None:
    """Trains a small network on handwritten digits with each method, learning rate, beta and seed."""
    names = [name.strip() for entry in method or [METHODS] for name in entry.split(",")]
    rows = [_method("--method", name, kind="optimizer") for name in dict.fromkeys(names)]
    rates = _numbers(
        "--learning-rate",
        learning_rate,
        QUICK_LEARNING_RATES if quick else LEARNING_RATES,
        "above 0",
        lambda x: x > 0,
    )
    betas = _numbers("--beta", beta, QUICK_BETAS if quick else BETAS, "of at least 0 and below 1", lambda x: 0 <= x < 1)
    seeds = _count("--seeds", seeds, QUICK_SEEDS if quick else SEEDS)
    steps = _count("--steps", steps, QUICK_STEPS if quick else STEPS)
    _need_sweep_extra()
    from .sweeps import join, progress_bar, report
    from .sweeps.saving import check_writable

    _use_all_cores()
    trials = _trials(rows, _count("--batch-size", batch_size, batch_size))
    try:
        check_writable(output)
    except OSError as error:
        reason = error.strerror or error
        raise _bad("--output", f"{output} cannot be written ({reason}); name a folder that can") from error
    finished: list[SweepResult] = []
    interrupted = False
    try:
        with progress_bar([row.name for row in rows]) as progress:
            for row, trial in zip(rows, trials, strict=True):
                finished.append(_sweep_method(row, trial, rates, betas, seeds, steps, progress))
    except KeyboardInterrupt:
        interrupted = True
    if finished:
        result = join(finished)
        report.print_table(result)
        files = report.write(result, output)
        print(f"Wrote {', '.join(file.name for file in files)} to {output}.")
    if interrupted:
        kept = ", ".join(row.name for row in rows[: len(finished)])
        message = f"kept what was finished: {kept}" if kept else "no method was finished, nothing was written"
        print(f"Interrupted: {message}.", file=sys.stderr)
        raise typer.Exit(INTERRUPTED)


@app.command()
def methods(
    name: Annotated[str | None, typer.Argument(help="Show only this method, with its numbers.")] = None,
) -> None:
    """Lists the methods of the library with their equations and sources."""
    console = Console()
    if name is not None:
        row = _method("NAME", name)
        numbers = [f"{h.name} = {h.default:g}  (try {h.low:g} to {h.high:g}, {h.scale})" for h in row.hyperparameters]
        text = "\n".join([_description(row), *([""] if numbers else []), *numbers])
        console.print(Panel(Text(text), title=f"{row.name} ({row.kind})", expand=False))
        return
    table = Table("method", "one step and its source", box=box.SIMPLE_HEAD, show_lines=True)
    for row in CATALOG:
        table.add_row(Text(f"{row.name}\n({row.kind})"), Text(_description(row)))
    console.print(table)


def _description(row: Method) -> str:
    equations = [f"  {equation}" for equation in row.equation.split("; ")]
    return "\n".join([row.summary, *equations, row.source, row.url])


def _trials(rows: list[Method], batch_size: int) -> list["Trial"]:
    from .problems import digits
    from .sweeps import supervised

    def build(row: Method, hyper: Mapping[str, Any]) -> optax.GradientTransformation:
        return row.build(**{h.name: h.default for h in row.hyperparameters} | dict(hyper))

    data = digits.load()
    if batch_size > len(data.train_inputs):
        raise _bad("--batch-size", f"{batch_size} is not accepted; give at most {len(data.train_inputs)}")
    return [
        supervised(digits.MLP, data, optimizer=functools.partial(build, row), batch_size=batch_size) for row in rows
    ]


def _sweep_method(
    row: Method,
    trial: "Trial",
    rates: list[float],
    betas: list[float],
    seeds: int,
    steps: int,
    progress: "Callable[[Progress], None]",
) -> "SweepResult":
    from .sweeps import grid, sweep

    has_beta = any(h.name == "beta" for h in row.hyperparameters)
    points = grid(learning_rate=rates, **({"beta": betas} if has_beta else {}))
    # Often enough that the curves are smooth and Ctrl-C is heard soon.
    every = min(max(5, steps // 50), 200)
    return sweep(trial, points, seeds=seeds, steps=steps, evaluate_every=every, label=row.name, progress=progress)


def _need_sweep_extra() -> None:
    try:
        import flax  # noqa: F401
        import matplotlib  # noqa: F401
        import pandas  # noqa: F401
        import sklearn  # noqa: F401
    except ImportError as error:
        raise SystemExit(f'The sweep needs {error.name}: pip install "momentum_optax[sweep]"') from error


def _use_all_cores() -> None:
    """Makes each core a device, unless JAX has started (then `sweep` uses threads) or the user has chosen."""
    import jax

    from .sweeps.run import cpu_count

    if jax.config.jax_num_cpu_devices <= 0:  # pyright: ignore[reportAttributeAccessIssue]
        try:
            jax.config.update("jax_num_cpu_devices", cpu_count())
        except RuntimeError:
            return


def _method(option: str, name: str, kind: str | None = None) -> Method:
    known = {row.name: row for row in CATALOG if kind in (None, row.kind)}
    if name in known:
        return known[name]
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    raise _bad(option, f"there is no {kind or 'method'} {name!r}; {hint}Accepted are {', '.join(known)}")


def _numbers(
    option: str, given: str | None, default: str, accepted: str, accepts: Callable[[float], bool]
) -> list[float]:
    """Different finite numbers, sorted, from a text that separates them by commas."""
    numbers: list[float] = []
    for word in (default if given is None else given).split(","):
        try:
            number = float(word)
        except ValueError:
            number = math.nan
        if not math.isfinite(number) or not accepts(number):
            raise _bad(option, f"{word.strip()!r} is not accepted; give numbers {accepted}, separated by commas")
        if number in numbers:
            raise _bad(option, f"{word.strip()!r} is given twice")
        numbers.append(number)
    return sorted(numbers)


def _count(option: str, given: int | None, default: int) -> int:
    number = default if given is None else given
    if number < 1:
        raise _bad(option, f"{number} is not accepted; give a whole number of at least 1")
    return number


def _bad(option: str, message: str) -> typer.BadParameter:
    return typer.BadParameter(f"{message}.", param_hint=option)


if __name__ == "__main__":
    main()
