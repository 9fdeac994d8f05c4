"""Optuna's searches, whose batches are sweeps."""

import importlib.util
import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

from momentum_optax import sweeps
from momentum_optax.sweeps import grid, linear, load, log, optuna_search, random, sweep
from momentum_optax.sweeps.search.asking import open_study


def init(hp, key):
    return jax.random.uniform(key, minval=0.9, maxval=1.1)


def step(hp, state, key):
    return state * (1 - hp["learning_rate"]), state**2 / 2


def evaluate(hp, state):
    """Least at learning rate 0.1 and shift 1, flat far away; the state diverges above learning rate 2."""
    distance = jnp.log10(hp["learning_rate"] / 0.1) ** 2 + (hp["shift"] - 1) ** 2
    return {"test_loss": distance + 0 * state, "test_score": -distance}


TRIAL = sweeps.trial(init, step, evaluate)
SPACE = {"learning_rate": log(1e-3, 1), "shift": linear(-4, 4)}
OPTIONS = {"metric": "test_loss", "n": 24, "batch": 8, "seeds": 2, "steps": 4, "evaluate_every": 2}

SHORT = {"n": 8, "batch": 4}


def search(trial=TRIAL, space=SPACE, **options):
    return optuna_search(trial, space, **{**OPTIONS, **options})


def test_a_search_is_sweeps_of_what_optuna_asks():
    study, result = search()
    assert len(study.trials) == len(result.points) == 24
    assert result.settings["trials"] == list(range(24))
    assert [t.params for t in study.trials] == [dict(p) for p in result.points]
    assert [t.value for t in study.trials] == np.median(result.final("test_loss"), axis=1).tolist()
    assert result.settings["seconds"]["sweep"] > 0
    for first in (0, 8, 16):
        direct = sweep(TRIAL, result.points[first : first + 8], seeds=2, steps=4, evaluate_every=2)
        for name, values in direct.metrics.items():
            np.testing.assert_array_equal(result.metrics[name][first : first + 8], values)
    best = result.best("test_loss")
    assert (best.index, best.value) == (study.best_trial.number, study.best_value)


def test_it_beats_chance():
    found = [search(n=48, batch=16, seed=seed, seeds=1, steps=1, evaluate_every=1)[0].best_value for seed in range(3)]
    points = [random(48, seed=seed, **SPACE) for seed in range(3)]
    chance = [sweep(TRIAL, p, seeds=1, steps=1).best("test_loss").value for p in points]
    assert np.mean(found) < np.mean(chance) / 3


@pytest.mark.parametrize(("metric", "mode"), [("test_score", None), ("test_score", "max"), ("test_loss", "min")])
def test_the_metric_and_its_direction(metric, mode):
    study, result = search(metric=metric, mode=mode)
    assert study.direction.name == ("MAXIMIZE" if metric == "test_score" else "MINIMIZE")
    assert study.best_trial.number == result.best(metric, mode).index
    assert abs(study.best_value) < 1


def test_the_statistic():
    trial = sweeps.trial(
        init, step, lambda hp, state: {"test_loss": hp["shift"] ** 2 * state + 0 * hp["learning_rate"]}
    )
    study, result = search(trial, statistic="max", seeds=3, n=8)
    assert [t.value for t in study.trials] == result.final("test_loss").max(axis=1).tolist()


def test_diverged_and_stopped_points_are_pruned():
    study, result = search(space={**SPACE, "learning_rate": log(0.1, 1e30)}, n=16)
    lost = result.diverged.any(axis=1)
    assert 0 < lost.sum() < 16
    assert [t.state == TrialState.PRUNED for t in study.trials] == lost.tolist()
    assert study.best_trial.number == result.best("test_loss").index

    study, result = search(n=16, pruning=sweeps.SuccessiveHalving(min_steps=2))
    stopped = (result.pruned_at >= 0).any(axis=1)
    assert 0 < stopped.sum() < 16
    assert [t.state == TrialState.PRUNED for t in study.trials] == stopped.tolist()
    assert study.best_trial.number == result.best("test_loss").index


def test_structural_choices():
    def shifted(hp, state):
        return {"test_loss": hp["learning_rate"] + hp["shift"] ** 2 + (hp["method"] == "bad")}

    trial = sweeps.trial(init, step, shifted)
    study, result = search(trial, {**SPACE, "method": ["good", "bad"]}, n=32)
    assert [t.params["method"] for t in study.trials] == [p["method"] for p in result.points]
    assert sum(t.params["method"] == "good" for t in study.trials[16:]) > 8
    assert study.best_params["method"] == "good"


def test_later_batches_compile_nothing():
    compiled = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, seconds, **_: compiled.append(event) if "backend_compile" in event else None
    )
    ends = []
    search(sweeps.trial(init, step, evaluate), progress=lambda now: ends.append(len(compiled)))
    assert compiled
    assert len(ends) >= 6
    assert ends[-1] == ends[len(ends) // 3 - 1]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return search(**SHORT, folder=tmp_path_factory.mktemp("whole"))


def test_a_search_of_more_points_goes_on(whole, tmp_path):
    search(**SHORT | {"n": 4}, folder=tmp_path)
    counted = []
    study, result = search(**SHORT, folder=tmp_path, progress=counted.append)
    assert {now.runs for now in counted} == {8}
    assert max(now.rung for now in counted) == 2
    assert [t.value for t in study.trials] == [t.value for t in whole.study.trials]
    assert result.equals(whole.result)
    assert load(tmp_path).equals(result)
    assert sorted(p.name for p in tmp_path.iterdir() if p.is_dir()) == ["batch_00000", "batch_00004"]
    # Nothing is left to do, but all is found.
    study, result = search(**SHORT, folder=tmp_path, progress=pytest.fail)
    assert (len(study.trials), result.equals(whole.result)) == (8, True)


def test_a_study_that_is_full_asks_for_nothing():
    first, _ = search(**SHORT, study=optuna.create_study())
    study, result = search(**SHORT, study=first, progress=pytest.fail)
    assert (study, len(study.trials), result) == (first, 8, None)


def test_a_study_of_ones_own(tmp_path):
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(tmp_path / "journal")))
    sampler = optuna.samplers.RandomSampler(3)
    mine = optuna.create_study(direction="maximize", storage=storage, sampler=sampler)
    study, result = search(study=mine, metric="test_score")
    assert study is mine
    assert study.sampler is sampler
    assert study.best_trial.number == result.best("test_score").index


def test_stopped_in_the_middle_it_goes_on():
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(0))
    seen = []

    def stop(now):
        seen.append(now)
        if len(seen) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(study=study, progress=stop)
    running = [t.number for t in study.trials if t.state == TrialState.RUNNING]
    assert len(running) == 8
    study, result = search(study=study)
    assert {t.state for t in study.trials} == {TrialState.COMPLETE}
    assert len(study.trials) == 24
    assert set(running) <= set(result.settings["trials"])


CHILD = """
import os, signal, sys

sys.path.insert(0, {here!r})
sys.path.insert(1, os.path.dirname({here!r}))
import conftest, test_search

ticks = []

def kill(now):
    ticks.append(now)
    if len(ticks) == {ticks}:
        os.kill(os.getpid(), signal.SIGKILL)

test_search.search(**test_search.SHORT, folder={folder!r}, progress=kill)
"""


def test_killed_it_goes_on(whole, tmp_path):
    ticks = []
    search(**SHORT, progress=ticks.append)
    code = CHILD.format(here=str(Path(__file__).parent), folder=str(tmp_path), ticks=len(ticks) * 3 // 4)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    child = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert child.returncode == -signal.SIGKILL, child.stderr
    begun, *_ = open_study(None, tmp_path, "test_loss", None, 0, "")
    assert [t.state.name for t in begun.trials] == ["COMPLETE"] * 4 + ["RUNNING"] * 4
    counted = []
    study, result = search(**SHORT, folder=tmp_path, progress=counted.append)
    assert {now.runs for now in counted} == {8}  # the second batch only
    assert result.equals(whole.result)
    assert [t.value for t in study.trials] == [t.value for t in whole.study.trials]


def test_without_optuna(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r'Searches need optuna: pip install "\.\[optuna\]"'):
        search()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"n": 0}, "n must be a whole number of at least 1, not 0"),
        ({"batch": 0}, "batch must be a whole number of at least 1, not 0"),
        ({"seed": -1}, "seed must be a whole number of at least 0, not -1"),
        ({"space": grid(shift=[1.0])}, "space must have a scale or a list"),
        ({"mode": "best"}, "mode must be 'max' or 'min', not 'best'"),
        ({"statistic": "mode"}, "statistic must be one of .* not 'mode'"),
        ({"steps": 0}, "steps must be a whole number"),
    ],
)
def test_bad_arguments(options, words):
    with pytest.raises(ValueError, match=words):
        search(**options)


def test_several_processes_that_are_one(monkeypatch):
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    with pytest.raises(ValueError, match="A search is of one process, but here are 2"):
        search()


def test_a_metric_that_is_not_there():
    with pytest.raises(KeyError, match="There is no metric 'test_lose'; there are"):
        search(metric="test_lose")


def test_nothing_is_best_where_all_diverge():
    study, result = search(space={**SPACE, "learning_rate": linear(1e29, 1e30)}, n=8)
    assert {t.state for t in study.trials} == {TrialState.PRUNED}
    assert math.isnan(result.best("test_loss").value)
