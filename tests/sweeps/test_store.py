import errno
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from results import make

from momentum_optax.sweeps import load
from momentum_optax.sweeps.storage import saving
from momentum_optax.sweeps.storage.store import Store

IDENTITY = {"points": [{"learning_rate": 0.1 + 0.2, "method": "a"}, {"learning_rate": 0.3}], "steps": 100}


def keep(store, *rungs, size=3):
    for rung in rungs:
        store.save(rung, {"x": np.full((2, size), rung, np.float32)}, {"loss": np.float32([rung, rung / 2])})


def assert_is(found, rung):
    assert found.rung == rung
    assert np.all(found.leaves[0] == rung)
    np.testing.assert_array_equal([record["loss"] for record in found.records], [[r, r / 2] for r in range(rung + 1)])


def checkpoints(folder):
    return sorted(path.name for path in (folder / "checkpoints").iterdir())


def test_what_was_kept_is_found_bit_for_bit(tmp_path):
    tree = {
        "bfloat16": jnp.asarray([[1.5, -jnp.inf, jnp.nan]], jnp.bfloat16),
        "bool": np.array([True, False, True]),
        "count": np.array(3, np.int32),
        "empty": np.zeros((0, 4), np.float32),
        "key": jax.random.key_data(jax.random.split(jax.random.key(0), 3)),
        "strided": np.random.default_rng(0).normal(size=(4, 6))[::2, ::3],
    }
    # "file" is a word that NumPy's own function could not take.
    record = {"file": np.array([np.nan, -0.0, 1e-42], np.float32), "metrics/a": np.asarray(tree["bfloat16"])}
    Store(tmp_path, IDENTITY).save(3, tree, record)
    rung, leaves, records = Store(tmp_path, IDENTITY).latest()
    assert rung == 3
    expected, found = [*jax.tree.leaves(tree), *record.values()], [*leaves, *records[0].values()]
    for x, y in zip(map(np.asarray, expected), found, strict=True):
        assert (x.dtype, x.shape, x.tobytes()) == (y.dtype, y.shape, y.tobytes())
        assert y.flags.aligned
    assert len(records) == 1
    with np.load(tmp_path / "rungs" / "00003.npz") as arrays:
        assert {name: values.dtype for name, values in arrays.items()} == dict.fromkeys(record, np.float32)
        np.testing.assert_array_equal(arrays["file"], record["file"])


def test_large_states_are_kept_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr("momentum_optax.sweeps.storage.checkpoint.PIECE", 1000)
    keep(Store(tmp_path, IDENTITY), 0, size=1234)
    assert_is(Store(tmp_path, IDENTITY).latest(), 0)
    assert {"0", "9"} < {path.name for path in (tmp_path / "checkpoints" / "00000").iterdir()}


def test_only_numbers_can_be_kept(tmp_path):
    store = Store(tmp_path, IDENTITY)
    for bad in (np.array(["a"]), np.array([None]), np.zeros(2, [("a", int)])):
        with pytest.raises(TypeError, match="only numbers can be kept in a checkpoint, not an array of type"):
            store.save(0, [bad], {})
    assert store.latest() is None


def test_the_two_newest_are_kept(tmp_path):
    store = Store(tmp_path, IDENTITY)
    assert store.latest() is None
    keep(store, 0)
    assert checkpoints(tmp_path) == ["00000"]
    keep(store, 1, 2, 3)
    assert checkpoints(tmp_path) == ["00002", "00003"]
    with pytest.raises(ValueError, match="rung must be larger than 3, the one before, not 3"):
        keep(store, 3)
    assert len(list((tmp_path / "rungs").iterdir())) == 4
    again = Store(tmp_path, IDENTITY)
    assert_is(again.latest(), 3)
    keep(again, 4)
    assert_is(Store(tmp_path, IDENTITY).latest(), 4)


DAMAGES = {
    "cut": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "empty": lambda path: path.write_bytes(b""),
    "garbage": lambda path: path.write_bytes(b"\xff\xfe" * 40),
    "flipped": lambda path: path.write_bytes(path.read_bytes()[:-2] + bytes([path.read_bytes()[-2] ^ 1]) + b"\n"),
    "missing": lambda path: path.unlink(),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_checkpoint_gives_way_to_the_one_before(tmp_path, damage):
    keep(Store(tmp_path / "whole", IDENTITY), 0, 1, 2)
    newest = tmp_path / "whole" / "checkpoints" / "00002"
    files = [path.relative_to(newest) for path in newest.rglob("*") if path.is_file()]
    assert len(files) >= 4
    for i, file in enumerate(files):
        folder = tmp_path / str(i)
        shutil.copytree(tmp_path / "whole", folder)
        damage(folder / "checkpoints" / "00002" / file)
        store = Store(folder, IDENTITY)
        with pytest.warns(
            UserWarning, match=rf"In {folder}, .*rung 2 \(.*\) is damaged: the sweep goes on from rung 1"
        ):
            found = store.latest()
        assert_is(found, 1)
        keep(store, 2)
        assert checkpoints(folder) == ["00001", "00002"]
        assert_is(Store(folder, IDENTITY).latest(), 2)


def test_without_a_whole_checkpoint_the_sweep_starts_over(tmp_path):
    keep(Store(tmp_path, IDENTITY), 0, 1, 2)
    for path in (tmp_path / "checkpoints").glob("*/SHA256SUMS"):
        path.unlink()
    store = Store(tmp_path, IDENTITY)
    with pytest.warns(UserWarning, match=r"rung 2 \(.*\) and of rung 1 \(.*\) is damaged: the sweep starts over"):
        assert store.latest() is None
    keep(store, 0)
    assert checkpoints(tmp_path) == ["00000"]  # not those that come after it
    assert_is(Store(tmp_path, IDENTITY).latest(), 0)


def test_what_is_whole_but_cannot_be_read_is_not_thrown_away(tmp_path, monkeypatch):
    keep(Store(tmp_path, IDENTITY), 0)

    def fail(folder):
        raise ValueError("no memory")

    monkeypatch.setattr("momentum_optax.sweeps.storage.store.read_checkpoint", fail)
    with pytest.raises(ValueError, match="no memory"):
        Store(tmp_path, IDENTITY).latest()


def test_a_process_killed_while_it_kept_a_rung_loses_none(tmp_path):
    script = Path(__file__).with_name("killed_store.py")
    done = subprocess.run([sys.executable, script, tmp_path, "15"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert checkpoints(tmp_path) == ["00099", "00100"]
    assert not list(tmp_path.rglob(".writing-*"))


@pytest.fixture
def small_files():
    """Files cannot become larger than the given size, as on a disk that is full."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize(("size", "limit"), [(100_000, 100_000), (3, 20)])  # Orbax's file, and that of the rung
def test_a_full_disk_is_an_error_that_loses_nothing(tmp_path, small_files, size, limit):
    store = Store(tmp_path, IDENTITY)
    keep(store, 0, 1)
    small_files(limit)
    with pytest.raises(OSError, match=rf"rung 2 could not be kept in {tmp_path}: .* rungs before it are still there"):
        keep(store, 2, size=size)
    small_files(resource.getrlimit(resource.RLIMIT_FSIZE)[1])
    assert checkpoints(tmp_path) == ["00000", "00001"]
    assert not list(tmp_path.rglob(".writing-*"))
    assert_is(Store(tmp_path, IDENTITY).latest(), 1)
    keep(store, 2)  # once there is room
    assert_is(Store(tmp_path, IDENTITY).latest(), 2)


def test_the_error_of_the_system_is_passed_on(tmp_path, monkeypatch):
    def full(file):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    store = Store(tmp_path, IDENTITY)
    monkeypatch.setattr(saving.os, "fsync", full)
    with pytest.raises(OSError, match="No space left on device") as caught:
        keep(store, 0)
    assert caught.value.errno == errno.ENOSPC


def test_other_files_are_left_alone(tmp_path):
    (tmp_path / "train.py").write_text("precious")
    (tmp_path / ".writing-abc").mkdir()
    store = Store(tmp_path, IDENTITY)
    keep(store, 0)
    store.finish(make([[[0.1, 0.2]]]))
    assert (tmp_path / "train.py").read_text() == "precious"
    assert not (tmp_path / ".writing-abc").exists()


def test_a_folder_that_cannot_be_one_says_so(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match="file is a file, not a folder"):
        Store(tmp_path / "file", IDENTITY)
    (tmp_path / "identity.json").write_text('{"format"')
    with pytest.raises(ValueError, match=r"identity\.json is damaged: .* Give another folder"):
        Store(tmp_path, IDENTITY)


def test_two_processes_cannot_run_one_sweep(tmp_path):
    Store(tmp_path, IDENTITY)
    hold = "import fcntl, sys; f = open(sys.argv[1], 'a'); fcntl.lockf(f, fcntl.LOCK_EX); print(); sys.stdin.read()"
    command = [sys.executable, "-c", hold, tmp_path / ".lock"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        other.stdout.read(1)
        with pytest.raises(BlockingIOError, match="another process is running this sweep"):
            Store(tmp_path, IDENTITY)
        other.kill()
    Store(tmp_path, IDENTITY)


def test_notes_outlive_the_process(tmp_path):
    store = Store(tmp_path, IDENTITY)
    assert store.notes == {}
    store.note(strategy="step", chunk=(2, np.int64(3)))
    store.note(chunk=(1, 3))
    assert store.notes == Store(tmp_path, IDENTITY).notes == {"strategy": "step", "chunk": [1, 3]}
    (tmp_path / "notes.json").write_text('{"str')
    with pytest.warns(UserWarning, match=r"notes\.json is damaged and not used"):
        assert Store(tmp_path, IDENTITY).notes == {}


def test_a_finished_sweep_is_given_at_once(tmp_path):
    store = Store(tmp_path, IDENTITY)
    assert store.finished() is None
    keep(store, 0, 1)
    assert store.finished() is None
    result = make([[[0.1, 0.2]]])
    store.finish(result)
    assert {path.name for path in tmp_path.iterdir()} == {
        *("identity.json", ".lock", "runs.csv", "runs.npz", "sweep.json", "table.csv")
    }
    assert load(tmp_path).equals(result)
    # Killed before the checkpoints were gone.
    (tmp_path / "checkpoints" / "00001").mkdir(parents=True)
    assert Store(tmp_path, IDENTITY).finished().equals(result)
    assert not (tmp_path / "checkpoints").exists()
    (tmp_path / "runs.npz").write_bytes(b"")
    with pytest.warns(UserWarning, match=r"cannot be used, the sweep is run again: .*runs\.npz is damaged"):
        assert Store(tmp_path, IDENTITY).finished() is None
