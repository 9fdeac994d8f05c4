import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from momentum_optax.sweeps import Population, choice, linear, log, one_minus_log

LOST = -math.inf
RATE, BETA = log(1e-3, 1), one_minus_log(0, 0.999)


def population(every=10, scales=None, **options):
    return Population(every, {"learning_rate": RATE, "beta": BETA} if scales is None else scales, **options)


def hypers(shape, seed=0):
    rng = np.random.default_rng(seed)
    names = {"learning_rate": (1e-3, 1), "beta": (0, 0.999), "nu": (0, 1)}
    return {name: rng.uniform(*ends, shape).astype(np.float32) for name, ends in names.items()}


def sources_of(rule, scores, seed=0):
    scores = np.array(scores, float)
    return rule.evolve(10, scores, hypers(scores.shape), np.random.default_rng(seed))[0]


def reference(scores, count):
    """From where each member of one population may copy, by the paper."""
    order = sorted(range(len(scores)), key=lambda i: (-scores[i], i))
    best = [i for i in order[:count] if scores[i] != LOST]
    worst = set(order[len(order) - count :]) | {i for i in order if scores[i] == LOST}
    return [set(best) if best and i in worst else {i} for i in range(len(scores))]


@given(
    st.lists(st.one_of(st.integers(0, 9).map(float), st.just(LOST)), min_size=2, max_size=25),
    st.sampled_from([0.1, 0.2, 0.25, 0.5]),
    st.integers(0, 2**32),
)
@settings(deadline=None)
def test_the_worst_copy_the_best(scores, fraction, seed):
    allowed = reference(scores, max(1, math.floor(round(fraction * len(scores), 6))))
    found = sources_of(population(fraction=fraction), [scores], seed)[0]
    assert all(int(source) in among for source, among in zip(found, allowed, strict=True))


@pytest.mark.parametrize(
    ("fraction", "points", "copies"), [(0.2, 10, 2), (0.2, 9, 1), (0.2, 3, 1), (0.5, 5, 2), (0.29, 100, 29)]
)
def test_a_fraction_is_rounded_down_and_at_least_one(fraction, points, copies):
    found = sources_of(population(fraction=fraction), [np.arange(points)])[0]
    assert (found != np.arange(points)).sum() == copies


def test_all_of_the_best_are_copied_equally_often():
    scores = np.tile(np.arange(20.0), (3000, 1))
    found = sources_of(population(), scores)
    counts = np.bincount(found[:, :4].ravel(), minlength=20)
    assert counts[:16].sum() == 0
    assert abs(counts[16:] - 3000).max() < 5 * math.sqrt(3000)


def test_rows_are_populations_of_their_own():
    found = sources_of(population(), [[3, 1, 2], [1, 2, 3], [LOST, 5, LOST], [LOST] * 3])
    assert found.tolist() == [[0, 0, 2], [2, 1, 2], [1, 1, 1], [0, 1, 2]]


def test_who_copies_nothing_keeps_all_and_the_rest_is_copied():
    hyper = hypers((4, 10))
    before = {name: values.copy() for name, values in hyper.items()}
    scores = np.random.default_rng(1).uniform(size=(4, 10))
    sources, found = population().evolve(10, scores, hyper, np.random.default_rng(0))
    moved = sources != np.arange(10)
    assert moved.sum() == 8
    assert list(found) == ["learning_rate", "beta", "nu"]
    for name, values in found.items():
        assert values.dtype == np.float32
        np.testing.assert_array_equal(values[~moved], hyper[name][~moved])
        np.testing.assert_array_equal(hyper[name], before[name])
    np.testing.assert_array_equal(found["nu"], np.take_along_axis(hyper["nu"], sources, 1))


@pytest.mark.parametrize("factors", [(0.8, 1.2), (0.5, 1.0, 3.0)])
def test_values_move_by_a_factor_on_their_own_scale(factors):
    scales = {"learning_rate": RATE, "beta": BETA, "nu": linear(-2, 2)}
    hyper = {"learning_rate": 0.1, "beta": 0.9, "nu": -0.5}
    hyper = {name: np.full((400, 5), value, np.float32) for name, value in hyper.items()}
    rule = population(scales=scales, factors=factors, resample=0.0)
    sources, found = rule.evolve(10, np.tile(np.arange(5), (400, 1)), hyper, np.random.default_rng(0))
    moved = sources != np.arange(5)
    expected = {"learning_rate": 0.1 * np.array(factors), "nu": -0.5 * np.array(factors)}
    expected["beta"] = 1 - 0.1 * np.array(factors)
    which = {}
    for name, values in expected.items():
        gaps = abs(found[name][moved][:, None] - values)
        which[name] = gaps.argmin(axis=1)
        assert gaps.min(axis=1).max() < 1e-7
        assert np.bincount(which[name]).min() > 400 / len(factors) / 2
    # Each on its own.
    assert 0.3 < (which["learning_rate"] == which["beta"]).mean() < 0.7


def test_values_stay_between_the_ends():
    hyper = {"learning_rate": np.float32([[0.9, 0.0012]] * 50), "beta": np.float32([[0.9989, 0.05]] * 50)}
    rule = population(resample=0.0)
    for scores, rate, beta in [([1, 0], (0.72, 1.0), (0.999, 0.99868)), ([0, 1], (0.001, 0.00144), (0.0, 0.24))]:
        sources, found = rule.evolve(10, np.tile(scores, (50, 1)), hyper, np.random.default_rng(0))
        moved = sources != np.arange(2)
        for name, ends in (("learning_rate", rate), ("beta", beta)):
            values = found[name][moved]
            assert np.abs(values[:, None] - np.float32(ends)).min(axis=1).max() < 1e-7
            assert len(np.unique(values)) == 2


def test_a_beta_never_becomes_one_nor_a_rate_zero():
    almost = float(np.nextafter(np.float32(1), np.float32(0)))
    least = float(np.finfo(np.float32).tiny)
    rule = population(
        scales={"beta": one_minus_log(0, almost), "rate": log(least, 1)}, factors=(0.01, 0.5), fraction=0.5
    )
    hyper = {"beta": np.full((8, 8), 0.9, np.float32), "rate": np.full((8, 8), 1e-30, np.float32)}
    rng = np.random.default_rng(0)
    for _ in range(30):
        _, hyper = rule.evolve(10, rng.normal(size=(8, 8)), hyper, rng)
        assert hyper["beta"].max() < 1
        assert hyper["beta"].min() >= 0
        assert hyper["rate"].min() >= np.float32(least)
    assert hyper["beta"].max() == np.float32(almost)


def test_some_values_are_drawn_anew_from_the_scale():
    scales = {"learning_rate": RATE, "beta": BETA}
    hyper = {"learning_rate": np.full((4000, 2), 0.5, np.float32), "beta": np.full((4000, 2), 0.5, np.float32)}
    scores = np.tile([1.0, 0.0], (4000, 1))
    _, found = population(scales=scales).evolve(10, scores, hyper, np.random.default_rng(0))
    rate = found["learning_rate"][:, 1]
    anew = ~np.isin(rate, np.float32([0.4, 0.6]))
    assert abs(anew.mean() - 0.25) < 0.03
    assert abs((rate[~anew] < 0.5).mean() - 0.5) < 0.03
    # Uniform on the scale, and each hyperparameter on its own.
    fractions = np.log(rate[anew] / 1e-3) / np.log(1e3)
    assert np.histogram(fractions, 4, (0, 1))[0].min() > 200
    other = ~np.isin(found["beta"][:, 1], np.float32([0.4, 0.6]))
    assert abs((anew & other).mean() - 0.0625) < 0.02
    _, found = population(resample=1.0).evolve(10, scores, hyper, np.random.default_rng(0))
    assert len(np.unique(found["learning_rate"][:, 1])) > 3900


def test_the_same_generator_gives_the_same_and_no_run_disturbs_another():
    rule, hyper = population(), hypers((3, 6))
    scores = np.array([[5, 4, 3, 2, 1, 0]] * 3, float)
    a, b = (rule.evolve(10, scores, hyper, np.random.default_rng(7)) for _ in range(2))
    other = scores.copy()
    other[0] = LOST
    c = rule.evolve(10, other, hyper, np.random.default_rng(7))
    for found in (b, c):
        rows = slice(None) if found is b else slice(1, None)
        np.testing.assert_array_equal(a[0][rows], found[0][rows])
        for name in hyper:
            np.testing.assert_array_equal(a[1][name][rows], found[1][name][rows])
    assert c[0][0].tolist() == [0, 1, 2, 3, 4, 5]


def test_the_toy_problem_of_the_paper():
    """Two members, each of which alone sees half of the objective and gets to 0.39 of 1.2."""
    rule = Population(5, {"a": linear(0, 1), "b": linear(0, 1)}, fraction=0.5, resample=1.0)

    def train(evolving):
        hyper = {"a": np.float32([[1, 0]]), "b": np.float32([[0, 1]])}
        a, b = np.full((2, 1, 2), 0.9)
        for step in range(1, 301):
            a, b = a - 0.02 * 2 * hyper["a"] * a, b - 0.02 * 2 * hyper["b"] * b
            if evolving and rule.due(step):
                rng = np.random.default_rng(step)
                sources, hyper = rule.evolve(step, 1.2 - a**2 - b**2, hyper, rng)
                a, b = (np.take_along_axis(x, sources, 1) for x in (a, b))
        return (1.2 - a**2 - b**2).max()

    assert train(evolving=False) == pytest.approx(0.39, abs=1e-3)
    assert train(evolving=True) > 1.19


def test_it_is_due_every_so_many_steps():
    assert [step for step in range(31) if population().due(step)] == [10, 20, 30]


def test_it_describes_itself():
    described = population(np.int64(5), factors=np.float32([0.5, 2]), scales={"beta": one_minus_log(0, 0.5, count=3)})
    assert json.loads(json.dumps(described.describe())) == {
        "rule": "Population",
        "every": 5,
        "scales": {"beta": {"kind": "one_minus_log", "low": 0.0, "high": 0.5}},
        "fraction": 0.2,
        "factors": [0.5, 2.0],
        "resample": 0.25,
    }


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"every": 0}, "every must be a whole number of at least 1, not 0"),
        ({"scales": {}}, "scales must map hyperparameters to scales.*not {}"),
        ({"scales": ["beta"]}, r"scales must map hyperparameters to scales.*not \['beta'\]"),
        ({"scales": {"beta": choice([0.5, 0.9])}}, "scales: beta needs a scale with two ends.*not Choice"),
        ({"scales": {"beta": (0, 1)}}, r"scales: beta needs a scale with two ends.*not \(0, 1\)"),
        ({"fraction": 0}, "fraction must be above 0 and at most 0.5, not 0"),
        ({"fraction": 0.6}, r"fraction must be above 0 and at most 0.5, not 0\.6"),
        ({"fraction": math.nan}, "fraction must be above 0 and at most 0.5, not nan"),
        ({"factors": ()}, r"factors must be one or more numbers, such as \(0\.8, 1\.2\), not \(\)"),
        ({"factors": 1.2}, r"factors must be one or more numbers.*not 1\.2"),
        ({"factors": (0.8, 0)}, "each of factors must be finite and above 0, not 0"),
        ({"factors": "ab"}, "each of factors must be finite and above 0, not 'a'"),
        ({"factors": (math.inf,)}, "each of factors must be finite and above 0, not inf"),
        ({"resample": 1.1}, r"resample must be a probability, from 0 to 1, not 1\.1"),
        ({"resample": True}, "resample must be a probability, from 0 to 1, not True"),
    ],
)
def test_bad_arguments(options, words):
    with pytest.raises(ValueError, match=words):
        population(**options)


@pytest.mark.parametrize(
    ("scores", "hyper", "words"),
    [
        (
            np.zeros((2, 3)),
            {"beta": np.zeros((2, 3))},
            r"no number of the points is called 'learning_rate'.*\['beta'\]",
        ),
        (np.zeros((2, 1)), hypers((2, 1)), "at least two points of one program, but there is 1"),
        (np.zeros(3), hypers(3), r"scores must have the shape \[rows, points\], not \(3,\)"),
        (np.zeros((2, 3)), hypers((3, 3)), r"learning_rate must have the shape of scores, \(2, 3\), not \(3, 3\)"),
        (np.full((2, 3), math.nan), hypers((2, 3)), "one is NaN"),
    ],
)
def test_bad_scores_and_hyperparameters(scores, hyper, words):
    with pytest.raises(ValueError, match=words):
        population().evolve(10, scores, hyper, np.random.default_rng(0))


def test_names_and_numbers_can_be_checked_before():
    population().check(["learning_rate", "beta"], 2)
    with pytest.raises(ValueError, match="called 'beta'"):
        population().check(["learning_rate"], 2)
    with pytest.raises(ValueError, match="at least two points"):
        population().check(["learning_rate", "beta"], 1)
