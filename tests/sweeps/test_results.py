import dataclasses
import json
import math

import numpy as np
import pandas as pd
import pytest

from momentum_optax.sweeps import SweepResult, join
from momentum_optax.sweeps.saving import check_writable, write_files


def make(accuracy, steps=(10, 20), diverged=None, method="m", **settings):
    """A result with one point for each entry of `accuracy`, `[points, seeds, evaluations]`."""
    accuracy = np.asarray(accuracy, np.float32)
    diverged_at = np.full(accuracy.shape[:2], -1)
    for point, seed in diverged or ():
        diverged_at[point, seed] = 11
        accuracy[point, seed, 1:] = np.nan
    return SweepResult(
        points=tuple({"method": method, "learning_rate": 0.1 * (p + 1), "beta": 0.9} for p in range(len(accuracy))),
        seeds=tuple(range(accuracy.shape[1])),
        steps=np.asarray(steps),
        metrics={"test_accuracy": accuracy},
        diverged_at=diverged_at,
        settings=settings,
    )


def order(result):
    return result.table().index.tolist()


def test_the_higher_median_wins():
    result = make([[[0, 0.5]] * 3, [[0, 0.1], [0, 0.9], [0, 0.8]], [[0, 0.7]] * 3])
    assert order(result) == [1, 2, 0]
    first = result.table().iloc[0]
    assert first["rank"] == 1
    assert first["test_accuracy"] == pytest.approx(0.8)
    assert first["test_accuracy_spread"] == pytest.approx(0.8)
    assert math.isnan(first["steps_to_0.95"])


def test_ties_go_to_fewer_steps_then_smaller_spread_then_the_earlier_point():
    slow, fast = [0.5, 0.96], [0.96, 0.96]
    result = make([[slow] * 3, [fast] * 3, [fast, fast, [0.96, 0.95]], [fast] * 3])
    assert order(result) == [1, 3, 2, 0]
    assert result.table()["steps_to_0.95"].tolist() == [10, 10, 10, 20]


def test_diverged_runs_rank_last_however_good_the_others_are():
    good, bad = [0.9, 0.99], [0.1, 0.2]
    result = make([[good] * 3, [bad] * 3, [good] * 3], diverged=[(0, 1), (2, 0), (2, 1), (2, 2)])
    table = result.table()
    assert table.index.tolist() == [1, 0, 2]
    assert table["diverged"].tolist() == [0, 1, 3]
    assert table["test_accuracy"].iloc[1] == pytest.approx(0.99)
    assert math.isnan(table["test_accuracy"].iloc[2])


def test_a_sweep_in_which_all_diverged_is_still_ranked(tmp_path):
    result = make([[[0.1, 0.2]] * 2] * 2, diverged=[(p, s) for p in range(2) for s in range(2)])
    table = result.table()
    assert table["rank"].tolist() == [1, 2]
    assert table["test_accuracy"].isna().all()
    result.save(tmp_path)
    assert json.loads((tmp_path / "sweep.json").read_text())["table"][0]["test_accuracy"] is None


def test_steps_to_is_blank_unless_the_median_seed_gets_there():
    low, high = [0.5, 0.6], [0.5, 0.97]
    table = make([[low, low, high], [low, high, high], [low, low, high]]).table()
    assert table.loc[1, "steps_to_0.95"] == 20
    assert table.loc[[0, 2], "steps_to_0.95"].isna().all()


def test_unknown_metric_is_named():
    with pytest.raises(KeyError, match=r"no metric 'f1'; there are \['test_accuracy'\]"):
        make([[[0, 1]]]).table("f1")


def test_frame_is_tidy():
    result = make([[[0.1, 0.2], [0.3, 0.4]], [[0.5, 0.6], [0.7, 0.8]]], diverged=[(1, 0)])
    frame = result.frame()
    assert len(frame) == 8
    row = frame[(frame["learning_rate"] == 0.2) & (frame["seed"] == 1) & (frame["step"] == 20)]
    assert row["test_accuracy"].item() == pytest.approx(0.8)
    assert frame["diverged"].tolist() == [False] * 5 + [True] + [False] * 2


def test_join_puts_methods_together_and_leaves_missing_numbers_missing():
    one, other = (
        make([[[0, 0.5]]], method="a", seconds={"a": 1.0}),
        make([[[0, 0.9]]], method="b", seconds={"b": 2.0}),
    )
    other = dataclasses.replace(other, points=({"method": "b", "learning_rate": 1.0},))
    table = join([one, other]).table()
    assert table["method"].tolist() == ["b", "a"]
    assert table["beta"].isna().tolist() == [True, False]
    assert join([one, other]).settings["seconds"] == {"a": 1.0, "b": 2.0}
    with pytest.raises(ValueError, match="same seeds"):
        join([one, make([[[0, 0.5]]], steps=(5, 20))])
    with pytest.raises(ValueError, match="no results"):
        join([])


def test_saved_files_hold_everything(tmp_path):
    result = make([[[0.1, 0.2], [0.3, 0.4]]], batch_size=32)
    files = result.save(tmp_path / "new" / "folder")
    assert sorted(f.name for f in (tmp_path / "new" / "folder").iterdir()) == [
        "runs.csv",
        "sweep.json",
        "table.csv",
    ]
    runs, table, description = files
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


def test_a_regression_is_ranked_by_its_loss(tmp_path):
    result = make([[[2, 1.5]], [[1, 0.5]], [[2, 0.9]]])
    result = dataclasses.replace(result, metrics={"test_loss": result.metrics["test_accuracy"]})
    table = result.table()
    assert table.index.tolist() == [1, 2, 0]
    assert table["steps_to_0.95"].tolist()[:2] == [20, 20]
    result.save(tmp_path)
    assert pd.read_csv(tmp_path / "table.csv")["test_loss"].tolist() == pytest.approx([0.5, 0.9, 1.5])
    both = dataclasses.replace(make([[[0, 1]], [[1, 2]]]), metrics=dict.fromkeys(["test_accuracy", "test_loss"]))
    both.metrics.update(test_accuracy=np.float32([[[1]], [[2]]]), test_loss=np.float32([[[1]], [[2]]]))
    both = dataclasses.replace(both, steps=np.array([10]))
    assert both.table().index.tolist() == [1, 0]
    both.save(tmp_path, metric="test_loss")
    assert pd.read_csv(tmp_path / "table.csv")["test_loss"].tolist() == [1, 2]


def test_check_writable_leaves_nothing_behind(tmp_path):
    check_writable(tmp_path / "x" / "y")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(NotADirectoryError, match="is a file, not a folder"):
            check_writable(path)
