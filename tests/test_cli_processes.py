"""`momentum-optax sweep` as one of several processes."""

import re
import socket
import subprocess
import sys

import numpy as np
import own_trial
import pytest
from typer.testing import CliRunner

from momentum_optax import sweeps
from momentum_optax.cli import app


def flat(text):
    return re.sub(r"\s+", " ", text)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--processes", "2"], "--coordinator: --processes needs it too"),
        (["--coordinator", "localhost:1"], "--processes: --coordinator needs it too"),
        (["--coordinator", "localhost:1", "--processes", "2"], "--process: --coordinator needs it too"),
        (["--coordinator", "a:1", "--processes", "0", "--process", "0"], "--processes: 0 is not accepted"),
        (["--coordinator", "a:1", "--processes", "2", "--process", "2"], "--process: 2 is not accepted; give a whole"),
        (["--coordinator", "a", "--processes", "2", "--process", "0"], "coordinator must be HOST:PORT"),
        (["--distributed", "--process", "1"], "--distributed: this asks the cluster for what --process says"),
    ],
)
def test_processes_that_do_not_find_each_other_are_refused(options, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["sweep", *options])
    assert result.exit_code == 2, result.output
    assert words in flat(result.output)
    assert list(tmp_path.iterdir()) == []


def start(tmp_path, *options):
    """The command, on its way."""
    module = own_trial.write(tmp_path, "shared")
    command = [
        sys.executable, "-m", "momentum_optax.cli", "sweep", "--trial", f"{module}:trial", "--strategy", "vmap",
        "--point", "learning_rate=linear:0.1:0.8:8", "--steps", "20", "--seeds", "2", *options,
    ]  # fmt: skip
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=tmp_path, **pipes)


def both(tmp_path, *options):
    """Exit status, standard output and standard error of two processes."""
    with socket.socket() as found:
        found.bind(("localhost", 0))
        port = found.getsockname()[1]
    several = ["--coordinator", f"localhost:{port}", "--processes", "2", *options]
    processes = [start(tmp_path, *several, "--process", str(i)) for i in (0, 1)]
    said = [process.communicate(timeout=200) for process in processes]
    return [(process.returncode, *texts) for process, texts in zip(processes, said, strict=True)]


def test_two_processes_find_what_one_finds_and_the_first_writes(tmp_path):
    first, second = both(tmp_path, "--output", "both")
    assert first[0] == second[0] == 0, (first, second)
    assert "The best of 8 points x 2 seeds" in first[1]
    assert "100%  took" in first[2]
    assert "best" not in second[1] + second[2]
    alone = start(tmp_path, "--output", "alone", "--quiet")
    assert alone.communicate(timeout=200)[1] == ""
    one, two = (sweeps.load(tmp_path / name) for name in ("alone", "both"))
    assert [result.settings["processes"] for result in (one, two)] == [1, 2]
    assert two.settings["devices"] == 2 * one.settings["devices"]
    assert (one.points, one.seeds) == (two.points, two.seeds)
    for name, values in one.metrics.items():
        np.testing.assert_allclose(two.metrics[name], values, rtol=1e-5)


def test_what_only_the_first_process_sees_ends_all(tmp_path):
    (tmp_path / "a file").write_text("here")
    for status, _, said in both(tmp_path, "--output", "a file"):
        assert status == 2
        assert "a file cannot be written" in flat(said)
        assert "Traceback" not in said
