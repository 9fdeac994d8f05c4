"""The folder of `momentum-optax sweep`: stopped and resumed, refused, replaced and reported."""

import contextlib
import re
import signal
import subprocess
import sys
import time

import own_trial
import pandas as pd
import pytest
from typer.testing import CliRunner

from momentum_optax import sweeps
from momentum_optax.cli import app
from momentum_optax.cli.interruption import interruptible
from momentum_optax.sweeps.storage import store
from momentum_optax.sweeps.storage.unfinished import load_unfinished


def flat(text):
    return re.sub(r"\s+", " ", text)


def invoke(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture
def command(tmp_path, monkeypatch, request):
    """Of a sweep with 20 rungs in the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    module = own_trial.write(tmp_path, "resumed_" + re.sub(r"\W", "_", request.node.name))
    return [
        "sweep", "--trial", f"{module}:make_trial", "--point", "learning_rate=0.1,0.5", "--steps", "40",
        "--evaluate-every", "2", "--seeds", "2", "--output", "out",
    ]  # fmt: skip


class StoppedError(Exception):
    """Stands for what stops a sweep."""


@pytest.fixture
def stop_after(monkeypatch):
    """Makes a sweep raise after it has kept so many rungs."""

    def stop(rungs, error=StoppedError):
        save = store.Store.save

        def then_stop(self, rung, tree, record):
            save(self, rung, tree, record)
            if rung == rungs:
                raise error

        monkeypatch.setattr(store.Store, "save", then_stop)
        return lambda: monkeypatch.setattr(store.Store, "save", save)

    return stop


def test_the_same_command_goes_on_and_the_result_is_the_same(command, stop_after):
    undo = stop_after(7)
    with pytest.raises(StoppedError):
        raise invoke(*command).exception
    undo()
    result = invoke(*command)
    assert result.exit_code == 0, result.output
    assert "Note: goes on where it was stopped; --no-resume begins anew." in flat(result.output)
    undisturbed = invoke(*command[:-1], "undisturbed")
    assert "Note: goes on" not in undisturbed.output
    assert sweeps.load("out").equals(sweeps.load("undisturbed"))


def test_a_finished_sweep_is_shown_and_not_run_again(command, monkeypatch):
    assert invoke(*command).exit_code == 0
    monkeypatch.setattr(store.Store, "save", None)
    again = invoke(*command)
    assert again.exit_code == 0, again.output
    assert "Note: out holds all of this sweep, and nothing was run; --no-resume runs it again." in flat(again.output)
    assert "The best of 2 points x 2 seeds" in again.output


def test_a_folder_of_another_sweep_is_refused_unless_it_is_to_be_replaced(command, tmp_path):
    assert invoke(*command).exit_code == 0
    (tmp_path / "out" / "mine.txt").write_text("mine")
    other = [*command, "--seeds", "3"]
    refused = invoke(*other)
    assert refused.exit_code == 2
    assert "is that of another sweep, which differs in seeds" in flat(refused.output)
    assert "Give another folder, or let --no-resume replace what is in this one." in flat(refused.output)
    assert sweeps.load("out").seeds == (0, 1)
    assert invoke(*other, "--no-resume").exit_code == 0
    assert sweeps.load("out").seeds == (0, 1, 2)
    assert (tmp_path / "out" / "mine.txt").read_text() == "mine"


def test_results_that_no_one_knows_are_not_touched(command, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "runs.csv").write_text("mine")
    refused = invoke(*command)
    assert refused.exit_code == 2
    assert "holds runs.csv, but no identity.json" in flat(refused.output)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["runs.csv"]


def test_ctrl_c_shows_and_keeps_what_is_finished(command, stop_after, tmp_path):
    undo = stop_after(5, KeyboardInterrupt)
    result = invoke(*command)
    assert result.exit_code == 130
    undo()
    assert "Not finished: this is after 10 of 40 steps." in flat(result.output)
    assert "Interrupted: out keeps the first 10 of 40 steps; the same command goes on." in flat(result.output)
    assert len(pd.read_csv("out/table.csv")) == 2
    assert (tmp_path / "out" / "learning_curves.png").exists()
    assert invoke(*command).exit_code == 0
    assert len(sweeps.load("out").steps) == 20


def test_ctrl_c_before_anything_is_finished_leaves_nothing(command, monkeypatch, tmp_path):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(store.Store, "save", interrupted)
    result = invoke(*command)
    assert result.exit_code == 130
    assert "Interrupted: nothing was finished." in flat(result.output)
    assert not (tmp_path / "out").exists()


def test_an_error_before_anything_is_finished_leaves_nothing(command, monkeypatch, tmp_path):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store, "write_checkpoint", full)
    result = invoke(*command)
    assert result.exit_code == 2
    assert "rung 1 could not be kept in out: [Errno 28] No space left on device" in flat(result.output)
    assert not (tmp_path / "out" / "identity.json").exists()


def test_a_sweep_that_is_running_is_neither_joined_nor_replaced(command):
    assert invoke(*command, "--quiet").exit_code == 0
    hold = (
        "import fcntl, sys; file = open('out/.lock', 'r+'); fcntl.lockf(file, fcntl.LOCK_EX); print(); sys.stdin.read()"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", hold], **pipes) as other:
        assert other.stdout.readline() == "\n"
        found = [invoke(*command, *more) for more in ([], ["--no-resume"])]
        other.stdin.close()
    for result in found:
        assert result.exit_code == 2, result.output
        assert "another process is running this sweep" in flat(result.output)
    assert len(sweeps.load("out").points) == 2


def test_report_shows_a_sweep_by_another_metric(command, tmp_path):
    assert invoke(*command, "--quiet").exit_code == 0
    table = (tmp_path / "out" / "table.csv").read_text()
    for mode, rate in (("max", "0.5"), ("min", "0.1")):
        result = invoke("report", "out", "--metric", "train_loss", "--mode", mode, "--rows", "1", "--output", "new")
        assert result.exit_code == 0, result.output
        assert [line.split()[:2] for line in result.output.splitlines() if line.split()[:1] == ["1"]] == [["1", rate]]
        assert str(pd.read_csv("new/table.csv")["learning_rate"][0]) == rate
    assert {path.name for path in (tmp_path / "new").iterdir()} == {
        "runs.csv", "table.csv", "heat_maps.png", "learning_curves.png", "parallel_coordinates.png", "pareto.png",
        "seed_strip.png",
    }  # fmt: skip
    assert (tmp_path / "out" / "table.csv").read_text() == table


def test_report_shows_what_a_sweep_has_found_so_far(command, stop_after):
    undo = stop_after(4)
    invoke(*command)
    result = invoke("report", "out")
    assert result.exit_code == 0, result.output
    assert "Not finished: this is after 8 of 40 steps." in flat(result.output)
    partial = load_unfinished("out")
    undo()
    assert invoke(*command).exit_code == 0
    whole = sweeps.load("out")
    assert list(partial.steps) == [2, 4, 6, 8]
    assert (partial.points, partial.seeds) == (whole.points, whole.seeds)
    for name, values in whole.metrics.items():
        assert (partial.metrics[name] == values[..., :4]).all()
    assert (partial.cost == 8).all()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["none"], "none holds no sweep, for it has neither sweep.json nor identity.json"),
        (["out", "--metric", "f1"], "--metric: there is no metric 'f1'; there are distance_error, train_loss"),
        (["out", "--mode", "best"], "--mode: 'best' is not accepted; give max or min"),
        (["out", "--rows", "0"], "--rows: 0 is not accepted"),
        (["out", "--output", "out/runs.csv"], "--output: out/runs.csv cannot be written"),
    ],
)
def test_report_says_what_is_wrong(arguments, words, command):
    assert invoke(*command, "--quiet", "--steps", "2").exit_code == 0
    result = invoke("report", *arguments)
    assert result.exit_code == 2
    assert words in flat(result.output)


def start(command):
    return subprocess.Popen(
        [sys.executable, "-m", "momentum_optax.cli", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_rungs(process, folder, count):
    until = time.monotonic() + 120
    while len(list((folder / "rungs").glob("*.npz"))) < count:
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < until
        time.sleep(0.01)


def test_killed_and_interrupted_for_real(command, tmp_path):
    module = command[2].split(":")[0]
    long = [*command, "--steps", "4000", "--evaluate-every", "40"]
    with start(long) as killed:
        wait_for_rungs(killed, tmp_path / "out", 3)
        killed.send_signal(signal.SIGKILL)
    with start(long) as interrupted:
        wait_for_rungs(interrupted, tmp_path / "out", 6)
        interrupted.send_signal(signal.SIGINT)
        out, err = interrupted.communicate(timeout=60)
    assert interrupted.returncode == 130, err
    assert "Note: goes on where it was stopped" in err
    assert "of 4000 steps; the same command goes on." in err
    assert "The best of 2 points x 2 seeds" in out
    with start(long) as last:
        out, err = last.communicate(timeout=120)
    assert last.returncode == 0, err
    assert "100%  took" in err
    # The tests have eight devices, a user's process has one for each core: rounding may differ, the points do not.
    found = sweeps.load("out")
    assert len(found.steps) == 100
    assert found.settings["trial"] == f"{module}:make_trial"


def test_a_ctrl_c_that_python_ignores_is_heard_at_the_next_report():
    """As in a callback of the garbage collector, whose exceptions are printed and dropped."""
    with interruptible() as check:
        check()
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            check()
