"""The public surface: nothing is undocumented, untyped, or named or ordered otherwise than promised."""

import ast
import dataclasses
import doctest
import importlib
import inspect
import itertools
import pkgutil
import re
from collections.abc import Callable, Iterator
from typing import Any

import optax
import optax.contrib
import pytest
from roster import CLASSES, COMMON, FUNCTIONS, MAKERS, PACKAGE, ROWS, SIGNATURES, WHOLE, parameters, resolve, spelled

import momentum_optax as mo
from momentum_optax.catalog import CATALOG


def methods_of(kind: type) -> dict[str, Callable[..., Any]]:
    own = {name: getattr(value, "fget", value) for name, value in vars(kind).items() if not name.startswith("_")}
    return {name: value for name, value in own.items() if inspect.isfunction(value)}


def callables() -> dict[str, Callable[..., Any]]:
    """All public functions and methods."""
    inner = {f"{name}.{m}": f for name, kind in CLASSES.items() for m, f in methods_of(kind).items()}
    return FUNCTIONS | inner


def section(documentation: str, title: str) -> dict[str, str] | None:
    """The entries `name: text` of a section of a docstring, in order; None where there is no such section."""
    lines = documentation.splitlines()
    if f"{title}:" not in lines:
        return None
    entries: dict[str, str] = {}
    name = ""
    for line in lines[lines.index(f"{title}:") + 1 :]:
        if line and not line.startswith(" "):
            break
        if match := re.match(r"  (\*{0,2}\w+): (.*)", line):
            name, entries[match[1]] = match[1], match[2]
        elif name:
            entries[name] += " " + line.strip()
    return entries


def modules() -> Iterator[Any]:
    for info in pkgutil.walk_packages([str(PACKAGE)], "momentum_optax."):
        yield importlib.import_module(info.name)


# Everything is documented and typed.


@pytest.mark.parametrize("name", callables())
def test_every_function_is_documented_as_it_is_written(name):
    function = callables()[name]
    documentation = inspect.getdoc(function)
    assert documentation, f"{name} has no docstring"
    first = documentation.splitlines()[0]
    assert re.search(r"[.:]$", first), f"{name}: the first line is no sentence: {first}"
    written = [{p.VAR_POSITIONAL: "*", p.VAR_KEYWORD: "**"}.get(p.kind, "") + p.name for p in parameters(function)]
    documented = section(documentation, "Args")
    if documented is None:
        # A sentence is enough for a helper, and for what points to its twin.
        enough = (len(written) <= 2 and name not in MAKERS) or re.search(r"\bsee\b", documentation)
        assert enough or not written, f"{name} documents no arguments"
        return
    assert list(documented) == written, f"{name} documents {list(documented)} and takes {written}"


@pytest.mark.parametrize("name", callables())
def test_every_function_is_typed(name):
    function = callables()[name]
    bare = [p.name for p in parameters(function) if p.annotation is p.empty]
    assert not bare, f"{name} does not say the types of {bare}"
    assert inspect.signature(function).return_annotation is not inspect.Signature.empty, f"{name}: of what type?"


@pytest.mark.parametrize("name", CLASSES)
def test_every_class_says_what_it_holds(name):
    kind = CLASSES[name]
    assert inspect.getdoc(kind) != inspect.getdoc(object), f"{name} has no docstring"
    if not dataclasses.is_dataclass(kind):
        return
    documented = section(inspect.getdoc(kind), "Attributes")
    if documented is not None:
        assert list(documented) == [field.name for field in dataclasses.fields(kind)]


def test_every_type_and_constant_is_documented():
    """By a string below it, where readers and editors look."""
    named = {name for name in vars(mo) if name[0].isupper()} - set(CLASSES)
    documented = set()
    for path in (PACKAGE / "_types.py", PACKAGE / "__init__.py"):
        for node, below in itertools.pairwise(ast.parse(path.read_text()).body):
            if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(below, ast.Expr):
                documented.add(ast.unparse(node).split("=")[0].split(":")[0].strip())
    assert "Coefficient" in named
    assert named - documented == set()


def test_every_state_documents_its_fields():
    states = [
        value
        for module in modules()
        for name, value in vars(module).items()
        if inspect.isclass(value) and hasattr(value, "_fields") and name.endswith("State")
        if value.__module__ == module.__name__
    ]
    assert len(states) > 10
    for state in states:
        documented = section(inspect.getdoc(state), "Attributes") or {}
        assert tuple(documented) == state._fields, f"{state.__name__} documents {list(documented)}"


@pytest.mark.parametrize("name", [name for name in MAKERS if name.startswith("scale_by_") or name in ROWS])
def test_an_argument_explained_elsewhere_is_explained_there(name):
    for argument, text in (section(inspect.getdoc(MAKERS[name]), "Args") or {}).items():
        for other in re.findall(r"see `(\w+)`", text):
            there = section(inspect.getdoc(resolve(other)), "Args") or {}
            assert argument in there, f"{name}: {argument} is to be looked up at {other}, which has {list(there)}"
            assert "see `" not in there[argument], f"{name}: {argument} is passed on from {other}"


@pytest.mark.parametrize("name", ROWS)
def test_every_method_says_what_it_returns_and_where_it_is_from(name):
    row, documentation = ROWS[name], inspect.getdoc(resolve(name))
    if parameters(resolve(name)):
        assert "\nReturns:\n" in documentation
    if row.kind == "optimizer":
        assert "\nReferences:\n" in documentation
        assert "<-" in documentation, "no equation"
    if "\nReferences:\n" in documentation:
        assert row.url in documentation, f"the catalogue has another source: {row.url}"


def test_examples_in_docstrings_are_right():
    results = [doctest.testmod(module) for module in modules()]
    assert sum(result.attempted for result in results) > 20
    assert sum(result.failed for result in results) == 0


# Names and their order.


@pytest.mark.parametrize("name", SIGNATURES)
def test_signatures_are_those_of_the_roster(name):
    assert spelled(resolve(name)) == SIGNATURES[name].format(common=COMMON)


def test_the_roster_is_complete():
    assert set(ROWS) <= set(SIGNATURES)


@pytest.mark.parametrize("name", [row.name for row in CATALOG if row.kind == "optimizer"])
def test_optimizers_share_names_and_order(name):
    arguments = parameters(resolve(name))
    if name in WHOLE:
        return
    assert arguments[0].name == "learning_rate"
    if name.startswith("compat."):
        return
    common = [p for p in arguments if p.name in ("weight_decay", "mask", "state_dtype")]
    own = [p for p in arguments if p not in common]
    assert [p.name for p in common] == ["weight_decay", "mask", "state_dtype"]
    for p in common:
        if p.name not in positional_in_optax(name):
            assert p.kind is p.KEYWORD_ONLY
            assert p.default is None
    if f"scale_by_{name}" not in MAKERS:  # it is the twin of one that has the direction of both
        return
    # `scale_by_x` takes the numbers of `x` but the learning rate, with the same defaults, unless Optax has others.
    names = [p.name for p in own if p.name not in ("learning_rate", "lr_in_velocity")] + ["state_dtype"]
    direction = {p.name: p for p in parameters(resolve(f"scale_by_{name}"))}
    elsewhere = positional_in_optax(f"scale_by_{name}")
    optional = {p.name for p in arguments_in_optax(f"scale_by_{name}") if p.kind is p.KEYWORD_ONLY}
    assert optional <= set(direction)
    assert [n for n in direction if n in names or n not in {*elsewhere, *optional}] == names
    for p in own:
        if p.name in direction:
            assert direction[p.name].default == elsewhere.get(p.name, p.default), f"scale_by_{name}: {p.name}"
            assert direction[p.name].kind == p.kind, f"scale_by_{name}: {p.name}"


def arguments_in_optax(name: str) -> list[inspect.Parameter]:
    """The arguments of the function of this name in Optax; none if there is none."""
    function = getattr(optax, name, None) or getattr(optax.contrib, name, None)
    return list(inspect.signature(function).parameters.values()) if function else []


def positional_in_optax(name: str) -> dict[str, Any]:
    """The positional ones, with their defaults."""
    return {p.name: p.default for p in arguments_in_optax(name) if p.kind is p.POSITIONAL_OR_KEYWORD}
