import dataclasses
import importlib.util
import json

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from results import make

from momentum_optax.sweeps import load
from momentum_optax.sweeps.storage.saving import check_writable, write_files

RNG = np.random.default_rng(0)
POINTS = (
    {"method": "a", "learning_rate": 0.1 + 0.2, "layers": 2, "act": "relu", "nesterov": True},
    {"method": "b", "learning_rate": 1e-7},
)


def rich(dtype=np.float32):
    """A result with everything in it: folds, strings, missing hyperparameters, diverged and pruned runs."""
    result = make(
        RNG.uniform(size=(2, 3, 2, 2)), diverged=[(0, 1, 1)], pruned={(1, 0, 0): 10}, points=POINTS, batch_size=32
    )
    return dataclasses.replace(
        result,
        metrics={
            "train_loss": RNG.normal(size=(2, 3, 2, 2)).astype(dtype),
            "test_accuracy": result.metrics["test_accuracy"],
        },
        seeds=(0, 7, 2),
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_loaded_result_is_the_saved_one(tmp_path, dtype):
    result = rich(dtype)
    result.save(tmp_path)
    loaded = load(str(tmp_path))
    assert loaded.equals(result)
    assert loaded.points == POINTS
    assert [[type(v) for v in p.values()] for p in loaded.points] == [[type(v) for v in p.values()] for p in POINTS]
    assert loaded.settings == {"batch_size": 32}
    assert list(loaded.metrics) == ["train_loss", "test_accuracy"]
    pd.testing.assert_frame_equal(loaded.frame(), result.frame())
    # Once more, and every file is the same.
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    loaded.save(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_bfloat16_metrics_become_float32(tmp_path):
    result = rich()
    narrow = np.asarray(jnp.asarray(result.metrics["train_loss"], jnp.bfloat16))
    result = dataclasses.replace(result, metrics={"train_loss": narrow})
    result.save(tmp_path)
    loaded = load(tmp_path).metrics["train_loss"]
    assert loaded.dtype == np.float32
    np.testing.assert_array_equal(loaded, narrow.astype(np.float32))


def test_settings_of_any_kind_are_written_down(tmp_path):
    result = dataclasses.replace(rich(), settings={"rate": np.float32(0.5), "shape": np.arange(2), "f": tmp_path})
    result.save(tmp_path)
    assert load(tmp_path).settings == {"rate": 0.5, "shape": [0, 1], "f": str(tmp_path)}


def damage(folder, **change):
    path = folder / "sweep.json"
    stored = json.loads(path.read_text())
    stored.update(change)
    path.write_text(json.dumps({k: v for k, v in stored.items() if v is not None}))


def test_a_folder_that_cannot_be_read_says_why(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds no finished sweep, for it has no sweep\.json"):
        load(tmp_path)
    rich().save(tmp_path)
    damage(tmp_path, format=2, versions={"momentum_optax": "9.1"})
    with pytest.raises(ValueError, match=r"has format 2, written by momentum_optax 9\.1; this version reads format 1"):
        load(tmp_path)
    damage(tmp_path, format=None)
    with pytest.raises(ValueError, match="written by an older version"):
        load(tmp_path)
    (tmp_path / "sweep.json").write_text('{"format": 1, "poi')
    with pytest.raises(ValueError, match=r"sweep\.json is damaged"):
        load(tmp_path)


def test_numbers_of_another_sweep_are_refused(tmp_path):
    rich().save(tmp_path / "a")
    make([[[0, 1]]]).save(tmp_path / "b")
    arrays = tmp_path / "a" / "runs.npz"
    arrays.write_bytes((tmp_path / "b" / "runs.npz").read_bytes())
    with pytest.raises(ValueError, match="is damaged, or of another sweep"):
        load(tmp_path / "a")
    arrays.unlink()
    with pytest.raises(FileNotFoundError, match=r"no runs\.npz"):
        load(tmp_path / "a")


def test_parquet_holds_the_same_rows_or_says_what_it_needs(tmp_path):
    result = rich()
    if any(importlib.util.find_spec(engine) for engine in ("fastparquet", "pyarrow")):
        result.save(tmp_path, parquet=True)
        stored = pd.read_parquet(tmp_path / "runs.parquet")
        pd.testing.assert_frame_equal(stored, result.frame(), check_dtype=False, check_exact=True)
    else:
        with pytest.raises(ImportError, match="fastparquet or pyarrow"):
            result.save(tmp_path, parquet=True)
        assert list(tmp_path.iterdir()) == []


def test_without_a_parquet_package_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if "parquet" in name or name == "pyarrow" else 1)
    with pytest.raises(ImportError, match="parquet=True needs fastparquet or pyarrow"):
        rich().save(tmp_path, parquet=True)
    assert list(tmp_path.iterdir()) == []


def test_saved_files_hold_everything(tmp_path):
    result = make([[[0.1, 0.2], [0.3, 0.4]]], batch_size=32)
    files = result.save(tmp_path / "new" / "folder")
    assert sorted(f.name for f in (tmp_path / "new" / "folder").iterdir()) == [
        "runs.csv",
        "runs.npz",
        "sweep.json",
        "table.csv",
    ]
    runs, table, _, description = files
    pd.testing.assert_frame_equal(
        pd.read_csv(runs), result.frame(), check_dtype=False, rtol=1e-6, check_column_type=False
    )
    assert pd.read_csv(table)["rank"].tolist() == [1]
    stored = json.loads(description.read_text())
    assert stored["settings"] == {"batch_size": 32}
    assert {"python", "jax", "optax", "numpy"} <= set(stored["versions"])
    assert stored["table"][0]["test_accuracy"] == pytest.approx(0.3)


def test_nothing_is_half_written(tmp_path):
    (tmp_path / "a").write_text("old a")

    def fail(path):
        path.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_files(tmp_path, {"a": lambda path: path.write_text("new a"), "b": fail})
    assert [f.name for f in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_text() == "old a"
    write_files(tmp_path, {"a": lambda path: path.write_text("new a")})
    assert (tmp_path / "a").read_text() == "new a"


def test_a_folder_in_the_place_of_a_file_is_refused_before_any_file_is_moved(tmp_path):
    (tmp_path / "b").mkdir()
    with pytest.raises(IsADirectoryError, match="b is a folder"):
        check_writable(tmp_path, ["a", "b"])
    with pytest.raises(IsADirectoryError, match="b is a folder"):
        write_files(tmp_path, {name: lambda path: path.write_text("new") for name in "ab"})
    assert [f.name for f in tmp_path.iterdir()] == ["b"]


def test_check_writable_leaves_nothing_behind(tmp_path):
    check_writable(tmp_path / "x" / "y")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(
            NotADirectoryError, match=rf"folder='{path}' cannot be written .*file is a file, not a folder"
        ):
            check_writable(path)


def test_a_folder_that_cannot_be_made_is_named():
    with pytest.raises(FileNotFoundError, match=r"folder='/proc/x' cannot be written .*give one that can") as caught:
        check_writable("/proc/x")
    assert caught.value.strerror == "No such file or directory"


def test_what_is_not_finished_is_no_result_but_can_be_shown(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"{tmp_path} holds no finished sweep, for it has no sweep.json"):
        load(tmp_path)
    (tmp_path / "identity.json").write_text("{}")
    with pytest.raises(FileNotFoundError, match=f"under way or stopped. `momentum-optax report {tmp_path}` shows"):
        load(tmp_path)
