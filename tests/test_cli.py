import json
import re
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest
from typer.testing import CliRunner

from momentum_optax.catalog import CATALOG
from momentum_optax.cli import app

TINY = ["--learning-rate", "0.1,1", "--beta", "0,0.9", "--seeds", "2", "--steps", "20"]
FILES = ["heat_maps.png", "learning_curves.png", "runs.csv", "sweep.json", "table.csv"]


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
    result = invoke("sweep", "--method", "heavy_ball,acc_sgd", "--method", "aggmo", *TINY, "--output", tmp_path / "new")
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == FILES
    table = pd.read_csv(tmp_path / "new" / "table.csv")
    assert table["rank"].tolist() == list(range(1, len(table) + 1))
    assert set(table["method"]) == {"heavy_ball", "acc_sgd", "aggmo"}
    assert "heavy_ball" in result.output
    assert flat(f"{table['test_accuracy'].iloc[0]:.2%}") in result.output
    assert 0.8 < table["test_accuracy"].iloc[0] <= 1
    settings = json.loads((tmp_path / "new" / "sweep.json").read_text())["settings"]
    assert (settings["steps"], settings["seeds"], settings["batch_size"]) == (20, [0, 1], 32)
    runs = pd.read_csv(tmp_path / "new" / "runs.csv")
    # A method without a beta has a point for each learning rate only.
    rows = {row.name: row for row in CATALOG}
    for method, points in table.groupby("method"):
        has_beta = any(h.name == "beta" for h in rows[method].hyperparameters)
        assert len(points) == (4 if has_beta else 2)
        assert points["beta"].notna().all() == has_beta
    assert len(runs) == len(table) * 2 * 4


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
        (["--beta", "-0.1"], ["--beta", "'-0.1' is not accepted"]),
        (["--beta", "0.9,0.90"], ["--beta", "'0.90' is given twice"]),
        (["--steps", "0"], ["--steps", "0 is not accepted", "at least 1"]),
        (["--seeds", "0"], ["--seeds", "0 is not accepted"]),
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
    assert "100%  heavy_ball step 20/20" in err
    assert json.loads((tmp_path / "momentum-optax-results" / "sweep.json").read_text())["settings"]["devices"] > 0


def interrupt(process, line, pause=0.0):
    """Presses Ctrl-C once a line of standard error holds the given one, and returns the rest of standard error."""
    with process:
        for said in process.stderr:
            if line in said:
                break
        time.sleep(pause)
        process.send_signal(signal.SIGINT)
        return process.stderr.read()


def test_ctrl_c_keeps_the_methods_that_are_finished(tmp_path):
    long = ["--learning-rate", "0.1", "--beta", "0.9", "--seeds", "1", "--steps", "50000"]
    process = start("sweep", "--method", "heavy_ball,nesterov", *long, "--output", tmp_path / "out")
    rest = interrupt(process, "heavy_ball step 50000/50000", pause=0.5)
    assert process.returncode == 130, rest
    assert "Interrupted: kept what was finished: heavy_ball." in rest
    assert set(pd.read_csv(tmp_path / "out" / "table.csv")["method"]) == {"heavy_ball"}
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == FILES


def test_ctrl_c_before_any_method_is_finished_writes_nothing(tmp_path):
    long = ["--learning-rate", "0.1,0.2,0.5", "--beta", "0,0.9", "--seeds", "5", "--steps", "100000"]
    process = start("sweep", "--method", "heavy_ball", *long, "--output", tmp_path / "none")
    rest = interrupt(process, "heavy_ball step")
    assert process.returncode == 130, rest
    assert "Interrupted: no method was finished, nothing was written." in rest
    assert not (tmp_path / "none").exists()
