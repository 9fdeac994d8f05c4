import io

import numpy as np
import pandas as pd
import pytest
from results import make
from rich.console import Console

from momentum_optax.sweeps import load
from momentum_optax.sweeps._extras import need
from momentum_optax.sweeps.results.report import FILES, print_table, write


def printed(result, **options):
    out = io.StringIO()
    print_table(result, console=Console(file=out, width=100), **options)
    return out.getvalue()


def test_the_table_says_what_it_shows():
    text = printed(make([[[0.1, 0.5]] * 2, [[0.1, 0.9]] * 2], diverged=[(0, 1)]))
    lines = [line.split() for line in text.splitlines()]
    assert lines.index(["1", "m", "0.2", "0.9", "90.00%", "0.00%", "0"]) < lines.index(
        ["2", "m", "0.1", "0.9", "50.00%", "0.00%", "1"]
    )
    assert "The best of 2 points x 2 seeds" in text
    assert "Accuracy is the median over seeds and spread the range; 1 of 4 runs diverged." in text


def test_losses_folds_pruned_runs_and_choices_have_words_of_their_own():
    points = [{"act": "relu", "layers": 2, "nesterov": True}, {"act": "tanh", "layers": 3}]
    text = printed(make(np.full((2, 1, 2, 2), 0.25), points=points, metric="test_loss", pruned={(1, 0, 1): 10}))
    assert "Test loss is the median over seeds and folds" in text
    assert "0 of 4 runs diverged, 1 stopped early." in " ".join(text.split())
    rows = [line.split()[:4] for line in text.splitlines()]
    assert ["1", "relu", "2", "True"] in rows
    assert ["2", "tanh", "3", "0.25"] in rows


def test_numbers_are_short_but_a_beta_is_not_rounded_to_1():
    points = [{"learning_rate": 0.123456, "beta": 0.999987}, {"learning_rate": 1234.0, "beta": 0.12345678}]
    lines = [
        line.split()
        for line in printed(make([[[1e-5, 5.4321e-4]], [[1, 2]]], points=points, metric="loss")).splitlines()
    ]
    assert ["1", "0.1235", "0.999987", "0.000543", "0", "0"] in lines
    assert ["2", "1234", "0.1235", "2", "0", "0"] in lines
    assert ["rank", "rate", "beta", "loss", "spread", "diverged"] in lines  # no steps to a loss of 95 %


def test_how_runs_were_trained_is_told():
    result = make([[[0.5, 0.5]], [[0.6, 0.6]]])
    assert "Strategy" not in printed(result)
    result.settings["ways"] = [{"strategy": "step", "chunk": 1}]
    assert "Strategy: step, 1 runs together.\n" in printed(result)
    timed = [{"step": 3e-6, "map": 2e-6}, {"step": 1e-6}]
    result.settings["ways"] = [{"strategy": "step", "chunk": 8, "seconds_per_step": seconds} for seconds in timed]
    expected = "Strategy: step, 8 runs together (microseconds a step of a run, measured: step 2, map 2)."
    assert expected in " ".join(printed(result).split())


def test_the_other_mode_ranks_the_other_way_round():
    result = make([[[0.5, 0.5]], [[0.6, 0.6]]])
    for mode, rate in (("max", "0.2"), ("min", "0.1")):
        assert ["1", "m", rate] in [line.split()[:3] for line in printed(result, mode=mode).splitlines()]


def test_another_metric_ranks():
    result = make([[[0.5, 0.5]], [[0.6, 0.6]]])
    result.metrics["train_loss"] = np.float32([[[1, 1]], [[2, 2]]])
    lines = printed(result, metric="train_loss").splitlines()
    assert any(line.split()[:3] == ["1", "m", "0.1"] for line in lines)
    with pytest.raises(KeyError, match="no metric 'f1'"):
        printed(result, metric="f1")


def test_a_folder_has_tables_numbers_and_pictures(tmp_path):
    result = make(np.random.default_rng(0).uniform(size=(3, 2, 2)))
    result.save(tmp_path)
    numbers = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    write(result, tmp_path, mode="min")
    assert {path.name for path in tmp_path.iterdir()} == {*FILES, "runs.npz", "sweep.json"}
    assert load(tmp_path).equals(result)
    for name in ("runs.csv", "runs.npz", "sweep.json"):
        assert (tmp_path / name).read_bytes() == numbers[name]
    best, worst = (pd.read_csv(io.BytesIO(table))["learning_rate"].tolist() for table in
                   (numbers["table.csv"], (tmp_path / "table.csv").read_bytes()))  # fmt: skip
    assert best == worst[::-1]
    assert len(FILES) == 7
    for path in tmp_path.glob("*.png"):
        assert path.read_bytes().startswith(b"\x89PNG")


def test_a_sweep_without_accuracy_or_the_usual_hyperparameters_is_reported(tmp_path):
    result = make([[[1.0, 2.0]], [[2.0, 3.0]]], points=[{"width": 8}, {"width": 16}], metric="reward")
    write(result, tmp_path, metric="reward")
    assert "Reward is the median" in printed(result)


def test_a_missing_package_is_named():
    need("numpy", "Tables")
    with pytest.raises(ImportError, match="Pictures need no_such_package: pip install"):
        need("no_such_package", "Pictures")
