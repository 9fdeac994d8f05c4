import dataclasses
import math

import numpy as np
import pytest
from results import make
from scipy import stats

from momentum_optax.sweeps import join
from momentum_optax.sweeps.results.comparison import interval


def final(values, **options):
    """A result with the given last evaluations, `[points, seeds(, folds)]`."""
    return make(np.asarray(values)[..., None], steps=[10], **options)


def test_the_difference_is_taken_seed_by_seed():
    result = final([[0.1, 0.5, 0.9, 0.3], [0.2, 0.6, 0.8, 0.3]])
    found = result.compare(1, 0)
    assert (found.a, found.b) == (result.points[1], result.points[0])
    assert found.difference == pytest.approx(0.025)
    assert found.low < 0.025 < found.high
    assert (found.wins, found.pairs, found.diverged) == (2.5 / 4, 4, (0, 0))
    # Seeds differ far more than the methods do, which only pairs can tell.
    seeds = np.linspace(0, 1, 8)
    paired = final([seeds + [0.011, 0.009] * 4, seeds]).compare(0, 1)
    assert 0.009 <= paired.low < paired.difference < paired.high <= 0.0111
    assert "a better in 100% of 8 pairs" in str(paired)


def test_smaller_wins_where_it_is_better():
    result = final([[0.1, 0.2], [0.3, 0.4]], metric="test_loss")
    assert result.compare(0, 1).wins == 1
    assert result.compare(0, 1).difference == pytest.approx(-0.2)
    assert result.compare(0, 1, mode="max").wins == 0


def test_a_run_that_diverged_loses_and_its_pair_has_no_difference():
    result = make([[[0.5, 0.5]] * 5, [[0.4, 0.4]] * 5], diverged=[(0, 0), (0, 1), (1, 1), (1, 2), (1, 3)])
    found = result.compare(0, 1)
    # Lost, lost both, won against a diverged run twice, won.
    assert found.wins == pytest.approx((0 + 0.5 + 1 + 1 + 1) / 5)
    assert found.difference == pytest.approx(0.1)
    assert found.diverged == (2, 3)
    assert math.isnan(found.low)
    nothing = make([[[0.5, 0.5]], [[0.4, 0.4]]], diverged=[(0, 0), (1, 0)]).compare(0, 1)
    assert math.isnan(nothing.difference)
    assert math.isnan(nothing.high)


def test_methods_stand_for_their_best_points():
    a, b = final([[0.1] * 3, [0.7] * 3], method="a"), final([[0.6] * 3, [0.2] * 3], method="b")
    result = join([a, b])
    found = result.compare("a", "b")
    assert (found.a, found.b) == (result.points[1], result.points[2])
    assert found.difference == pytest.approx(0.1)
    assert result.compare({"method": "a", "learning_rate": 0.1}, 3).difference == pytest.approx(-0.1)
    assert result.compare({"method": "a"}, {"learning_rate": 0.2, "method": "b"}).b == result.points[3]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("x", 0), r"a: no point has \{'method': 'x'\}; there are \{'method': \['m'\]\}"),
        ((0, {"beta": 0.5}), r"b: no point has \{'beta': 0.5\}; there are \{'beta': \[0.9\]\}"),
        ((0, 2), "b must be from 0 to 1, the last point, not 2"),
        ((-1, 0), "a must be from 0 to 1"),
        ((1, 1), "a and b are the same point"),
        ((0, 1, None, "best"), "mode must be"),
    ],
)
def test_bad_points(arguments, words):
    with pytest.raises(ValueError, match=words):
        final([[0.1], [0.2]]).compare(*arguments)


def test_bad_numbers():
    from momentum_optax.sweeps.results.comparison import compare

    result = final([[0.1], [0.2]])
    with pytest.raises(ValueError, match="confidence must be between 0 and 1, not 95"):
        compare(result, 0, 1, confidence=95)
    with pytest.raises(ValueError, match="resamples must be at least 1, not 0"):
        compare(result, 0, 1, resamples=0)
    with pytest.raises(KeyError, match="no metric 'f1'"):
        result.compare(0, 1, "f1")


def test_folds_are_paired_too():
    rng = np.random.default_rng(1)
    hard = rng.normal(size=(1, 5, 4))
    result = final(np.concatenate([hard + 0.1, hard]))
    found = result.compare(0, 1)
    assert found.pairs == 20
    assert found.difference == pytest.approx(0.1)
    assert found.high - found.low < 1e-6
    # In another order of the folds the pairs are others.
    mixed = dataclasses.replace(result, metrics={"test_accuracy": result.metrics["test_accuracy"].copy()})
    mixed.metrics["test_accuracy"][0] = mixed.metrics["test_accuracy"][0, :, ::-1]
    assert mixed.compare(0, 1).high - mixed.compare(0, 1).low > 0.3


def test_the_interval_holds_the_mean_as_often_as_it_says():
    rng = np.random.default_rng(0)
    # Of plain percentile intervals, 85 and 89 % do.
    for seeds, least in ((5, 0.89), (10, 0.92)):
        ends = np.array([interval(rng.normal(size=(seeds, 1)), 0.95, 1000) for _ in range(600)])
        covered = np.mean((ends[:, 0] <= 0) & (ends[:, 1] >= 0))
        assert least <= covered <= 0.98, (seeds, covered)


def test_the_interval_of_many_numbers_is_the_textbook_one():
    values = np.random.default_rng(0).normal(3, 2, 400)
    expected = stats.t.interval(0.9, 399, values.mean(), stats.sem(values))
    np.testing.assert_allclose(interval(values[:, None], 0.9), expected, atol=0.01)
    np.testing.assert_allclose(interval(values[None], 0.9), expected, atol=0.01)


def test_folds_in_common_do_not_count_as_many_seeds():
    """A difference that depends on the fold alone is not better known for being measured with more seeds."""
    folds = np.random.default_rng(0).normal(size=(1, 5))
    width = np.diff(interval(np.repeat(folds, 50, axis=0), 0.95))
    np.testing.assert_allclose(width, np.diff(interval(folds, 0.95)), rtol=0.05)


def test_the_interval_is_the_same_every_time():
    values = np.random.default_rng(0).normal(size=(6, 2))
    assert interval(values, 0.95) == interval(values, 0.95)
    values[0, 1] = np.nan
    assert np.isfinite(interval(values, 0.95)).all()
