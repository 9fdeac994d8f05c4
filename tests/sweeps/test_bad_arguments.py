"""Arguments of `sweep` that are refused before anything is trained."""

import math
import re

import jax
import numpy as np
import pytest

from momentum_optax.sweeps import Hyperband, MedianStopping, Population, SuccessiveHalving, grid, linear, sweep, trial

ONE = jax.devices()[0]


def halve(hp, x, key):
    return x * hp["rate"], x**2


TRIAL = trial(lambda hp, key: np.float32(1), halve, lambda hp, x: {"error": x**2})
POINTS = grid(rate=[0.25, 0.5, 1.0, 2.0, 1e30])


def run(trial=TRIAL, **options):
    return sweep(trial, POINTS, **{"seeds": 1, "steps": 20, "devices": [ONE], "threads": 1} | options)


class Own:
    """Stops what is not the best. Its numbers have meanings of their own."""

    min_steps = "many"

    def keep(self, step, scores, alive):
        return alive & (scores[:, -1] == scores[:, -1].max())

    def describe(self):
        return {}


def population(every):
    return Population(every, {"rate": linear(0.1, 1.0)})


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        (
            {"trial": halve},
            TypeError,
            "trial must be a Trial, as `supervised` and `trial` make it, not <function halve",
        ),
        ({"devices": 1}, TypeError, "devices must be a list of devices of JAX, such as jax.devices()[:1], not 1."),
        ({"devices": ONE}, TypeError, f"such as jax.devices()[:1], not {ONE!r}."),
        ({"devices": ["cpu"]}, TypeError, "such as jax.devices()[:1], not ['cpu']."),
        ({"devices": []}, ValueError, "devices must hold at least one device; None stands for all."),
        ({"devices": [ONE, ONE]}, ValueError, f"devices must be different ones, not [{ONE!r}, {ONE!r}]."),
        ({"seeds": [0, 2**32]}, ValueError, "seeds must be whole numbers from 0 to 4294967295, not 4294967296."),
        ({"seeds": [0, -1]}, ValueError, "each of seeds must be a whole number of at least 0, not -1."),
        ({"seeds": [3, 3]}, ValueError, "one or more different whole numbers, not [3, 3]."),
        (
            {"pruning": SuccessiveHalving(100)},
            ValueError,
            "pruning: SuccessiveHalving(min_steps=100, factor=3.0) would",
        ),
        (
            {"pruning": MedianStopping(5000)},
            ValueError,
            "an evaluation, other than the last, after at least 5000 steps",
        ),
        ({"pruning": Hyperband(20, 60)}, ValueError, "steps=20 and evaluate_every=2 the last but one is after 18."),
        ({"pruning": MedianStopping(19)}, ValueError, "never stop a point"),  # 19 steps are never evaluated
        ({"pruning": SuccessiveHalving(20), "evaluate_every": 1}, ValueError, "never stop a point"),
        ({"pruning": Own(), "evaluate_every": 20}, ValueError, "evaluate_every=20 the last but one is after 0."),
        ({"population": population(20)}, ValueError, "it changes every 20 steps, which must be fewer than steps=20."),
        ({"population": population(100)}, ValueError, "it changes every 100 steps, which must be fewer than steps=20."),
        ({"metric": "current_rate"}, KeyError, "There is no metric 'current_rate'; there are"),
        (
            {"metric": "current_x", "population": population(10)},
            KeyError,
            "no metric 'current_x'; there are ['current_rate",
        ),
    ],
)
def test_what_is_refused(options, error, words):
    with pytest.raises(error, match=re.escape(words)):
        run(**options)


@pytest.mark.parametrize(
    ("rule", "every"),
    [
        (SuccessiveHalving(18), 2),
        (SuccessiveHalving(19), 1),
        (MedianStopping(18, 50), 2),  # with fewer points, only those that diverged
        (Hyperband(18, 60), 2),  # the first milestone is at 20
        (Own(), 19),
    ],
)
def test_a_rule_that_acts_once_is_accepted(rule, every):
    result = run(pruning=rule, evaluate_every=every)
    assert set(result.pruned_at[:, 0]) == {-1, (20 - 1) // every * every}


def test_a_population_that_changes_once_is_accepted():
    result = run(population=population(18))
    errors = result.metrics["error"][:, 0]
    assert np.isnan(errors[-1, -2])  # diverged
    assert np.isfinite(errors[-1, -1])  # copies another


def test_the_largest_seed():
    assert run(seeds=[0, 2**32 - 1]).seeds == (0, 2**32 - 1)


def test_the_best_error_is_no_negative_zero():
    seen = []
    trial_ = trial(lambda hp, key: np.float32(0), halve, lambda hp, x: {"error": x})
    run(trial_, progress=seen.append, metric="error")
    assert (seen[-1].best, math.copysign(1, seen[-1].best)) == (0, 1)
