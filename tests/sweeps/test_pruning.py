import json
import math
import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from momentum_optax.sweeps import Hyperband, MedianStopping, Pruning, SuccessiveHalving

LOST = -math.inf
RULES = [SuccessiveHalving(2), SuccessiveHalving(1, 1.5), Hyperband(1, 9), Hyperband(2, 16, 2), MedianStopping(1, 1)]


def survivors(rule, step, scores, alive=None):
    """The indices of those that go on; `scores` may be those of one evaluation."""
    scores = np.array([[x] if np.isscalar(x) else x for x in scores], float)
    return rule.keep(step, scores, np.ones(len(scores), bool) if alive is None else alive).nonzero()[0].tolist()


def history(rule, steps, scores):
    """How many points are left after each evaluation, and whether one was stopped at it."""
    alive, left = np.ones(len(scores), bool), []
    for i, step in enumerate(steps):
        alive = rule.keep(step, scores[:, : i + 1], alive)
        left.append(int(alive.sum()))
    return left


# References, written from the papers with lists only.


def halving_reference(step, rows, alive, min_steps, factor):
    left, milestone = len(rows), min_steps
    while milestone <= step and left > 1:
        left, milestone = max(1, math.floor(left / factor)), milestone * factor
    if step < min_steps:
        return [i for i in range(len(rows)) if alive[i]]
    able = [i for i in range(len(rows)) if alive[i] and rows[i][-1] != LOST]
    return sorted(sorted(able, key=lambda i: (-rows[i][-1], i))[:left])


def median_reference(step, rows, alive, min_steps, min_points):
    if step < min_steps:
        return [i for i in range(len(rows)) if alive[i]]
    able = [i for i in range(len(rows)) if alive[i] and rows[i][-1] != LOST]
    kept = []
    for i in able:
        others = [statistics.fmean(rows[j]) for j in able if j != i]
        if len(others) < min_points or max(rows[i]) >= statistics.median(others):
            kept.append(i)
    return kept


# Multiples of 1/8, so that averages of up to four are exact and there are ties.
numbers = st.integers(-16, 16).map(lambda x: x / 8)


@st.composite
def sweeps(draw, score=numbers):
    points, evaluations = draw(st.integers(1, 30)), draw(st.sampled_from([1, 2, 4]))
    rows = [[draw(score) for _ in range(evaluations)] for _ in range(points)]
    for row in rows:
        if draw(st.integers(0, 5)) == 0:
            row[-1] = LOST
    return draw(st.integers(1, 40)), rows, draw(st.lists(st.booleans(), min_size=points, max_size=points))


@given(sweeps(), st.integers(1, 9), st.sampled_from([1.5, 2, 3, 4]))
@settings(deadline=None)
def test_successive_halving_is_the_reference(sweep, min_steps, factor):
    rule = SuccessiveHalving(min_steps, factor)
    assert survivors(rule, *sweep) == halving_reference(*sweep, min_steps, factor)


@given(sweeps(), st.integers(1, 9), st.integers(1, 5))
@settings(deadline=None)
def test_median_stopping_is_the_reference(sweep, min_steps, min_points):
    assert survivors(MedianStopping(min_steps, min_points), *sweep) == median_reference(*sweep, min_steps, min_points)


@pytest.mark.parametrize("rule", RULES)
@given(sweep=sweeps())
@settings(deadline=None, max_examples=50)
def test_what_goes_on_was_alive_and_asking_again_changes_nothing(rule, sweep):
    step, rows, alive = sweep
    scores, alive = np.array(rows), np.array(alive)
    before = scores.copy(), alive.copy()
    kept = rule.keep(step, scores, alive)
    assert kept.dtype == bool
    assert not (kept & ~alive).any()
    np.testing.assert_array_equal(kept, rule.keep(step, scores, alive))
    if not isinstance(rule, MedianStopping):  # of fewer points the median is another
        np.testing.assert_array_equal(kept, rule.keep(step, scores, kept))
    np.testing.assert_array_equal(before[0], scores)
    np.testing.assert_array_equal(before[1], alive)
    assert not np.shares_memory(kept, alive)
    if (alive & (scores[:, -1] > LOST)).any():
        assert kept.any()


@pytest.mark.parametrize("rule", [rule for rule in RULES if not isinstance(rule, Hyperband)])
@given(data=st.data(), step=st.integers(1, 40))
@settings(deadline=None, max_examples=50)
def test_the_order_of_points_matters_only_in_ties(rule, data, step):
    values = data.draw(st.lists(st.integers(-1000, 1000), min_size=1, max_size=30, unique=True))
    order = np.array(data.draw(st.permutations(range(len(values)))))
    scores = np.array(values, float)[:, None] + [0, 0.25]
    alive = np.ones(len(values), bool)
    np.testing.assert_array_equal(rule.keep(step, scores, alive)[order], rule.keep(step, scores[order], alive))


def test_a_third_goes_on_at_each_milestone():
    scores = np.random.default_rng(0).uniform(size=(100, 30))
    steps = range(10, 310, 10)
    assert history(SuccessiveHalving(10, 3), steps, scores) == [33, 33, *[11] * 6, *[3] * 18, *[1] * 4]


def test_a_milestone_counts_at_the_next_evaluation_and_two_count_twice():
    scores = np.random.default_rng(0).uniform(size=(27, 3))
    assert history(SuccessiveHalving(10, 3), [9, 25, 100], scores) == [27, 9, 1]
    assert history(SuccessiveHalving(10, 3), [29, 30, 31], scores) == [9, 3, 3]
    assert history(SuccessiveHalving(10, 3), [100], scores) == [1]
    assert survivors(SuccessiveHalving(1), 10**9, [0.0]) == [0]


def test_ties_keep_the_earlier_point():
    assert survivors(SuccessiveHalving(1, 2), 1, [0.5, 0.7, 0.5, 0.5, 0.7, 0.5]) == [0, 1, 4]


def test_only_the_last_evaluation_counts_in_halving():
    assert survivors(SuccessiveHalving(1, 2), 1, [[0.9, 0.1], [0.0, 0.2]]) == [1]


def test_diverged_points_go_and_take_no_place():
    rule = SuccessiveHalving(1, 3)
    assert survivors(rule, 1, [LOST, 0.1, LOST, 0.2, LOST, 0.3, LOST, LOST, 0.0]) == [1, 3, 5]
    assert survivors(rule, 1, [LOST, 0.1, LOST, LOST, LOST, LOST]) == [1]
    # Two of nine are left, and the next milestone allows one.
    alive = np.array([False, True, False, True] + [False] * 5)
    assert survivors(rule, 2, [0.0, 0.1, 0.0, LOST] + [0.0] * 5, alive) == [1]


# Hyperband, Algorithm 1 with R = 81 and eta = 3: n_i and r_i of each bracket.
TABLE = {
    4: [(81, 1), (27, 3), (9, 9), (3, 27), (1, 81)],
    3: [(34, 3), (11, 9), (3, 27), (1, 81)],
    2: [(15, 9), (5, 27), (1, 81)],
    1: [(8, 27), (2, 81)],
    0: [(5, 81)],
}


def test_hyperband_is_the_table_of_the_paper():
    rule = Hyperband(min_steps=1, max_steps=81, factor=3)
    points = sum(rounds[0][0] for rounds in TABLE.values())
    brackets = rule.brackets(points)
    scores = np.random.default_rng(0).permutation(points).astype(float)[:, None]
    alive = np.ones(points, bool)
    found = {s: [] for s in TABLE}
    for step in range(1, 82):
        after = rule.keep(step, scores, alive)
        for s in TABLE:
            inside = brackets == s
            if step == 81 or after[inside].sum() < alive[inside].sum():
                found[s].append((int(alive[inside].sum()), step))
                # Of each bracket the best go on.
                kept, lost = scores[inside & after], scores[inside & alive & ~after]
                assert kept.min() > lost.max(initial=LOST)
        assert step < 81 or (after == alive).all()
        alive = after
    assert found == TABLE
    assert (rule.keep(10**6, scores, alive) == alive).all()


@pytest.mark.parametrize(
    ("rule", "points", "sizes"),
    [
        (Hyperband(1, 81), 286, [162, 68, 30, 16, 10]),
        (Hyperband(1, 81), 10, [6, 2, 1, 1, 0]),
        (Hyperband(1, 81), 1, [1, 0, 0, 0, 0]),
        (Hyperband(1, 8, 2), 22, [8, 6, 4, 4]),
        (Hyperband(10, 89), 7, [4, 3]),  # 3 : 2, for 90 steps would be needed for a third bracket
        (Hyperband(10, 90), 17, [9, 5, 3]),
        (Hyperband(1, 243), 1, [1, 0, 0, 0, 0, 0]),  # log(243) / log(3) is below 5
    ],
)
def test_points_are_divided_in_the_ratio_of_the_paper(rule, points, sizes):
    assert np.bincount(rule.brackets(points), minlength=len(sizes))[::-1].tolist() == sizes


def test_milestones_of_brackets_count_back_from_the_end():
    rule = Hyperband(10, 100, 3)  # 11.1 and 33.3 steps in bracket 2, and 33.3 in bracket 1
    brackets = rule.brackets(34)
    scores = np.random.default_rng(0).uniform(size=(34, 10))
    for s, expected in {2: [18, 6, 6, 2], 1: [10, 10, 10, 3], 0: [6, 6, 6, 6]}.items():
        alive, left = np.ones(34, bool), []
        for i, step in enumerate([11, 12, 33, 34]):
            alive = rule.keep(step, scores[:, : i + 1], alive)
            left.append(int(alive[brackets == s].sum()))
        assert left == expected


@pytest.mark.parametrize("shape", [(5, 5), (12, 12), (8, 13), (21, 4), (16, 16)])
def test_no_bracket_misses_a_part_of_a_grid(shape):
    """It is like a random sample: no row or column is far from its share."""
    rule = Hyperband(1, 9)
    brackets = rule.brackets(math.prod(shape)).reshape(shape)
    for s in range(3):
        share = (brackets == s).mean()
        for axis in (0, 1):
            counts = (brackets == s).sum(axis)
            spread = math.sqrt(shape[axis] * share * (1 - share))
            assert abs(counts - shape[axis] * share).max() < 3.2 * spread


def test_median_stopping_compares_the_best_with_averages():
    # Averages 0.3, 0.2, 0.5, 0.4; the best are 0.4, 0.3, 0.9 and 0.4.
    rows = [[0.2, 0.4], [0.3, 0.1], [0.9, 0.1], [0.4, 0.4]]
    assert survivors(MedianStopping(1, 3), 1, rows) == [0, 2, 3]
    assert survivors(MedianStopping(1, 4), 1, rows) == [0, 1, 2, 3]
    assert survivors(MedianStopping(2, 3), 1, rows) == [0, 1, 2, 3]
    assert survivors(MedianStopping(2, 3), 2, rows) == [0, 2, 3]


def test_the_median_leaves_out_what_was_stopped_or_diverged():
    rows = [[0.5, 0.5], [0.4, 0.4], [0.9, LOST], [0.9, LOST], [0.9, 0.9], [0.6, 0.6]]
    alive = np.array([True, True, True, False, False, True])
    assert survivors(MedianStopping(1, 2), 1, rows, alive) == [0, 5]  # 0.5 against 0.4 and 0.6
    assert survivors(MedianStopping(1, 3), 1, rows, alive) == [0, 1, 5]


@pytest.mark.parametrize("value", [0.1, 0.3, 1 / 3])
def test_points_that_never_differ_go_on(value):
    assert survivors(MedianStopping(1), 1, [[value] * 3] * 5) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("rule", [SuccessiveHalving(2), MedianStopping(2), Hyperband(2, 18)])
def test_what_diverged_goes_from_min_steps_on_and_all_may(rule):
    assert survivors(rule, 1, [LOST] * 9) == list(range(9))
    assert survivors(rule, 2, [LOST] * 9) == []
    assert survivors(rule, 17, [LOST] * 8 + [0.0]) == [8]


@pytest.mark.parametrize("rule", RULES)
def test_rules_describe_themselves(rule):
    assert isinstance(rule, Pruning)
    described = json.loads(json.dumps(rule.describe()))
    assert described.pop("rule") == type(rule).__name__
    assert type(rule)(**described) == rule


def test_numbers_of_numpy_and_python_are_the_same_rule():
    assert SuccessiveHalving(np.int64(5), np.float32(3)).describe() == SuccessiveHalving(5, 3).describe()
    assert json.dumps(SuccessiveHalving(np.int64(5), 3).describe()) == json.dumps(SuccessiveHalving(5, 3.0).describe())


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: SuccessiveHalving(0), "min_steps must be a whole number of at least 1, not 0"),
        (lambda: SuccessiveHalving(1.5), r"min_steps must be a whole number of at least 1, not 1\.5"),
        (lambda: SuccessiveHalving(True), "min_steps must be a whole number"),
        (lambda: SuccessiveHalving(1, 1), "factor must be a finite number above 1, such as 3, not 1"),
        (lambda: SuccessiveHalving(1, math.inf), "factor must be a finite number above 1, such as 3, not inf"),
        (lambda: SuccessiveHalving(1, math.nan), "factor must be a finite number above 1"),
        (lambda: SuccessiveHalving(1, "3"), "factor must be a finite number above 1, such as 3, not '3'"),
        (lambda: Hyperband(1, 9, True), "factor must be a finite number above 1"),
        (lambda: Hyperband(0, 9), "min_steps must be a whole number"),
        (lambda: Hyperband(1, 9.0), "max_steps must be a whole number"),
        (lambda: Hyperband(10, 29), r"max_steps must be at least min_steps [*] factor = 30.*but it is 29"),
        (lambda: MedianStopping(0), "min_steps must be a whole number"),
        (lambda: MedianStopping(1, 0), "min_points must be a whole number of at least 1, not 0"),
    ],
)
def test_bad_arguments(make, words):
    with pytest.raises(ValueError, match=words):
        make()


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(
    ("scores", "alive", "words"),
    [
        ([1.0], [True], r"not \(1,\) and \(1,\)"),
        ([[1.0]], [True, True], r"not \(1, 1\) and \(2,\)"),
        ([[], []], [True, True], r"not \(2, 0\) and \(2,\)"),
        ([[math.nan]], [True], "one is NaN"),
        ([[math.inf]], [True], "one is NaN or [+]inf"),
    ],
)
def test_bad_scores(rule, scores, alive, words):
    with pytest.raises(ValueError, match=words):
        rule.keep(1, np.array(scores), np.array(alive))
