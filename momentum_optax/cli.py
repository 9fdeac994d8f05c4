"""The command line: `momentum-optax sweep` and `momentum-optax methods`."""

import contextlib
import difflib
import math
import signal
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Annotated

try:
    import typer
    from rich import box
    from rich.console import Console
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text
except ImportError as error:
    raise SystemExit(f'The command line needs {error.name}: pip install ".[sweep]" in a clone') from error

from .catalog import CATALOG, Method
from .problems.methods import Options, beta_name, sweeps, together
from .sweeps import Progress, SweepResult, progress_bar
from .sweeps.points import to_float32
from .sweeps.run import use_all_cores
from .sweeps.saving import check_writable

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
    app()


def _version(asked: bool) -> None:
    if asked:
        try:
            print(f"momentum_optax {metadata.version('momentum_optax')}")
        except metadata.PackageNotFoundError:
            print("momentum_optax, not installed")
        raise typer.Exit()


@app.callback()
def root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
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
    numbers = QUICK_LEARNING_RATES if quick else LEARNING_RATES
    rates = _numbers("--learning-rate", learning_rate, numbers, "above 0", lambda x: x > 0)
    numbers = QUICK_BETAS if quick else BETAS
    betas = _numbers("--beta", beta, numbers, "of at least 0 and below 1", lambda x: 0 <= x < 1)
    seeds = _count("--seeds", seeds, QUICK_SEEDS if quick else SEEDS)
    steps = _count("--steps", steps, QUICK_STEPS if quick else STEPS)
    batch_size = _count("--batch-size", batch_size, batch_size)
    options = Options([row.name for row in rows], rates, betas, seeds, steps, batch_size)
    without = ", ".join(row.name for row in rows if beta_name(row) is None)
    if without and beta is not None:
        print(f"Note: --beta is not for {without}, which has none.", file=sys.stderr)
    finished: list[SweepResult] = []
    interrupted = False
    try:
        # Imports and data too, for these take seconds, in which Ctrl-C must be heard.
        with _interruptible() as check:
            _compare(rows, options, output, finished, check)
    except KeyboardInterrupt:
        interrupted = True
    if finished:
        _report(rows, options, output, finished)
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


@contextlib.contextmanager
def _interruptible() -> Iterator[Callable[[], None]]:
    """Ctrl-C that is not lost: JAX runs callbacks of the garbage collector, in which Python ignores exceptions.

    Gives a function that raises KeyboardInterrupt if there was a Ctrl-C before.
    """
    heard: list[int] = []

    def handler(signum: int, frame: object) -> None:
        del frame
        heard.append(signum)
        raise KeyboardInterrupt

    def check() -> None:
        if heard:
            raise KeyboardInterrupt

    previous = signal.signal(signal.SIGINT, handler)
    try:
        yield check
    finally:
        signal.signal(signal.SIGINT, previous)


def _compare(
    rows: list[Method], options: Options, output: Path, finished: list[SweepResult], check: Callable[[], None]
) -> None:
    """Checks what takes a moment, and sweeps; each method that is finished is added to `finished`."""
    _need_sweep_extra()
    from .problems import digits
    from .sweeps import report

    use_all_cores()
    samples = len(digits.load().train_inputs)
    if options.batch_size > samples:
        raise _bad("--batch-size", f"{options.batch_size} is not accepted; give at most {samples}")
    try:
        check_writable(output, report.FILES)
    except OSError as error:
        raise _unwritable(output, error) from error
    with progress_bar(options.method) as progress:

        def report_and_check(state: Progress) -> None:
            progress(state)
            check()

        for result in sweeps(rows, options, report_and_check):
            finished.append(result)  # at once, for Ctrl-C to keep it


def _report(rows: list[Method], options: Options, output: Path, finished: list[SweepResult]) -> None:
    """Prints and writes what was found."""
    from .sweeps import report

    result = together(finished, rows, options)
    report.print_table(result)
    try:
        files = report.write(result, output)
    except OSError as error:
        raise _unwritable(output, error) from error
    print(f"Wrote {', '.join(file.name for file in files)} to {output}.")


def _need_sweep_extra() -> None:
    try:
        import flax  # noqa: F401
        import matplotlib  # noqa: F401
        import pandas  # noqa: F401
        import sklearn  # noqa: F401
    except ImportError as error:
        raise SystemExit(f'The sweep needs {error.name}: pip install ".[sweep]" in a clone') from error


def _method(option: str, name: str, kind: str | None = None) -> Method:
    # What is swept is swept over learning rates.
    known = {row.name: row for row in CATALOG if kind is None or (row.kind == kind and "learning_rate" in row.defaults)}
    if name in known:
        return known[name]
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    raise _bad(option, f"there is no {kind or 'method'} {name!r}; {hint}Accepted are {', '.join(known)}")


def _numbers(
    option: str, given: str | None, default: str, accepted: str, accepts: Callable[[float], bool]
) -> list[float]:
    """Numbers that are finite and different in float32, sorted, from a text that separates them by commas."""
    numbers: dict[float, float] = {}
    for word in (default if given is None else given).split(","):
        try:
            number = float(word)
        except ValueError:
            number = math.nan
        # The methods get float32, in which 0.99999999 is 1.
        rounded = to_float32(number)
        if not math.isfinite(rounded) or not accepts(rounded):
            raise _bad(option, f"{word.strip()!r} is not accepted; give numbers {accepted}, separated by commas")
        if rounded in numbers:
            raise _bad(option, f"{word.strip()!r} is given twice")
        numbers[rounded] = number
    return sorted(numbers.values())


def _count(option: str, given: int | None, default: int) -> int:
    number = default if given is None else given
    if number < 1:
        raise _bad(option, f"{number} is not accepted; give a whole number of at least 1")
    return number


def _unwritable(output: Path, error: OSError) -> typer.BadParameter:
    return _bad("--output", f"{output} cannot be written ({error.strerror or error}); name a folder that can")


def _bad(option: str, message: str) -> typer.BadParameter:
    return typer.BadParameter(f"{message}.", param_hint=option)


if __name__ == "__main__":
    main()
