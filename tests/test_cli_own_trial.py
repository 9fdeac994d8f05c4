"""`momentum-optax sweep --trial`: a problem, points and rules of the user's own."""

import importlib.util
import json
import re
import sys

import numpy as np
import own_trial
import pandas as pd
import pytest
from typer.testing import CliRunner

from momentum_optax import sweeps
from momentum_optax.cli import app
from momentum_optax.cli.texts import points, pruning, seeds

RATES = "learning_rate=0.1,0.5,2.5"
TINY = ["--steps", "20", "--seeds", "2"]


def flat(text):
    return re.sub(r"\s+", " ", text)


def invoke(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture
def module(tmp_path, monkeypatch, request):
    """The name of a module in the current folder, which is empty otherwise."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return own_trial.write(tmp_path, "own_" + re.sub(r"\W", "_", request.node.name))


def test_an_own_trial_is_swept_and_ranked(module, tmp_path):
    arguments = ["--trial", f"{module}:make_trial", "--set", "dimension=5", "--set", "start=sign"]
    result = invoke("sweep", *arguments, "--point", RATES, *TINY, "--output", "out")
    assert result.exit_code == 0, result.output
    found = sweeps.load("out")
    assert [p["learning_rate"] for p in found.points] == [0.1, 0.5, 2.5]
    assert found.seeds == (0, 1)
    assert list(found.steps) == list(range(2, 21, 2))
    settings = found.settings
    assert (settings["trial"], settings["arguments"]) == (f"{module}:make_trial", {"dimension": 5, "start": "sign"})
    # By 0.1 the start is not forgotten after 20 steps, and 2.5 leads away.
    assert found.best().point == {"learning_rate": 0.5}
    table = pd.read_csv("out/table.csv")
    assert table["learning_rate"].tolist() == [0.5, 0.1, 2.5]
    assert "The best of 3 points x 2 seeds" in result.output
    assert "Distance error is the median" in result.output
    assert (tmp_path / "out" / "pareto.png").exists()


def test_a_trial_may_be_ready_made(module):
    result = invoke("sweep", "--trial", f"{module}:trial", "--point", RATES, *TINY, "--quiet", "--output", "out")
    assert (result.exit_code, result.output) == (0, "")
    assert len(sweeps.load("out").points) == 3


def test_pruning_folder_strategy_and_metric_reach_the_sweep(module):
    options = ["--prune", "halving:4:3", "--strategy", "step", "--lanes-per-chunk", "2", "--evaluate-every", "4"]
    command = ["sweep", "--trial", f"{module}:trial", "--point", "learning_rate=linear:0.1:0.9:9", *TINY, *options]
    result = invoke(*command, "--metric", "train_loss", "--mode", "max", "--output", "out")
    assert result.exit_code == 0, result.output
    found = sweeps.load("out")
    assert list(found.steps) == [4, 8, 12, 16, 20]
    assert sorted(found.pruned_at[:, 0]) == [-1, 4, 4, 4, 4, 4, 4, 12, 12]
    assert {way["strategy"] for way in found.settings["ways"]} == {"step"}
    # The worst survives, by a mode that is wrong on purpose; rates near 0 lose the least.
    assert found.points[int(np.flatnonzero(found.pruned_at[:, 0] < 0)[0])]["learning_rate"] == pytest.approx(0.1)
    assert "Train loss is the median" in result.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--trial", "{m}"], ["--trial", "is not accepted; write MODULE:FUNCTION"]),
        (["--trial", ":f"], ["--trial", "write MODULE:FUNCTION"]),
        (["--trial", "no_such.module:f"], ["--trial", "there is no module 'no_such'"]),
        (["--trial", "{m}.py:make_trial"], ["--trial", "there is no module", "write {m}, without .py"]),
        (["--trial", "{m}:make_trail"], ["--trial", "has no 'make_trail'; did you mean make_trial?", "Trial"]),
        (
            ["--trial", "{m}:not_a_trial"],
            ["--trial", "gives {'init': None}; expected is a momentum_optax.sweeps.Trial"],
        ),
        (["--trial", "{m}:make_trial", "--set", "dim=3"], ["--set", "takes (dimension=3, curvature=1.0", "'dim'"]),
        (["--trial", "{m}:trial", "--set", "dimension=3"], ["--set", "is no function, and takes nothing"]),
        (["--trial", "{m}:trial", "--set", "dimension"], ["--set", "'dimension' is not accepted; write NAME=..."]),
        (["--trial", "{m}:trial", "--set", "a=1", "--set", "a=2"], ["--set", "a is given twice"]),
        (["--trial", "{m}:trial", "--method", "qhm"], ["--method", "this is for the digits"]),
        (["--trial", "{m}:trial", "--batch-size", "3"], ["--batch-size", "this is for the digits"]),
        (["--trial", "{m}:trial", "--quick"], ["--quick", "this is for the digits"]),
        (["--set", "a=1"], ["--set", "this is for the function of --trial"]),
        (["--trial", "{m}:trial", "--epochs", "3"], ["epochs=3: the trial knows no epochs", "give steps"]),
        (["--trial", "{m}:trial", "--epochs", "3", "--steps", "2"], ["--epochs", "the same as --steps"]),
        (["--trial", "{m}:trial", "--folds", "1"], ["--folds", "1 is not accepted", "at least 2"]),
        (["--trial", "{m}:trial", "--folds", "3"], ["folds=3", "cannot be cross-validated"]),
        (["--trial", "{m}:trial", "--mode", "best"], ["--mode", "'best' is not accepted; give max or min"]),
        (["--trial", "{m}:trial", "--strategy", "fast"], ["--strategy", "'fast' is not accepted; give auto or vmap"]),
        (
            ["--trial", "{m}:trial", "--lanes-per-chunk", "0"],
            ["--lanes-per-chunk", "'0' is not accepted; give auto or"],
        ),
        (["--trial", "{m}:trial", "--prune", "halving"], ["--prune", "write halving:MIN_STEPS[:FACTOR] or hyperband:"]),
        (["--trial", "{m}:trial", "--prune", "median:2:3:4"], ["--prune", "'median:2:3:4' is not accepted; write"]),
        (["--trial", "{m}:trial", "--prune", "halving:0"], ["--prune", "min_steps must be a whole number"]),
        (["--trial", "{m}:trial", "--prune", "halving:1000"], ["(min_steps=1000, factor=3.0) would never stop a"]),
        (["--trial", "{m}:trial", "--point", "gamma=1.5"], ["hyperparameter", "learning_rate", "gamma"]),
    ],
)
def test_bad_options_are_refused_before_anything_is_written(arguments, words, module, tmp_path):
    arguments = [argument.replace("{m}", module) for argument in arguments]
    points = [] if "--point" in arguments or "--set" in arguments[:1] else ["--point", RATES]
    steps = [] if {"--epochs", "--steps"} & set(arguments) else ["--steps", "4"]
    result = invoke("sweep", *arguments, *points, *steps, "--output", "out")
    assert result.exit_code == 2, result.output
    for word in words:
        assert word.replace("{m}", module) in flat(result.output)
    assert not (tmp_path / "out").exists()


def test_a_metric_that_there_is_not_is_named(module):
    result = invoke("sweep", "--trial", f"{module}:trial", "--point", RATES, *TINY, "--metric", "f1")
    assert result.exit_code == 2
    assert "There is no metric 'f1'; there are ['distance_error', 'train_loss']" in flat(result.output)


def test_parquet_is_promised_only_if_it_can_be_written(module, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if "parquet" in name or name == "pyarrow" else find(name)
    )
    result = invoke("sweep", "--trial", f"{module}:trial", "--point", RATES, "--parquet")
    assert result.exit_code == 2
    assert "--parquet: this needs fastparquet or pyarrow" in flat(result.output)


def test_points_are_needed(module):
    result = invoke("sweep", "--trial", f"{module}:trial")
    assert result.exit_code == 2
    assert "say what to try, such as --point learning_rate=log:0.001:1:7" in flat(result.output)


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("import no_such_package", ModuleNotFoundError),
        ("def make_trial():\n    return [][1]", IndexError),
        (own_trial.SOURCE.replace("slope =", "raise ValueError('mine')\n        slope ="), ValueError),
    ],
)
def test_errors_of_the_users_own_code_keep_their_traceback(source, error, module, tmp_path):
    own_trial.write(tmp_path, module, source)
    result = invoke("sweep", "--trial", f"{module}:make_trial", "--point", RATES)
    assert type(result.exception) is error
    assert not (tmp_path / "momentum-optax-results").exists()


def test_texts_of_points_are_those_of_a_table():
    texts = ["method=sgd,heavy_ball", "learning_rate=log:0.01:1:3", "layers=2,3", "nesterov=true,false",
             "beta=one_minus_log:0:0.99:3 when method=heavy_ball layers=2,3"]  # fmt: skip
    table = {
        "method": ["sgd", "heavy_ball"],
        "learning_rate": {"scale": "log", "low": 0.01, "high": 1, "count": 3},
        "layers": [2, 3],
        "nesterov": [True, False],
        "beta": {
            "scale": "one_minus_log", "low": 0, "high": 0.99, "count": 3,
            "when": {"method": ["heavy_ball"], "layers": [2, 3]},
        },
    }  # fmt: skip
    assert list(points(texts, "grid")) == list(sweeps.points_from_dict(table))
    drawn = {"x": {"scale": "linear", "low": -1, "high": 1}, "act": ["relu", "tanh"]}
    for sampler in ("random", "sobol"):
        expected = sweeps.points_from_dict({"sampler": sampler, "n": 8, "seed": 3, **drawn})
        assert list(points(["x=linear:-1:1", "act=relu,tanh"], f"{sampler}:8:3")) == list(expected)
    assert [tuple(p.values()) for p in points(["a=1,2", "b=0.5,1"], "zip")] == [(1, 0.5), (2, 1.0)]


@pytest.mark.parametrize(
    ("texts", "sampler", "words"),
    [
        (["learning_rate"], "grid", "'learning_rate' is not accepted; write NAME=..."),
        (["a=1", "a=2"], "grid", "a is given twice"),
        (["a=lag:1:2:3"], "grid", "a=lag:1:2:3 is not accepted; give values separated by commas, or linear|log|"),
        (["a=log:1"], "grid", "a=log:1 is not accepted"),
        (["a=log:0:1:3"], "grid", "a: log: low must be above 0"),
        (["a=log:1:2"], "grid", "a: a grid must know how many values to try"),
        (["a=1,1"], "grid", "a: 1 is given twice"),
        (["a=nan"], "grid", "a: every value must be a finite number"),
        (["n=1"], "grid", "a hyperparameter cannot be called n, which is a setting of points"),
        (["seed=1"], "grid", "cannot be called seed"),
        (["a=1,2 when b=3"], "grid", "a: when: 'b' is no other hyperparameter"),
        (["a=1"], "latin", "'latin' is not accepted; write one of grid, zip, random:N[:SEED], sobol:N[:SEED]"),
        (["a=1"], "grid:3", "'grid:3' is not accepted"),
        (["a=1"], "sobol", "'sobol' is not accepted"),
        (["a=linear:0:1"], "sobol:many", "n must be a whole number of at least 1, not 'many'"),
        (["a=linear:0:1:5"], "random:3", "a: a count is for grid"),
    ],
)
def test_bad_points_are_named(texts, sampler, words):
    with pytest.raises(Exception, match=re.escape(words)) as error:
        points(texts, sampler)
    assert type(error.value).__name__ == "BadParameter"
    about_sampler = "'latin'" in words or "grid:3" in words or "sobol" in words or words.startswith("n must")
    assert error.value.param_hint == ("--sampler" if about_sampler else "--point")


def test_texts_of_rules_are_their_numbers_in_order():
    assert pruning(None) is None
    assert pruning("halving:10") == sweeps.SuccessiveHalving(10)
    assert pruning("halving:10:2.5") == sweeps.SuccessiveHalving(10, 2.5)
    assert pruning("hyperband:10:90:3") == sweeps.Hyperband(10, 90, 3)
    assert pruning("median:10:4") == sweeps.MedianStopping(10, 4)


def test_texts_of_seeds():
    assert [seeds(text) for text in (None, "5", "3,5,8", "7,", " 0, 4294967295")] == [
        None, 5, [3, 5, 8], [7], [0, 2**32 - 1]
    ]  # fmt: skip


def test_own_points_for_methods_on_the_digits():
    command = ["sweep", "--method", "qhm,adam", "--steps", "5", "--seeds", "1", "--quiet", "--output"]
    result = invoke(*command, "none", "--point", "learning_rate=0.1", "--point", "nu=0.5,0.7")
    assert result.exit_code == 2
    assert "adam has no 'nu'; it has learning_rate, b1, b2, eps" in flat(result.output)
    result = invoke(*command, "none", "--point", "learning_rate=0.1", "--beta", "0.9")
    assert "--beta" in flat(result.output)
    assert "the points are given already" in flat(result.output)


def test_own_points_may_name_the_method(tmp_path):
    texts = ["method=qhm,heavy_ball", "learning_rate=0.1", "nu=0.5,0.7 when method=qhm"]
    options = [word for text in texts for word in ("--point", text)]
    small = ["--steps", "5", "--seeds", "1", "--quiet", "--output", tmp_path / "out"]
    result = invoke("sweep", *options, *small)
    assert result.exit_code == 0, result.output
    found = sweeps.load(tmp_path / "out")
    assert [(p["method"], p.get("nu")) for p in found.points] == [("qhm", 0.5), ("qhm", 0.7), ("heavy_ball", None)]
    settings = json.loads((tmp_path / "out" / "sweep.json").read_text())["settings"]
    assert settings["arguments"] == {"method": ["qhm", "heavy_ball"], "seeds": 1, "steps": 5, "batch_size": 32}
    result = invoke("sweep", *options, "--method", "qhm", *small)
    assert "the points name methods already" in flat(result.output)
