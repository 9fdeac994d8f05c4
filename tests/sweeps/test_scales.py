import decimal
import random as stdlib_random

import numpy as np
import pytest

from momentum_optax.sweeps import choice, grid, integers, linear, log, one_minus_log, zip_points


def values(kind):
    return [point["x"] for point in grid(x=kind)]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (linear(0, 1, count=11), [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]),
        (linear(-1, 1, 2), [-1.0, 1.0]),
        (linear(0, 0.3, 4), [0.0, 0.1, 0.2, 0.3]),
        (linear(0.1, 0.4, 5), [0.1, 0.175, 0.25, 0.325, 0.4]),
        (log(1e-3, 1, count=4), [0.001, 0.01, 0.1, 1.0]),
        (log(1, 16, count=5), [1.0, 2.0, 4.0, 8.0, 16.0]),
        (one_minus_log(0, 0.999, count=4), [0.0, 0.9, 0.99, 0.999]),
        (one_minus_log(0.5, 0.875, count=3), [0.5, 0.75, 0.875]),
        (integers(1, 4), [1, 2, 3, 4]),
        (integers(1, 9, count=3), [1, 5, 9]),
        (integers(-3, 3, count=6), [-3, -2, -1, 1, 2, 3]),
        (choice(["a", True, 2]), ["a", True, 2]),
        (choice([1, 0.5]), [1.0, 0.5]),
    ],
)
def test_values_of_a_grid_are_exact(kind, expected):
    assert values(kind) == expected
    assert list(map(type, values(kind))) == list(map(type, expected))


@pytest.mark.parametrize(
    ("scale", "uniform"),
    [
        (linear(-2, 3), lambda x: x),
        (log(1e-5, 10), np.log),
        (one_minus_log(0.1, 0.99999), lambda x: np.log1p(-x)),
    ],
)
def test_a_fraction_is_a_fraction_of_the_scale(scale, uniform):
    fractions = np.linspace(0, 1, 33)
    found = np.array([scale.at(fraction) for fraction in fractions.tolist()])
    assert (found[0], found[-1]) == (scale.low, scale.high)
    assert (np.diff(found) > 0).all()
    way = (uniform(found) - uniform(scale.low)) / (uniform(scale.high) - uniform(scale.low))
    np.testing.assert_allclose(way, fractions, atol=1e-9)


def test_no_value_leaves_its_interval():
    rng = stdlib_random.Random(0)
    for _ in range(200):
        low, high = sorted((rng.uniform(0, 1), rng.uniform(0, 0.9999)))
        for scale in (linear(low, high), log(low, high), one_minus_log(low, high)):
            for fraction in (0.0, 1e-16, rng.random(), 1 - 2**-53, 1.0):
                assert low <= scale.at(fraction) <= high
    # 1e23 lies half-way between two floats, so that the least error would round to the one above.
    assert log(1, 1e23).at(1.0) == 1e23


def test_the_callers_decimal_arithmetic_does_not_matter():
    with decimal.localcontext(prec=3, traps=[decimal.Inexact]):
        assert values(log(1e-3, 1, count=4)) == [0.001, 0.01, 0.1, 1.0]


def test_options_have_equal_parts():
    kind = integers(1, 3)
    assert [kind.at(fraction) for fraction in (0.0, 0.33, 0.34, 0.66, 0.67, 0.999, 1.0)] == [1, 1, 2, 2, 3, 3, 3]


def test_an_interval_of_very_many_integers_costs_nothing():
    assert integers(0, 10**12).at(0.5) == 5 * 10**11


def test_zip_goes_through_lists_and_scales_side_by_side():
    points = zip_points(learning_rate=log(0.01, 1, count=3), beta=[0.9, 0.9, 0.0])
    assert [tuple(point.values()) for point in points] == [(0.01, 0.9), (0.1, 0.9), (1.0, 0.0)]


@pytest.mark.parametrize(
    ("lists", "words"),
    [
        ({"a": [1.0, 2.0], "b": [1.0]}, "must have the same length, but a has 2, b has 1"),
        ({"a": [1.0, 2.0, 1.0], "b": [3.0, 4.0, 3.0]}, r"Points 0 and 2 are the same, {'a': 1.0, 'b': 3.0}"),
        ({"a": []}, "a: give at least one value"),
        ({"a": log(1, 2)}, "a: a grid must know how many values to try; give log a count"),
        ({}, "at least one hyperparameter"),
    ],
)
def test_bad_zips(lists, words):
    with pytest.raises(ValueError, match=words):
        zip_points(**lists)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: linear(1, 1), "linear: low must be below high in float32, not 1.0 and 1.0"),
        (lambda: linear(1, 1 + 1e-9), "linear: low must be below high in float32"),
        (lambda: log(1, 0.1), "log: low must be below high in float32, not 1.0 and 0.1"),
        (lambda: log(0, 1), "log: low must be above 0 in float32, not 0.0"),
        (lambda: log(-1, 1), "log: low must be above 0"),
        (lambda: log(1e-60, 1), "log: low must be above 0 in float32, not 1e-60"),
        (lambda: one_minus_log(-0.1, 0.9), "one_minus_log: low must be at least 0, .* not -0.1 and 0.9"),
        (lambda: one_minus_log(0, 1), "one_minus_log: .* high below 1 in float32, not 0.0 and 1.0"),
        (lambda: one_minus_log(0, 1 - 1e-9), "one_minus_log: .* high below 1 in float32, not 0.0 and 0.999999999"),
        (lambda: one_minus_log(0.9, 0.5), "one_minus_log: low must be below high"),
        (lambda: linear("a", 1), "linear: low must be a number, not 'a'"),
        (lambda: linear(0, True), "linear: high must be a number, not True"),
        (lambda: linear(0, float("inf")), "linear: high: every value must be a finite number"),
        (lambda: linear(0, 1, count=1), "linear: count must be a whole number of at least 2, not 1"),
        (lambda: linear(0, 1, count=2.5), "linear: count must be a whole number of at least 2, not 2.5"),
        (lambda: integers(1, 1), "integers: low must be below high, not 1 and 1"),
        (lambda: integers(0.5, 2), "integers: low must be a whole number, not 0.5"),
        (lambda: integers(0, True), "integers: high must be a whole number, not True"),
        (lambda: integers(1, 3, count=4), "integers: count must be at most 3, .* not 4"),
        (lambda: integers(1, 3, count=1), "integers: count must be a whole number of at least 2"),
        (lambda: choice([]), "choice: give at least one value"),
        (lambda: choice(["a", "a"]), "choice: 'a' is given twice"),
        (lambda: choice("ab"), "choice: give a list of values to try, not 'ab'"),
        (lambda: grid(x=log(1, 2)), "x: a grid must know how many values to try; give log a count, such as 8"),
        (lambda: grid(x=linear(1, 1.000001, count=99)), "x: .* is given twice"),
    ],
)
def test_bad_scales(make, words):
    with pytest.raises(ValueError, match=words):
        make()
