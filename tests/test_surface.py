"""The public surface: nothing is undocumented, untyped, outside the catalogue, without laws or without a reference."""

import ast
import dataclasses
import doctest
import functools
import importlib
import importlib.util
import inspect
import itertools
import pkgutil
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optax
import oracles
import pytest

import momentum_optax as mo
from momentum_optax import compat, sweeps, testing
from momentum_optax.catalog import CATALOG

TESTS = Path(__file__).parent
PACKAGE = TESTS.parent / "momentum_optax"
ROWS = {row.name: row for row in CATALOG}
TRANSFORMATIONS = (optax.GradientTransformation, optax.GradientTransformationExtraArgs)

# The roster. A change here is a change for users.
SIGNATURES = {
    "trace": "(beta, *, nesterov=False, dampening=0.0, state_dtype=None)",
    "ema": "(beta, *, debias=True, nesterov=False, state_dtype=None)",
    "difference": "(*, state_dtype=None)",
    "identity": "()",
    "blend": "(*parts)",
    "divide": "(numerator, by)",
    "root_mean_square": "(b2, eps=1e-08, eps_root=0.0, *, debias=True, state_dtype=None)",
    "scale_by_learning_rate": "(learning_rate)",
    "add_decayed_weights": "(weight_decay, mask=None)",
    "heavy_ball": "(learning_rate, beta=0.9, *, lr_in_velocity=False, {common})",
    "ema_momentum": "(learning_rate, beta=0.9, *, debias=False, {common})",
    "nesterov": "(learning_rate, beta=0.9, *, {common})",
    "nesterov_lookahead": "(learning_rate, beta=0.9, *, {common})",
    "qhm": "(learning_rate, beta=0.999, nu=0.7, *, {common})",
    "aggmo": "(learning_rate, betas=(0.0, 0.9, 0.99), *, {common})",
    "acc_sgd": "(learning_rate, kappa=1000.0, xi=10.0, small_const=0.7, *, {common})",
    "pid": "(learning_rate, beta=0.9, integral=5.0, derivative=10.0, *, {common})",
    "pnm": "(learning_rate, beta=0.9, beta0=1.0, *, {common})",
    "compat.torch_sgd": (
        "(learning_rate, momentum=0.0, dampening=0.0, nesterov=False, weight_decay=0.0, *, state_dtype=None)"
    ),
    "compat.keras_sgd": ("(learning_rate=0.01, momentum=0.0, nesterov=False, *, weight_decay=None, state_dtype=None)"),
    "convert": "(learning_rate, beta, *, source, target)",
}
COMMON = "weight_decay=None, mask=None, state_dtype=None"

# Rows whose reference in tests/oracles.py has another name, and rows whose equation is a line of the test named.
# (The reference of a row of `compat` is the original itself, recorded in tests/peers.)
OTHER_ORACLES = {"blend": "trace", "divide": "adam"}
OWN_REFERENCE = {
    "identity": "filters/test_blend.py",
    "scale_by_learning_rate": "optimizers/test_finish.py",
    "add_decayed_weights": "optimizers/test_finish.py",
}
# Rows that build an example, because the function takes other things than numbers.
EXAMPLES = {"blend", "divide", "aggmo"}


def resolve(name: str) -> Any:
    """What a row's name stands for."""
    value: Any = mo
    for part in name.split("."):
        value = getattr(value, part)
    return value


def public(module: Any, prefix: str = "") -> dict[str, Any]:
    """The functions and classes that a module offers, by name."""
    return {
        prefix + name: value
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (inspect.isfunction(value) or inspect.isclass(value))
        and value.__module__.startswith("momentum_optax")
    }


SURFACE = {
    **public(mo),
    **{name: value for name, value in public(compat, "compat.").items() if value.__module__ == compat.__name__},
    **public(sweeps, "sweeps."),
    **public(testing, "testing."),
}
FUNCTIONS = {name: value for name, value in SURFACE.items() if inspect.isfunction(value)}
CLASSES = {name: value for name, value in SURFACE.items() if inspect.isclass(value)}
MAKERS = {name: f for name, f in FUNCTIONS.items() if inspect.signature(f).return_annotation in TRANSFORMATIONS}


def methods_of(kind: type) -> dict[str, Callable[..., Any]]:
    own = {name: getattr(value, "fget", value) for name, value in vars(kind).items() if not name.startswith("_")}
    return {name: value for name, value in own.items() if inspect.isfunction(value)}


def callables() -> dict[str, Callable[..., Any]]:
    """All public functions and methods."""
    inner = {f"{name}.{m}": f for name, kind in CLASSES.items() for m, f in methods_of(kind).items()}
    return FUNCTIONS | inner


def parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    return [p for p in inspect.signature(function).parameters.values() if p.name != "self"]


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


# Everything is in the catalogue, under the laws, and against a reference.


def test_every_transformation_is_in_the_catalogue():
    known = set(ROWS) | {f"scale_by_{name}" for name in ROWS}
    assert set(MAKERS) - known == set()


def test_every_row_is_public_and_builds_what_it_names():
    for name, row in ROWS.items():
        assert name in MAKERS, f"{name} is not public, or is not said to return a transformation"
        assert (row.build is MAKERS[name]) == (name not in EXAMPLES), name
    assert len(ROWS) == len(CATALOG), "two rows have the same name"


def test_every_file_of_a_method_is_public():
    for folder in ("filters", "directions", "optimizers"):
        for path in (PACKAGE / folder).glob("[!_]*.py"):
            assert path.stem in ROWS, f"{folder}/{path.name} has no row of its name"
            if folder == "optimizers":
                assert f"scale_by_{path.stem}" in MAKERS, f"scale_by_{path.stem} is not public"
                assert ROWS[path.stem].kind == "optimizer"


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


@pytest.mark.parametrize("name", ROWS)
def test_every_row_is_tested_against_a_reference(name):
    if name.startswith("compat."):
        short = name.removeprefix("compat.")
        assert (TESTS / "peers" / f"{short}.json").exists(), f"no runs of the original are recorded for {name}"
        assert short in uses(TESTS / "test_compat.py", "compat")
        return
    if name in OWN_REFERENCE:
        assert name in uses(TESTS / OWN_REFERENCE[name], "mo")
        return
    oracle = OTHER_ORACLES.get(name, name)
    assert inspect.isfunction(getattr(oracles, oracle, None)), f"tests/oracles.py has no reference for {name}"
    beside = [p for p in TESTS.rglob("test_*.py") if oracle in uses(p, "oracles") and name in uses(p, "mo")]
    assert beside, f"no test holds {name} against oracles.{oracle}"


def test_every_oracle_is_used():
    own = [name for name, value in vars(oracles).items() if inspect.isfunction(value) and name not in ("at", "array")]
    used = set().union(*(uses(path, "oracles") for path in TESTS.rglob("test_*.py")))
    assert [name for name in own if name not in used] == []


# Names and their order.


def spelled(function: Callable[..., Any]) -> str:
    signature = inspect.signature(function)
    bare = [p.replace(annotation=inspect.Parameter.empty) for p in signature.parameters.values()]
    return str(inspect.Signature(bare))


@pytest.mark.parametrize("name", SIGNATURES)
def test_signatures_are_those_of_the_roster(name):
    assert spelled(resolve(name)) == SIGNATURES[name].format(common=COMMON)


def test_the_roster_is_complete():
    assert set(ROWS) <= set(SIGNATURES)


@pytest.mark.parametrize("name", [row.name for row in CATALOG if row.kind == "optimizer"])
def test_optimizers_share_names_and_order(name):
    arguments = parameters(resolve(name))
    assert arguments[0].name == "learning_rate"
    if name.startswith("compat."):
        return
    *own, weight_decay, mask, state_dtype = arguments
    assert [p.name for p in (weight_decay, mask, state_dtype)] == ["weight_decay", "mask", "state_dtype"]
    for p in (weight_decay, mask, state_dtype):
        assert p.kind is p.KEYWORD_ONLY
        assert p.default is None
    # `scale_by_x` takes the numbers of `x` but the learning rate, with the same defaults.
    names = [p.name for p in own if p.name not in ("learning_rate", "lr_in_velocity")] + ["state_dtype"]
    direction = {p.name: p for p in parameters(resolve(f"scale_by_{name}"))}
    assert list(direction) == names
    for p in own:
        if p.name in direction:
            assert direction[p.name].default == p.default, f"scale_by_{name}: {p.name}"
            assert direction[p.name].kind == p.kind, f"scale_by_{name}: {p.name}"
