"""A sweep described in a TOML file, whose keys are the options."""

import re
import sys
from pathlib import Path

import own_trial
import pytest
from typer.testing import CliRunner

from momentum_optax import sweeps
from momentum_optax.cli import app

STUDY = """
trial = "{module}:make_trial"
steps = 20
evaluate_every = 10
seeds = 2
prune = "halving:10:2"
strategy = "vmap"
quiet = true
output = "out"

[set]
dimension = 4
start = "sign"

[points]
learning_rate = {{ scale = "log", low = 0.1, high = 1, count = 4 }}
"""


def flat(text):
    return re.sub(r"\s+", " ", text)


def invoke(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture
def study(tmp_path, monkeypatch, request):
    """A file in the current folder, beside the module of its trial."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    module = own_trial.write(tmp_path, "study_" + re.sub(r"\W", "_", request.node.name))
    path = tmp_path / "study.toml"
    path.write_text(STUDY.format(module=module))
    return path


def test_a_file_says_all_that_options_do(study):
    result = invoke("sweep", "study.toml")
    assert (result.exit_code, result.output) == (0, "")
    found = sweeps.load("out")
    assert found.settings["arguments"] == {"dimension": 4, "start": "sign"}
    assert found.settings["ways"][0]["strategy"] == "vmap"
    assert (len(found.points), found.seeds, list(found.steps)) == (4, (0, 1), [10, 20])
    assert (found.pruned_at >= 0).sum() == 4


def test_options_override_the_file(study, tmp_path):
    (tmp_path / "points.toml").write_text("learning_rate = [0.1, 0.2]\n")
    options = ["--points", "points.toml", "--steps", "12", "--seeds", "1", "--set", "dimension=2", "--output", "new"]
    result = invoke("sweep", study, *options)
    assert result.exit_code == 0, result.output
    found = sweeps.load("new")
    assert [p["learning_rate"] for p in found.points] == [0.1, 0.2]
    assert (found.seeds, list(found.steps)) == ((0,), [10, 12])
    assert found.settings["arguments"] == {"dimension": 2, "start": "sign"}
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("text", "seeds"), [("[3, 5, 8]", (3, 5, 8)), ('"7,"', (7,)), ("1", (0,))])
def test_seeds_are_a_count_or_the_seeds_themselves(study, text, seeds):
    study.write_text(study.read_text().replace("seeds = 2", f"seeds = {text}"))
    result = invoke("sweep", study)
    assert result.exit_code == 0, result.output
    assert sweeps.load("out").seeds == seeds


def test_what_says_the_same_in_two_ways_is_that_of_the_command_line(study):
    study.write_text(study.read_text().replace("[set]", 'point = ["learning_rate=0.3"]\n[set]').split("[points]")[0])
    result = invoke("sweep", study, "--point", "learning_rate=0.7", "--output", "new")
    assert result.exit_code == 0, result.output
    assert sweeps.load("new").points == ({"learning_rate": 0.7},)
    result = invoke("sweep", study, "--epochs", "3")  # the file has steps
    assert "the trial knows no epochs" in flat(result.output)


def test_a_file_for_the_digits(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = 'method = ["nesterov", "acc_sgd"]\nlearning-rate = [0.1, 1]\nbeta = 0.9\nsteps = 5\nseeds = 1\nquiet = true'
    (tmp_path / "digits.toml").write_text(text)
    result = invoke("sweep", "digits.toml", "--output", "out")
    assert result.exit_code == 0, result.output
    found = [(p["method"], p["learning_rate"], p.get("beta")) for p in sweeps.load("out").points]
    assert found == [("nesterov", 0.1, 0.9), ("nesterov", 1, 0.9), ("acc_sgd", 0.1, None), ("acc_sgd", 1, None)]


README_TRIAL = """
import jax.numpy as jnp
from momentum_optax import sweeps


def step(hp, x, key):
    beta = hp["beta"] if hp["method"] == "heavy_ball" else 0.0
    return x - hp["learning_rate"] / (1 - beta) * x, jnp.square(x)


def make_trial():
    return sweeps.trial(lambda hp, key: jnp.ones(()), step, lambda hp, x: {"error": jnp.square(x)})
"""


def test_the_file_of_the_readme(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    (tmp_path / "study.toml").write_text(re.search(r"```toml\n(# study\.toml\n.*?)```", readme, re.DOTALL)[1])
    own_trial.write(tmp_path, "my_study", README_TRIAL)
    result = invoke("sweep", "study.toml", "--seeds", "1", "--steps", "300", "--quiet")
    assert result.exit_code == 0, result.output
    found = sweeps.load("study")
    assert len(found.points) == 21
    assert (found.pruned_at < 0).sum() == 7


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("stepz = 3", "there is no option 'stepz'; did you mean steps? Accepted are batch-size, beta"),
        ("help = true", "there is no option 'help'"),
        ("steps = ", "is no TOML"),
        ("steps = 3.5", "valid integer"),
        ("steps = true", "steps: True is not accepted; give what --steps takes"),
        ("steps = { low = 3 }", "steps: {'low': 3} is not accepted"),
        ("folds = 0", "--folds: 0 is not accepted"),
        ("points = { learning_rate = 0.1 }", "--points: learning_rate: give a list of values to try"),
        ('points = "none.toml"', "--points: none.toml cannot be read (No such file or directory)"),
        ('points = "file.toml"', "file.toml: beta: give a list of values"),
        ("set = { dimensions = 3 }", "--set: "),
        ('sampler = "sobol:4"', "--sampler: this is for --point"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(line, words, study, tmp_path):
    key = line.split(" =")[0]
    text = study.read_text()
    if key in ("points", "set"):
        text = re.sub(rf"\[{key}\]\n(.+\n)+", "", text)
    text = f"{line}\n" + re.sub(rf"^{key} = .*\n", "", text, flags=re.MULTILINE)
    study.write_text(text)
    (tmp_path / "file.toml").write_text("beta = 3")
    result = invoke("sweep", study)
    assert result.exit_code == 2
    assert words in flat(result.output)
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_not_there(tmp_path):
    result = invoke("sweep", tmp_path / "none.toml")
    assert result.exit_code == 2
    assert "none.toml cannot be read (No such file or directory)" in flat(result.output)
