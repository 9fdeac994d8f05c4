"""`momentum-optax methods`."""

import difflib
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from ..catalog import CATALOG, Method
from .errors import bad


def methods(
    name: Annotated[str | None, typer.Argument(help="Show only this method, with its numbers.")] = None,
) -> None:
    """Lists the methods of the library with their equations and sources."""
    console = Console()
    if name is not None:
        row = find_method("NAME", name)
        numbers = [f"{h.name} = {h.default:g}  (try {h.low:g} to {h.high:g}, {h.scale})" for h in row.hyperparameters]
        text = "\n".join([_description(row), *([""] if numbers else []), *numbers])
        console.print(Panel(Text(text), title=f"{row.name} ({row.kind})", expand=False))
        return
    table = Table("method", "one step and its source", box=box.SIMPLE_HEAD, show_lines=True)
    for row in CATALOG:
        table.add_row(Text(f"{row.name}\n({row.kind})"), Text(_description(row)))
    console.print(table)


def find_method(option: str, name: str, kind: str | None = None) -> Method:
    """The method of a name; a BadParameter that names others if there is none, or none of this kind."""
    # What is swept is swept over learning rates.
    known = {row.name: row for row in CATALOG if kind is None or (row.kind == kind and "learning_rate" in row.defaults)}
    if name in known:
        return known[name]
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    raise bad(option, f"there is no {kind or 'method'} {name!r}; {hint}Accepted are {', '.join(known)}")


def _description(row: Method) -> str:
    equations = [f"  {equation}" for equation in row.equation.split("; ")]
    return "\n".join([row.summary, *equations, row.source, row.url])
