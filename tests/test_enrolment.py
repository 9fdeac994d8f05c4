"""Nothing is outside the catalogue, without laws, or without a reference."""

import ast
import functools
import importlib.util
import inspect
from pathlib import Path

import oracles
import pytest
from roster import EXAMPLES, FUNCTIONS, MAKERS, OTHER_ORACLES, OWN_REFERENCE, PACKAGE, ROWS, TESTS, WHOLE

from momentum_optax import testing
from momentum_optax.catalog import CATALOG


def test_every_transformation_is_in_the_catalogue():
    known = set(ROWS) | {f"scale_by_{name}" for name in ROWS}
    assert set(MAKERS) - known == {"rules.build"}  # makes what it is told to


def test_every_row_is_public_and_builds_what_it_names():
    for name, row in ROWS.items():
        if row.kind == "coefficient":
            assert name in FUNCTIONS, f"{name} is not public"
            continue
        assert name in MAKERS, f"{name} is not public, or is not said to return a transformation"
        assert (row.build is MAKERS[name]) == (row.kind != "wrapper" and name not in EXAMPLES), name
    assert len(ROWS) == len(CATALOG), "two rows have the same name"


def test_every_file_of_a_method_is_public():
    for folder in ("filters", "directions", "optimizers"):
        for path in (PACKAGE / folder).glob("[!_]*.py"):
            assert path.stem in ROWS, f"{folder}/{path.name} has no row of its name"
            if folder == "optimizers":
                assert ROWS[path.stem].kind == "optimizer"
                assert f"scale_by_{path.stem}" in MAKERS or path.stem in WHOLE, f"scale_by_{path.stem} is not public"


def test_rows_name_the_arguments_and_defaults_of_the_function():
    for name, row in ROWS.items():
        arguments = inspect.signature(row.build).parameters
        names = [h.name for h in row.hyperparameters]
        assert names == [a for a in arguments if a in names], f"{name}: {names}"
        assert set(row.decays) <= set(names), name
        assert set(row.exceptions) <= set(testing.LAWS), name
        for h in row.hyperparameters:
            assert h.low <= h.default <= h.high, f"{name}: {h}"
            # Other frameworks start without momentum, which is not worth trying.
            default = arguments[h.name].default
            if default is not inspect.Parameter.empty and not name.startswith("compat."):
                assert default == h.default, f"{name}: {h.name} is {default} in the function"


def test_every_row_is_under_every_law():
    spec = importlib.util.spec_from_file_location("test_laws", TESTS / "contract" / "test_laws.py")
    laws = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(laws)
    enrolled = {case.name: case for case in laws.CASES}
    for name, row in ROWS.items():
        assert name in enrolled, f"{name} is under no law"
        assert dict(enrolled[name].exceptions) == dict(row.exceptions)


@functools.cache
def uses(path: Path, owner: str) -> set[str]:
    """The attributes of a name that a test file uses, as in `owner.attribute`."""
    nodes = ast.walk(ast.parse(path.read_text()))
    return {
        node.attr
        for node in nodes
        if isinstance(node, ast.Attribute) and ast.unparse(node.value).split(".")[-1] == owner
    }


def imported(path: Path) -> set[str]:
    """The names that a test file imports."""
    nodes = ast.walk(ast.parse(path.read_text()))
    return {alias.name for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names}


@pytest.mark.parametrize("name", ROWS)
def test_every_row_is_tested_against_a_reference(name):
    if name.startswith("compat."):
        short = name.removeprefix("compat.")
        assert (TESTS / "peers" / f"{short}.json").exists(), f"no runs of the original are recorded for {name}"
        assert short in uses(TESTS / "test_compat.py", "compat")
        return
    short = name.split(".")[-1]
    if name in OWN_REFERENCE:
        path = TESTS / OWN_REFERENCE[name]
        owners = ("mo", "wrappers", "schedules", "rules")
        used = imported(path).union(*(uses(path, owner) for owner in owners))
        assert short in used, f"{name} is not in {OWN_REFERENCE[name]}"
        return
    oracle = OTHER_ORACLES.get(name, name)
    assert inspect.isfunction(getattr(oracles, oracle, None)), f"tests/oracles.py has no reference for {name}"
    beside = [p for p in TESTS.rglob("test_*.py") if oracle in uses(p, "oracles") and name in uses(p, "mo")]
    assert beside, f"no test holds {name} against oracles.{oracle}"


def test_every_oracle_is_used():
    own = [name for name, value in vars(oracles).items() if inspect.isfunction(value) and name not in ("at", "array")]
    used = set().union(*(uses(path, "oracles") for path in TESTS.rglob("test_*.py")))
    assert [name for name in own if name not in used] == []
