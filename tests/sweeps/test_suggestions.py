import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FixedTrial

from momentum_optax.sweeps import choice, integers, linear, log, one_minus_log
from momentum_optax.sweeps.search.suggestions import suggestions


def asked(kind, params):
    """The value of a hyperparameter `x` where Optuna suggests what is given."""
    suggestion = suggestions({"x": kind})["x"]
    return suggestion.value(suggestion.ask(FixedTrial(params)))


@pytest.mark.parametrize(
    ("kind", "name", "distribution"),
    [
        (linear(-1, 2), "x", FloatDistribution(-1, 2)),
        (log(1e-3, 1), "x", FloatDistribution(1e-3, 1, log=True)),
        (one_minus_log(0, 0.75), "1 - x", FloatDistribution(0.25, 1, log=True)),
        (integers(2, 5), "x", IntDistribution(2, 5)),
        (integers(1, 9, count=3), "x", CategoricalDistribution([1, 5, 9])),
        (choice(["sgd", "adam"]), "x", CategoricalDistribution(["sgd", "adam"])),
        ([True, False], "x", CategoricalDistribution([True, False])),
        ([0.5, 1], "x", CategoricalDistribution([0.5, 1.0])),
    ],
)
def test_scales_are_distributions(kind, name, distribution):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(0))
    trial = study.ask()
    value = suggestions({"x": kind})["x"].ask(trial)
    assert trial.distributions == {name: distribution}
    assert trial.params == {name: value}


@pytest.mark.parametrize(
    ("kind", "params", "value"),
    [
        (linear(-1, 2), {"x": -1.0}, -1.0),
        (log(1e-3, 1), {"x": 0.5}, 0.5),
        (one_minus_log(0, 0.999), {"1 - x": 1.0}, 0.0),
        (one_minus_log(0, 0.999), {"1 - x": 1 - 0.999}, 0.999),
        (one_minus_log(0.1, 0.9), {"1 - x": 1 - 0.1}, 0.1),
        (one_minus_log(0, 0.999), {"1 - x": 0.1}, 0.9),
        (integers(2, 5), {"x": 3}, 3),
        ([32, 64], {"x": 64}, 64),
        ([0.5, 1], {"x": 1.0}, 1.0),
        ([True, False], {"x": True}, True),
    ],
)
def test_what_is_suggested_becomes_the_value(kind, params, value):
    found = asked(kind, params)
    assert (found, type(found)) == (value, type(value))


def test_values_stay_inside():
    kind = one_minus_log(0.1, 0.3)
    rest = 1 - 0.3
    assert 1 - rest != 0.3  # rounding would lead outside
    assert asked(kind, {"1 - x": rest}) == 0.3


@pytest.mark.parametrize(
    ("space", "words"),
    [
        ({}, "space must have .* at least one hyperparameter, by name, not {}"),
        ([0.1], r"space must have .* by name, not \[0.1\]"),
        ({"x": linear(0, 1, count=3)}, "x: a count is for grid and zip_points; .* Leave it out"),
        ({"x": []}, "x: give at least one value"),
        ({"x": 0.1}, "x: give a list of values"),
        ({"x": [1, True]}, r"x: Optuna cannot tell True from 1 .*\[1, True\]"),
    ],
)
def test_bad_spaces(space, words):
    with pytest.raises(ValueError, match=words):
        suggestions(space)
