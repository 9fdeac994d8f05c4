import json
import re
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from momentum_optax import cli
from momentum_optax.catalog import CATALOG
from momentum_optax.cli import app, running
from momentum_optax.problems import digits
from momentum_optax.problems.methods import evaluation_interval
from momentum_optax.sweeps.storage import store

TINY = ["--learning-rate", "0.1,1", "--beta", "0,0.9", "--seeds", "2", "--steps", "20"]
PICTURES = ["heat_maps.png", "learning_curves.png", "parallel_coordinates.png", "pareto.png", "seed_strip.png"]
OWN = [".lock", "identity.json", "notes.json"]  # of a sweep that can be resumed
FILES = sorted([*PICTURES, *OWN, "runs.csv", "runs.npz", "sweep.json", "table.csv"])


def invoke(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def flat(text):
    return re.sub(r"\s+", " ", text)


def start(*arguments, **options):
    return subprocess.Popen(
        [sys.executable, "-m", "momentum_optax.cli", *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options,
    )  # fmt: skip


def test_a_sweep_prints_a_ranking_and_writes_tables_and_pictures(tmp_path):
    names = ["heavy_ball", "acc_sgd", "compat.torch_sgd"]
    result = invoke(
        "sweep", "--method", "heavy_ball,acc_sgd", "--method", names[2], *TINY, "--output", tmp_path / "new"
    )
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == FILES
    table = pd.read_csv(tmp_path / "new" / "table.csv")
    assert table["rank"].tolist() == list(range(1, len(table) + 1))
    assert set(table["method"]) == set(names)
    assert "heavy_ball" in result.output
    assert flat(f"{table['test_accuracy'].iloc[0]:.2%}") in result.output
    assert 0.8 < table["test_accuracy"].iloc[0] <= 1
    settings = json.loads((tmp_path / "new" / "sweep.json").read_text())["settings"]
    assert (settings["steps"], settings["seeds"], settings["batch_size"]) == (20, [0, 1], 32)
    # All that it takes to repeat the sweep.
    rows = {row.name: row for row in CATALOG}
    assert settings["methods"] == {name: rows[name].defaults for name in names}
    assert settings["problem"].keys() == {"data", "model"}
    assert settings["arguments"] == {
        "method": names, "learning_rate": [0.1, 1], "beta": [0, 0.9], "seeds": 2, "steps": 20, "batch_size": 32
    }  # fmt: skip
    runs = pd.read_csv(tmp_path / "new" / "runs.csv")
    # A method without a beta has a point for each learning rate only.
    for method, points in table.groupby("method"):
        has_beta = method != "acc_sgd"
        assert len(points) == (4 if has_beta else 2)
        assert points["beta"].notna().all() == has_beta
    assert len(runs) == len(table) * 2 * 4
    # What torch calls momentum is swept as beta; without dampening and weight decay it is heavy ball.
    ours, torchs = (table[table["method"] == m].set_index(["learning_rate", "beta"]) for m in (names[0], names[2]))
    pd.testing.assert_series_equal(ours["test_accuracy"], torchs["test_accuracy"], check_like=True, atol=0.01)
    assert "Note: --beta is not for acc_sgd, which has none." in flat(result.output)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--method", "heavy_bal"], ["--method", "'heavy_bal'", "did you mean heavy_ball?", "nesterov"]),
        (["--method", "trace"], ["--method", "no optimizer 'trace'", "Accepted are"]),
        (["--learning-rate", "0.1,-1"], ["--learning-rate", "'-1' is not accepted", "numbers above 0"]),
        (["--learning-rate", "0"], ["--learning-rate", "'0' is not accepted"]),
        (["--learning-rate", "nan"], ["--learning-rate", "'nan' is not accepted"]),
        (["--learning-rate", "inf"], ["--learning-rate", "'inf' is not accepted"]),
        (["--learning-rate", "fast"], ["--learning-rate", "'fast' is not accepted", "separated by commas"]),
        (["--learning-rate", ""], ["--learning-rate", "'' is not accepted"]),
        (["--beta", "0.9,1"], ["--beta", "'1' is not accepted", "at least 0 and below 1"]),
        (["--learning-rate", "1e300"], ["--learning-rate", "'1e300' is not accepted"]),
        (["--learning-rate", "1e-50"], ["--learning-rate", "'1e-50' is not accepted", "numbers above 0"]),
        (["--beta", "0.99999999"], ["--beta", "'0.99999999' is not accepted", "below 1"]),
        (["--beta", "0.9,0.9000000001"], ["--beta", "'0.9000000001' is given twice"]),
        (["--beta", "-0.1"], ["--beta", "'-0.1' is not accepted"]),
        (["--beta", "0.9,0.90"], ["--beta", "'0.90' is given twice"]),
        (["--steps", "0"], ["--steps", "0 is not accepted", "at least 1"]),
        (["--seeds", "0"], ["--seeds", "0 is not accepted", "at least 1"]),
        (["--seeds", "few"], ["--seeds", "'few' is not accepted", "such as 5, or the seeds themselves, such as 3,5,8"]),
        (["--seeds", "3,,5"], ["--seeds", "'3,,5' is not accepted"]),
        (["--seeds", "3,3"], ["--seeds", "different whole numbers, not [3, 3]"]),
        (["--seeds", "4294967296,"], ["--seeds", "whole numbers from 0 to 4294967295, not 4294967296"]),
        (["--batch-size", "0"], ["--batch-size", "0 is not accepted"]),
        (["--batch-size", "1438"], ["--batch-size", "1438 is not accepted; give at most 1437"]),
        (["--steps", "many"], ["--steps", "valid integer"]),
        (["--rate", "1"], ["No such option", "--rate"]),
    ],
)
def test_bad_options_are_refused_before_anything_is_written(arguments, words, tmp_path):
    result = invoke("sweep", *arguments, "--output", tmp_path / "out")
    assert result.exit_code == 2
    for word in words:
        assert word in flat(result.output)
    assert list(tmp_path.iterdir()) == []


def test_an_output_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("mine")
    for output in (tmp_path / "file", tmp_path / "file" / "below", "/proc/nowhere"):
        result = invoke("sweep", *TINY, "--output", output)
        assert result.exit_code == 2
        assert "--output" in flat(result.output)
        assert "cannot be written" in flat(result.output)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_folder_in_the_place_of_a_file_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    (tmp_path / "table.csv").mkdir()
    tiny = ["--method", "heavy_ball", "--learning-rate", "0.1", "--beta", "0", "--seeds", "1", "--steps", "1"]
    # The second time as if the folder had come during the sweep.
    for _ in range(2):
        result = invoke("sweep", *tiny, "--output", tmp_path)
        assert result.exit_code == 2
        assert "table.csv is a folder" in flat(result.output)
        assert list((tmp_path / "table.csv").iterdir()) == []
        assert not (tmp_path / "heat_maps.png").exists()
        for module in (running, store):
            monkeypatch.setattr(module, "check_writable", lambda *_: None)
        monkeypatch.setattr(store, "FILES", ())


def test_version():
    result = invoke("--version")
    assert result.exit_code == 0
    assert result.output.startswith("momentum_optax")


def test_hints_to_install_are_those_of_the_readme():
    package = Path(cli.__file__).parents[1]
    assert 'pip install ".[sweep]"' in (package.parent / "README.md").read_text()
    extras = tomllib.loads((package.parent / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    files = [file for folder in ("cli", "sweeps", "problems") for file in package.glob(f"{folder}/**/*.py")]
    hints = [line for file in files for line in file.read_text().splitlines() if "pip install" in line]
    assert len(hints) >= 6
    for hint in hints:
        assert re.search(r'pip install "\.\[([\w{}]+)\]" in a clone', hint)[1] in {*extras, "{extra}"}


@pytest.mark.parametrize(
    ("steps", "interval"),
    [(1, 1), (2, 2), (7, 7), (20, 5), (130, 5), (150, 5), (499, 9), (500, 10), (1001, 13), (50000, 200)],
)
def test_the_evaluation_interval_divides_the_steps_where_it_can(steps, interval):
    assert evaluation_interval(steps) == interval


def test_methods_lists_the_whole_catalogue():
    result = invoke("methods")
    assert result.exit_code == 0
    for row in CATALOG:
        assert row.name in result.output
        assert row.url.split("/")[2] in result.output


def test_methods_shows_one_in_full():
    result = invoke("methods", "qhm")
    row = next(row for row in CATALOG if row.name == "qhm")
    assert result.exit_code == 0
    text = flat(result.output.replace("│", " "))
    for part in [row.summary, *row.equation.split("; "), row.url, *(h.name for h in row.hyperparameters)]:
        assert flat(part) in text
    assert invoke("methods", "qhmm").exit_code == 2


def test_methods_does_not_import_what_only_the_sweep_needs():
    script = (
        "import sys; from typer.testing import CliRunner; from momentum_optax.cli import app; "
        "assert CliRunner().invoke(app, ['methods']).exit_code == 0; "
        "heavy = {'matplotlib', 'sklearn', 'pandas', 'flax'} & set(sys.modules); assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_as_a_user_runs_it_in_an_empty_folder(tmp_path):
    process = start("sweep", "--quick", "--method", "heavy_ball", *TINY, cwd=tmp_path)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert sorted(path.name for path in (tmp_path / "momentum-optax-results").iterdir()) == FILES
    assert "The best of 4 points x 2 seeds" in out
    assert "100%  took" in err
    assert ", rung 4/4, " in err
    assert json.loads((tmp_path / "momentum-optax-results" / "sweep.json").read_text())["settings"]["devices"] > 0


def interrupt(process, line):
    """Presses Ctrl-C once a line of standard error holds the given one, and returns the rest of what is said."""
    with process:
        for said in process.stderr:
            if line in said:
                break
        process.send_signal(signal.SIGINT)
        return process.stdout.read(), process.stderr.read()


def test_ctrl_c_shows_the_methods_as_far_as_they_are(tmp_path):
    long = ["--learning-rate", "0.1", "--beta", "0.9", "--seeds", "1", "--steps", "50000"]
    process = start("sweep", "--method", "heavy_ball,nesterov", *long, "--output", tmp_path / "out")
    out, err = interrupt(process, "best test_accuracy")
    assert process.returncode == 130, err
    assert "of 50000 steps; the same command goes on." in err
    assert "Not finished: this is after" in out
    assert set(pd.read_csv(tmp_path / "out" / "table.csv")["method"]) == {"heavy_ball", "nesterov"}
    assert {*PICTURES, *OWN, "checkpoints", "rungs"} <= {path.name for path in (tmp_path / "out").iterdir()}


def test_ctrl_c_while_the_data_is_read(tmp_path, monkeypatch):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr(digits, "load", interrupted)
    result = invoke("sweep", *TINY, "--output", tmp_path / "out")
    assert result.exit_code == 130
    assert "Interrupted: nothing was finished." in flat(result.output)
    assert not (tmp_path / "out").exists()
