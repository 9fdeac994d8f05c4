"""README.md: every block runs and prints what it says, the table is the catalogue's, every name and command exists.

`python tests/test_readme.py --write` writes the table of methods anew.
"""

import ast
import contextlib
import importlib.util
import inspect
import io
import re
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

import jax
import optax
import pytest

import momentum_optax as mo
from momentum_optax.catalog import CATALOG

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TABLE = re.compile(r"(<!-- methods -->\n).*?(<!-- /methods -->)", re.DOTALL)


class Block(NamedTuple):
    language: str
    section: str
    line: int  # of its first line of code
    code: str


def blocks(language: str) -> list[Block]:
    text = README.read_text()
    found = []
    for match in BLOCK.finditer(text):
        headings = re.findall(r"^#+ (.*)$", BLOCK.sub("", text[: match.start()]), re.MULTILINE)
        line = text[: match.start(2)].count("\n") + 1
        found.append(Block(match[1], headings[-1], line, match[2]))
    return [block for block in found if block.language == language]


def sections() -> list[str]:
    return list(dict.fromkeys(block.section for block in blocks("python")))


def method_table() -> str:
    """The table of methods in Markdown."""

    def cell(text: str) -> str:
        return text.replace("|", r"\|")

    kinds = {
        "Optimizers": ("optimizer",),
        "Parts": ("filter", "direction", "combinator"),
        "Coefficients": ("coefficient",),
        "Wrappers": ("wrapper",),
    }
    assert {row.kind for row in CATALOG} == {kind for several in kinds.values() for kind in several}
    lines = []
    for title, several in kinds.items():
        lines += [f"### {title}", "", "| method | what it is | one step | source |", "|---|---|---|---|"]
        for row in (row for row in CATALOG if row.kind in several):
            source = row.source.split(', "')[0]
            cells = f"`{row.name}`", cell(row.summary), f"`{cell(row.equation)}`", f"[{cell(source)}]({row.url})"
            lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def write() -> None:
    README.write_text(TABLE.sub(lambda match: match[1] + method_table() + match[2], README.read_text()))


@pytest.mark.parametrize("section", sections())
def test_blocks_run_and_print_what_they_say(section, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": "__main__"}  # blocks of a section continue one another
    for block in blocks("python"):
        if block.section != section:
            continue
        # So that a traceback points into the README.
        tree = compile("\n" * (block.line - 1) + block.code, README.name, "exec", ast.PyCF_ONLY_AST)
        printed = io.StringIO()
        # The tests' own weather is stricter than a user's.
        with contextlib.redirect_stdout(printed), jax.numpy_rank_promotion("allow"):
            exec(compile(tree, README.name, "exec"), namespace)
        promised = re.findall(r"# -> (.*)$", block.code, re.MULTILINE)
        assert printed.getvalue().splitlines() == promised, f"{README.name}:{block.line}"


def test_two_commands_set_everything_up():
    commands = [block.code.strip() for block in blocks("shell")]
    assert commands[:2] == [
        'pip install ".[sweep]" && momentum-optax sweep',
        'pip install -e ".[test]" && pytest',
    ]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert {"sweep", "test"} <= set(project["optional-dependencies"])
    assert project["scripts"]["momentum-optax"] == "momentum_optax.cli:main"


def test_commands_and_options_exist():
    import typer

    from momentum_optax import cli

    commands = typer.main.get_command(cli.app).commands
    named = [line.split() for block in blocks("shell") for line in block.code.splitlines()]
    calls = [words[words.index("momentum-optax") + 1 :] for words in named if "momentum-optax" in words]
    assert {call[0] for call in calls} == {"sweep", "report", "methods"}
    for command, *words in calls:
        options = {option for parameter in commands[command].params for option in parameter.opts}
        assert {word.split("=")[0] for word in words if word.startswith("--")} <= options, command


def test_files_and_folders_named_exist():
    names = re.findall(r"`((?:examples|tests|benchmarks|momentum_optax)/[\w./]*)`", README.read_text())
    assert names
    assert [name for name in names if not (ROOT / name).exists()] == []


def test_each_example_is_named():
    examples = {path.relative_to(ROOT).as_posix() for path in (ROOT / "examples").glob("*.py")}
    assert examples
    assert examples == set(re.findall(r"^\| `(examples/[\w.]+)` \|", README.read_text(), re.MULTILINE))


def test_method_table_is_the_catalogue():
    match = TABLE.search(README.read_text())
    assert match is not None
    assert match[0] == match[1] + method_table() + match[2], "run: python tests/test_readme.py --write"


def test_optimizers_have_the_arguments_of_optax_but_for_the_exceptions_named():
    exceptions = {
        "muon": {"muon_weight_dimension_numbers", "consistent_rms", "adaptive", "preconditioning"},
        "lookahead": {"fast_optimizer", "slow_step_size", "reset_state"},
        "schedule_free": {"base_optimizer"},
        "trace": {"decay", "accumulator_dtype"},
        "ema": {"decay", "accumulator_dtype"},
        "scale_by_learning_rate": {"flip_sign"},
    }
    missing = {}
    for row in CATALOG:
        peer = getattr(optax, row.name, None) or getattr(optax.contrib, row.name, None)
        if callable(peer) and callable(ours := getattr(mo, row.name, None)):
            theirs, own = (list(inspect.signature(f).parameters) for f in (peer, ours))
            if absent := set(theirs) - set(own):
                missing[row.name] = absent
            else:
                assert own[: len(theirs)] == theirs or row.kind != "optimizer", row.name  # by position, too
    assert missing == exceptions
    (sentence,) = re.findall(r"The exceptions: .*?\.\n\n", README.read_text(), re.DOTALL) or [""]
    for name, arguments in exceptions.items():
        assert {name, *arguments} <= set(re.findall(r"`(\w+)(?:=[^`]*)?`", sentence)), name


def test_each_claim_beside_optax_is_a_test():
    text = README.read_text().split("## momentum_optax beside Optax")[1].split("\n## ")[0]
    rows = [line for line in text.splitlines() if line.startswith("|")][2:]
    named = [re.search(r"`(test_\w+)` \|$", row) for row in rows]
    assert all(named), [row for row, name in zip(rows, named, strict=True) if not name]
    spec = importlib.util.spec_from_file_location("beside", Path(__file__).with_name("test_beside_optax.py"))
    beside = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(beside)
    tests = [name for name in vars(beside) if name.startswith("test_")]
    assert [name[1] for name in named] == tests


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit("usage: python tests/test_readme.py --write")
    write()
