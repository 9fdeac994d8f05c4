"""Sweeps that two processes share give what one process gives, also when they are killed, and fail together."""

import contextlib
import fcntl
import pickle
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import jax
import numpy as np
import pytest
from shared_sweeps import SHARED, WAIT_AT, run

from momentum_optax.sweeps import distributed, load

SCRIPT = Path(__file__).with_name("shared_sweeps.py")
# Chunks are of one shape there and here.
EXACT = {"even", "structures", "one", "pruned", "population", "threads", "alone"}


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextlib.contextmanager
def pair(folder, what):
    """Two processes, which end in any case."""
    port = str(free_port())
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    both = [subprocess.Popen([sys.executable, SCRIPT, port, str(i), folder, what], **pipes) for i in range(2)]
    limit = threading.Timer(240, lambda: [process.kill() for process in both])
    limit.start()
    try:
        yield both
    finally:
        limit.cancel()
        for process in both:
            process.kill()
            process.communicate()


def until(start, process, other):
    """The line with which a process says that it has come so far."""
    said = []
    for line in process.stdout:
        if line.startswith(start):
            return line
        said.append(line)
    other.kill()
    return pytest.fail(f"{''.join(said)}\nThe other one:\n{other.communicate()[0]}")


def live(folder):
    """Begins, is killed in the midst of the last sweep, one process before the other, and begins again."""
    with pair(folder, "begun") as (first, second):
        until("now", first, second)
        second.kill()
        (folder / "go on").touch()
        (folder / "raised").write_text(until("raised", first, second))
    shutil.copytree(folder / "kept", folder / "moved")
    with pair(folder, "resumed") as (first, second):
        until("done", first, second)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, worker_id):
    """Where the two processes have been; once for all workers of pytest."""
    own = tmp_path_factory.getbasetemp()
    folder = (own if worker_id == "master" else own.parent) / "processes"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "1-resumed.pickle").exists():
            live(folder)
    return folder


def found(folder, what):
    return [pickle.loads((folder / f"{i}-{what}.pickle").read_bytes()) for i in range(2)]


def assert_same(result, expected, exact):
    assert result.points == expected.points
    np.testing.assert_array_equal(result.pruned_at, expected.pruned_at)
    np.testing.assert_array_equal(result.diverged_at, expected.diverged_at)
    for name, values in expected.metrics.items():
        tolerance = 0 if exact else 1e-6
        np.testing.assert_allclose(result.metrics[name], values, tolerance, tolerance, err_msg=name)


@pytest.mark.parametrize("name", SHARED)
def test_the_same_table_as_of_one_process(folder, name):
    first, second = found(folder, "begun")
    assert first["devices"] == second["devices"] == (4, 2)
    assert first[name].settings["processes"] == 2
    assert first[name].equals(second[name])
    here = {"devices": jax.devices()[: 1 if name == "one" else 4], "threads": 1}
    expected = run(name, **here)
    assert_same(first[name], expected, name in EXACT)


def test_where_memory_is_short_all_take_smaller_batches(folder):
    """Though that changes which points are still trained at all."""
    first, second = found(folder, "begun")
    assert first["auto"].settings["ways"][0]["chunk"] == 4
    assert first["little"].settings["ways"][0]["chunk"] in (1, 2)
    assert first["exhausted"].settings["ways"][0]["chunk"] == 2
    for process in (first, second):
        assert process["little"].settings["ways"] == first["little"].settings["ways"]
        assert process["exhausted"].cost.tolist() == [[30, 30]] * 4 + [[5, 5]] * 4


def test_each_process_may_have_threads_or_be_by_itself(folder):
    expected = run("even", devices=jax.devices()[:1], threads=1)
    for index, process in enumerate(found(folder, "begun")):
        assert_same(process["threads"], expected, exact=True)
        assert process["alone"].seeds == (index,)
        assert process["alone"].settings["processes"] == 1
        np.testing.assert_array_equal(process["alone"].metrics["test_loss"], expected.metrics["test_loss"][:, [index]])


RAISED = {
    "error": ("LookupError: lost", 1),
    "Ctrl-C": ("KeyboardInterrupt: ", 1),
    "progress": ("LookupError: lost", 0),
    "folder": ("NotADirectoryError: .*file is a file, not a folder", 0),
    "arguments": (r"ValueError: .* \(here\) differ in seeds \(there a list of 2, here a list of 3\)", None),
    "devices": ("ValueError: devices must be as many of each process, not 2 of process 0, 1 of process 1; or", None),
}


@pytest.mark.parametrize("name", RAISED)
def test_what_one_process_raises_ends_the_sweep_in_all(folder, name):
    said, where = RAISED[name]
    for index, process in enumerate(found(folder, "begun")):
        raised = process["failures"][name]
        assert re.match(said, raised), raised
        assert ("Raised in process" in raised) == (where not in (None, index)), raised


def test_after_failures_they_work_on(folder):
    assert [process["failures"]["nothing"] for process in found(folder, "begun")] == ["", ""]


def test_who_waits_for_a_killed_process_is_told(folder):
    assert "Another process of this sweep has ended" in (folder / "raised").read_text()


def test_killed_processes_go_on_after_their_last_rung(folder):
    undisturbed = found(folder, "begun")[0]["pruned"]
    first, second = found(folder, "resumed")
    for process in (first, second):
        assert_same(process["kept"], undisturbed, exact=True)
        assert process["again"].equals(process["kept"])
    assert [now.rung for now in first["seen"]] == [*range(WAIT_AT, WAIT_AT + 4)]
    assert not second["seen"]
    assert load(folder / "kept").equals(first["kept"])


def test_one_process_goes_on_where_two_were_killed(folder, tmp_path):
    moved = shutil.copytree(folder / "moved", tmp_path / "moved")
    with pytest.warns(UserWarning, match="was begun elsewhere: platform.processes"):
        result = run("pruned", folder=moved, devices=jax.devices()[:3])
    assert_same(result, found(folder, "begun")[0]["pruned"], exact=False)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"coordinator": "here:1234"}, "must be given together; processes is missing"),
        ({"coordinator": "here:1234", "process": 0}, "processes is missing"),
        ({"processes": 2, "process": 0}, "coordinator is missing"),
        ({"coordinator": "here", "processes": 2, "process": 0}, "coordinator must be HOST:PORT.*, not 'here'"),
        ({"coordinator": "here:1", "processes": 0, "process": 0}, "processes must be a whole number of at least 1"),
        ({"coordinator": "here:1", "processes": 2, "process": -1}, "process must be a whole number of at least 0"),
        ({"coordinator": "here:1", "processes": 2, "process": 2}, "process must be less than processes=2, not 2"),
    ],
)
def test_bad_arguments(arguments, words):
    with pytest.raises(ValueError, match=words):
        distributed.start(**arguments)


def test_too_late():
    jax.devices()
    with pytest.raises(RuntimeError, match="must be called before JAX does anything"):
        distributed.start("127.0.0.1:1", 1, 0)


def test_alone():
    """Where there is no cluster, with one process, and that it ends when it is told to."""
    script = """if True:
        import os, signal, time
        from momentum_optax.sweeps import distributed
        for arguments in [(), ("127.0.0.1:%d", 1, 0), ()]:
            try:
                distributed.start(*arguments)
            except (ValueError, RuntimeError) as error:
                print(error, flush=True)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)
        print("still there")
    """
    command = [sys.executable, "-c", script % free_port()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert re.match("JAX finds no cluster here.* give coordinator.*\n.* only once.\n$", done.stdout), done
    assert done.returncode == -signal.SIGTERM
