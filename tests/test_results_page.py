"""The page of results is about what the benchmarks measure, and complete."""

import ast
import re
from pathlib import Path

from momentum_optax.catalog import CATALOG

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
PAGE = (BENCHMARKS / "RESULTS.md").read_text()
# These are not timed: they are made of the parts of others that are, or have no learning rate.
UNTIMED = {"nesterov_lookahead", "srsgd", "polyak_heavy_ball", "adaptive_storm"}
UNTIMED |= {"compat.keras_sgd", "compat.keras_nadam", "compat.keras_rmsprop"}
UNTIMED |= {"muon", "normuon", "scion"}  # benchmarks/muon.py


def timed(table: str = "METHODS") -> list[str]:
    """The names of the rows of a table of `methods`, which only its own folder can import."""
    for node in ast.parse((BENCHMARKS / "methods.py").read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == table:
            assert isinstance(node.value, ast.Dict)
            return [ast.literal_eval(key) for key in node.value.keys]
    raise AssertionError(f"benchmarks/methods.py has no {table}")


def tables() -> dict[str, str]:
    """The tables of one update by the first words of their titles; not that of small leaves, which has one method."""
    sections = re.split(r"^### ", PAGE.split("\n## ")[1], flags=re.MULTILINE)[1:]
    titles = {text: text.splitlines()[0] for text in sections if "|---" in text}
    return {title.split(",")[0]: text for text, title in titles.items() if "2,000 leaves" not in title}


def test_every_optimizer_is_timed():
    optimizers = {row.name for row in CATALOG if row.kind == "optimizer"}
    assert optimizers - set(timed()) == UNTIMED


def test_every_table_has_a_row_for_every_method_that_is_timed():
    assert len(tables()) == 3
    for title, table in tables().items():
        rows = timed("AROUND_ADAM" if title == "Wrappers around Adam" else "METHODS")
        assert re.findall(r"^\| ([a-z][^|]*?) \|", table, re.MULTILINE)[1:] == rows, title


def test_every_row_has_numbers():
    for table in tables().values():
        header, _, *rows = (line for line in table.splitlines() if line.startswith("|"))
        names = [name.strip() for name in header.strip("|").split("|")]
        for row in rows:
            cells = dict(zip(names, (cell.strip() for cell in row.strip("|").split("|")), strict=True))
            for name in ("ours ms", "x bound", "compile s", "state bytes a param", "temporary / tree"):
                assert re.fullmatch(r"[\d.]+", cells[name]), f"{cells['method']}: {name} is {cells[name]!r}"
            for name in ("jit ms", "jit x bound", "jit temporary"):
                assert re.fullmatch(r"[\d.]+|=", cells[name]), f"{cells['method']}: {name} is {cells[name]!r}"


def test_nothing_is_left_to_be_filled_in():
    prose = re.sub(r"```.*?```|`[^`]*`", "", PAGE, flags=re.DOTALL)
    placeholders = re.findall(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b|\b(?:TODO|TBD|FIXME|XXX)\b|\?\?", prose)
    assert not placeholders, placeholders
