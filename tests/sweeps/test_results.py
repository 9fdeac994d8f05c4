import dataclasses
import json
import math

import numpy as np
import pandas as pd
import pytest
from results import make

from momentum_optax.sweeps import join


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


def test_a_regression_is_ranked_by_its_loss(tmp_path):
    result = make([[[2, 1.5]], [[1, 0.5]], [[2, 0.9]]])
    result = dataclasses.replace(result, metrics={"test_loss": result.metrics["test_accuracy"]})
    table = result.table()
    assert table.index.tolist() == [1, 2, 0]
    assert table["steps_to_0.95"].tolist()[:2] == [20, 20]
    result.save(tmp_path)
    assert pd.read_csv(tmp_path / "table.csv")["test_loss"].tolist() == pytest.approx([0.5, 0.9, 1.5])
    both = make([[[1]], [[2]]], steps=[10])
    both.metrics.update(test_loss=np.float32([[[1]], [[2]]]))
    assert both.table().index.tolist() == [1, 0]
    both.save(tmp_path, metric="test_loss")
    assert pd.read_csv(tmp_path / "table.csv")["test_loss"].tolist() == [1, 2]


FOLDED = make(np.arange(24.0).reshape(2, 3, 2, 2) / 100, pruned={(1, 2, 0): 10}, diverged=[(0, 1, 1)])


def test_folds_are_one_more_axis():
    frame = FOLDED.frame()
    assert len(frame) == 24
    names = ["method", "learning_rate", "beta", "seed", "fold", "rung", "step", "test_accuracy", "diverged", "pruned"]
    assert frame.columns.tolist() == names
    rows = frame.set_index(["learning_rate", "seed", "fold", "rung"])
    assert rows.loc[(0.2, 1, 1, 1), "test_accuracy"] == pytest.approx(0.19)
    assert rows["step"].tolist() == [10, 20] * 12
    assert rows.index[rows["diverged"]].tolist() == [(0.1, 1, 1, 1)]
    assert rows.index[rows["pruned"]].tolist() == [(0.2, 2, 0, 1)]
    assert rows["test_accuracy"].isna().sum() == 2
    table = make(np.arange(24.0).reshape(2, 3, 2, 2) / 100).table()
    # The last evaluations of the second point are 13, 15, ..., 23 hundredths.
    assert table["test_accuracy"].tolist() == pytest.approx([0.18, 0.06])
    assert table["test_accuracy_spread"].tolist() == pytest.approx([0.1, 0.1])


def test_what_was_pruned_and_when():
    result = make([[[0.1, 0.2, 0.3]] * 2, [[0.4, 0.5, 0.6]] * 2], steps=(10, 20, 30), pruned={(0, 1): 20, (1, 0): 10})
    assert result.cost.tolist() == [[30, 20], [10, 30]]
    table = result.pruned()
    assert table.index.tolist() == [1, 0]
    assert table["seed"].tolist() == [0, 1]
    assert table["step"].tolist() == [10, 20]
    assert table["test_accuracy"].tolist() == pytest.approx([0.4, 0.2])
    np.testing.assert_allclose(result.final(), [[0.3, 0.2], [0.4, 0.6]], rtol=1e-6)
    assert len(make([[[0, 1]]]).pruned()) == 0
    # Stopped before it was ever evaluated.
    assert math.isnan(make([[[0, 1]]], pruned={(0, 0): 5}).final().item())


def test_a_fold_of_a_pruned_run_is_named():
    assert FOLDED.pruned()[["seed", "fold", "step"]].to_numpy().tolist() == [[2, 0, 10]]


def test_hyperparameters_keep_their_types_where_some_are_missing():
    points = (
        {"method": "a", "layers": 2, "nesterov": True, "learning_rate": 0.5},
        {"method": "b", "learning_rate": 1.0},
    )
    frame = make([[[0.5]], [[0.6]]], steps=[10], points=points).frame()
    assert frame["layers"].dtype == "Int64"
    assert frame["nesterov"].dtype == "boolean"
    assert frame["learning_rate"].dtype == float
    assert frame.loc[0, ["layers", "nesterov"]].tolist() == [2, True]
    assert frame.loc[1, ["layers", "nesterov"]].isna().all()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"metrics": {"f": np.zeros((1, 2, 3))}},
            r"metrics\['f'\] must have the shape \(1, 2, 2\) of 1 points, 2 seeds",
        ),
        ({"diverged_at": np.zeros((2, 1))}, r"diverged_at must have the shape \(1, 2\).*not \(2, 1\)"),
        ({"pruned_at": np.zeros(2)}, r"pruned_at must have the shape \(1, 2\)"),
        ({"cost": np.zeros((1, 2, 1))}, r"cost must have the shape \(1, 2\)"),
        ({"folds": (0, 1, 2)}, r"shape \(1, 2, 3\) of 1 points, 2 seeds, 3 folds"),
    ],
)
def test_arrays_that_do_not_fit_are_named(change, words):
    with pytest.raises(ValueError, match=words):
        dataclasses.replace(make([[[0, 1]] * 2]), **change)


def test_equal_means_every_bit():
    assert FOLDED.equals(dataclasses.replace(FOLDED, settings={"seconds": 2}))
    for name, value in {
        "steps": FOLDED.steps + 1, "seeds": (0, 1, 5), "folds": (0, 5), "points": FOLDED.points[::-1],
        "cost": FOLDED.cost + 1, "pruned_at": FOLDED.pruned_at + 1, "diverged_at": FOLDED.diverged_at + 1,
        "metrics": {"test_accuracy": np.nextafter(FOLDED.metrics["test_accuracy"], np.float32(2))},
    }.items():  # fmt: skip
        assert not FOLDED.equals(dataclasses.replace(FOLDED, **{name: value})), name
    assert not FOLDED.equals(dataclasses.replace(FOLDED, metrics={"other": FOLDED.metrics["test_accuracy"]}))


def test_joined_results_keep_what_was_pruned():
    both = join([FOLDED, FOLDED])
    assert both.pruned().index.tolist() == [1, 3]
    assert both.cost.sum() == 2 * FOLDED.cost.sum()
    with pytest.raises(ValueError, match="same seeds, folds"):
        join([FOLDED, dataclasses.replace(FOLDED, folds=(1, 2))])
