"""The command line: `momentum-optax sweep`, `momentum-optax report` and `momentum-optax methods`."""

from importlib import metadata
from typing import Annotated

try:
    import rich  # noqa: F401
    import typer
except ImportError as error:
    raise SystemExit(f'The command line needs {error.name}: pip install ".[sweep]" in a clone') from error

from .methods_command import methods
from .report_command import report
from .sweep_command import sweep

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
for command in (sweep, report, methods):
    app.command()(command)


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
