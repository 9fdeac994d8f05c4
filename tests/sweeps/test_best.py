import dataclasses
import math

import numpy as np
import pytest
from results import make

from momentum_optax.sweeps.results.best import STATISTICS


def last(*values):
    """One point with a run for each value."""
    return [[0.0, value] for value in values]


@pytest.mark.parametrize(
    ("statistic", "values", "winner"),
    [
        ("mean", [(0.0, 0.6, 0.6), (0.45, 0.45, 0.45)], 1),
        ("median", [(0.0, 0.6, 0.6), (0.45, 0.45, 0.45)], 0),
        ("min", [(0.1, 0.9, 0.9), (0.2, 0.2, 0.2)], 1),
        ("max", [(0.1, 0.1, 0.9), (0.8, 0.8, 0.8)], 0),
        ("lower", [(0.0, 0.5, 0.9), (0.3, 0.4, 0.4)], 1),
        ("upper", [(0.0, 0.5, 0.9), (0.6, 0.6, 0.6)], 0),
    ],
)
def test_each_statistic_has_its_own_winner(statistic, values, winner):
    result = make([last(*v) for v in values])
    found = result.best(statistic=statistic)
    assert found.index == winner
    assert found.point is result.points[winner]
    expected = {"lower": lambda v: np.percentile(v, 25), "upper": lambda v: np.percentile(v, 75)}
    expected = expected.get(statistic) or getattr(np, statistic)
    assert found.value == pytest.approx(expected(np.float32(values[winner])))


def test_every_statistic_is_tested():
    assert set(STATISTICS) == {"mean", "median", "min", "max", "lower", "upper"}


def test_smaller_is_better_where_the_name_or_the_user_says_so():
    values = [last(0.5), last(0.2), last(0.9)]
    assert make(values).best().index == 2
    assert make(values).best(mode="min").index == 1
    assert make(values, metric="test_loss").best().index == 1
    assert make(values, metric="test_loss").best("test_loss", mode="max").index == 2
    assert make(values, metric="calibration_error").best().index == 1


def test_diverged_points_come_last():
    result = make([last(0.9, 0.9), last(0.1, 0.1), last(0.95, 0.95)], diverged=[(0, 0), (2, 0), (2, 1)])
    assert result.best().index == 1
    assert result.best().diverged == 0
    result = make([last(0.9, 0.9), last(0.95, 0.95)], diverged=[(0, 0), (1, 0), (1, 1)])
    found = result.best()
    assert (found.index, found.diverged, found.value) == (0, 1, pytest.approx(0.9))
    lost = make([last(0.5)], diverged=[(0, 0)]).best()
    assert math.isnan(lost.value)


def test_a_number_that_a_diverged_run_still_has_does_not_count():
    result = make([last(0.2, 0.4, 0.9)])
    result.diverged_at[0, 2] = 20
    assert result.best(statistic="max").value == pytest.approx(0.4)


def test_who_was_stopped_early_loses_against_who_was_not():
    curves = [[[0.9, 0.9, 0.9]], [[0.1, 0.2, 0.3]], [[0.95, 0.95, 0.95]]]
    result = make(curves, steps=(10, 20, 30), pruned={(0, 0): 20, (2, 0): 10})
    assert result.table().index.tolist() == [1, 0, 2]
    assert result.table()["pruned"].tolist() == [0, 1, 1]
    assert result.table()["trained"].tolist() == [30, 20, 10]
    assert result.best().index == 1
    # Who diverged comes after who was stopped.
    result = make([[[0.9, 0.9, 0.9]], [[0.1, 0.1, 0.1]]], steps=(10, 20, 30), pruned={(1, 0): 10}, diverged=[(0, 0)])
    assert result.best().index == 1


def test_ties_go_to_who_cost_less_then_to_the_earlier():
    result = make([last(0.5), last(0.5), last(0.5)])
    assert result.best().index == 0
    cheaper = dataclasses.replace(result, cost=np.array([[20], [15], [15]]))
    assert cheaper.best().index == 1
    assert cheaper.best().cost == 15
    assert cheaper.table().index.tolist() == [1, 2, 0]


def test_bad_arguments():
    result = make([last(0.5)])
    with pytest.raises(KeyError, match=r"no metric 'f1'; there are \['test_accuracy'\]"):
        result.best("f1")
    with pytest.raises(ValueError, match="mode must be 'max' or 'min', not 'most'"):
        result.best(mode="most")
    with pytest.raises(ValueError, match=r"statistic must be one of \['lower', 'max', .*not 'mode'"):
        result.best(statistic="mode")


def test_the_default_metric():
    for metrics, expected in {
        ("train_loss", "test_loss", "test_accuracy"): "test_accuracy",
        ("train_loss", "reward", "test_loss"): "test_loss",
        ("train_loss", "reward"): "reward",
        ("train_loss",): "train_loss",
    }.items():
        result = make([last(0.5)])
        values = result.metrics.pop("test_accuracy")
        result.metrics.update(dict.fromkeys(metrics, values))
        assert expected in result.table()
