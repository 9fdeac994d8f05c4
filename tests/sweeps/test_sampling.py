import math
import warnings

import numpy as np
import pytest
from scipy.stats import qmc

from momentum_optax.sweeps import choice, integers, linear, log, one_minus_log, random, sobol

SPACE = {
    "method": ["sgd", "heavy_ball"],
    "learning_rate": log(1e-4, 1),
    "layers": integers(1, 3),
    "beta": one_minus_log(0, 0.999),
}
SAMPLERS = [random, sobol]


def rows(points):
    return [dict(point) for point in points]


def fractions(points):
    """Back to fractions of the scales, `[points, 2]`."""
    rate = [math.log(p["learning_rate"] / 1e-4) / math.log(1e4) for p in points]
    beta = [math.log(1 - p["beta"]) / math.log(1 - 0.999) for p in points]
    return np.clip(np.stack([rate, beta], axis=1), 0, 1 - 1e-12)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_points_are_in_the_space_and_different(sampler):
    points = sampler(100, seed=3, **SPACE)
    assert points.names == tuple(SPACE)
    assert len(points) == len({tuple(point.values()) for point in points}) == 100
    for point in points:
        assert 1e-4 <= point["learning_rate"] <= 1
        assert 0 <= point["beta"] <= 0.999
        assert point["layers"] in (1, 2, 3)
        assert point["method"] in ("sgd", "heavy_ball")
    assert len(points.programs()) == 6


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_seed_is_one_draw_and_more_begin_with_the_fewer(sampler):
    assert rows(sampler(50, seed=1, **SPACE)) == rows(sampler(77, seed=1, **SPACE))[:50]
    assert rows(sampler(5, **SPACE)) == rows(sampler(5, seed=0, **SPACE))
    assert rows(sampler(5, seed=0, **SPACE)) != rows(sampler(5, seed=1, **SPACE))


@pytest.mark.parametrize(
    ("sampler", "expected"),
    [
        (random, [("heavy_ball", 0.031650594102156204, 1, 0.9979659641782341),
                  ("sgd", 0.001587322380506605, 3, 0.9976048116876137)]),
        (sobol, [("sgd", 0.039967538901362044, 3, 0.9982296076860849),
                 ("heavy_ball", 0.00032595708844914664, 1, 0.8188440136646414)]),
    ],
)  # fmt: skip
def test_the_points_of_a_seed_are_these_on_every_machine(sampler, expected):
    assert [tuple(point.values()) for point in sampler(2, seed=7, **SPACE)] == expected


def test_sobol_has_one_point_in_each_part_of_each_scale():
    for n in (16, 64, 256):
        parts = np.floor(fractions(sobol(n, **SPACE)) * n).astype(int)
        assert (np.sort(parts, axis=0) == np.arange(n)[:, None]).all()


def test_sobol_takes_options_equally_often():
    points = sobol(64, **SPACE)
    assert [p["method"] for p in points].count("sgd") == 32
    layers = [p["layers"] for p in points]
    assert all(21 <= layers.count(n) <= 22 for n in (1, 2, 3))


@pytest.mark.parametrize("n", [3, 20, 50, 100])
def test_sobol_covers_evenly_and_silently_for_any_number(n):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = [qmc.discrepancy(fractions(sobol(n, seed=seed, **SPACE))) for seed in range(8)]
    by_chance = [qmc.discrepancy(fractions(random(n, seed=seed, **SPACE))) for seed in range(8)]
    assert np.median(found) < 0.7 * np.median(by_chance)


def test_random_is_uniform_on_each_scale():
    drawn = fractions(random(2000, **SPACE))
    for column in drawn.T:
        counts = np.histogram(column, bins=10, range=(0, 1))[0]
        assert abs(counts - 200).max() < 60
    assert abs(np.corrcoef(drawn.T)[0, 1]) < 0.1


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_small_space_can_be_drawn_empty_but_not_overdrawn(sampler):
    space = {"a": choice(["x", "y", "z"]), "b": [True, False], "c": integers(1, 5)}
    assert len({tuple(point.values()) for point in sampler(30, **space)}) == 30
    with pytest.raises(ValueError, match=f"{sampler.__name__}: the space seems to hold only 30 .* not 31"):
        sampler(31, **space)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize(
    ("arguments", "space", "words"),
    [
        ((0,), SPACE, "n must be a whole number of at least 1, not 0"),
        ((2.0,), SPACE, "n must be a whole number of at least 1, not 2.0"),
        ((True,), SPACE, "n must be a whole number of at least 1, not True"),
        ((4,), {}, "a point needs at least one hyperparameter"),
        ((4,), {"seed": -1, **SPACE}, "seed must be a whole number of at least 0, not -1"),
        ((4,), {"seed": 0.5, **SPACE}, "seed must be a whole number of at least 0, not 0.5"),
        ((4,), {"beta": linear(0, 1, count=3)}, "beta: a count is for grid and zip_points; .* draws 4 points"),
        ((4,), {"beta": []}, "beta: give at least one value"),
        ((4,), {"beta": 0.9}, "beta: give a list of values to try, not 0.9"),
        ((4,), {"beta": [0.9, 0.9]}, "beta: 0.9 is given twice"),
        ((4,), {"rank": linear(0, 1)}, "rank: a hyperparameter cannot be called so"),
    ],
)
def test_bad_samples(sampler, arguments, space, words):
    with pytest.raises(ValueError, match=words):
        sampler(*arguments, **space)
