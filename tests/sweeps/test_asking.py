"""Asking and telling, without any training; stopped at every possible moment."""

import itertools

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState
from sqlalchemy.exc import OperationalError

from momentum_optax.sweeps import linear, log
from momentum_optax.sweeps.search import asking
from momentum_optax.sweeps.search.asking import NAME, Desk, open_study
from momentum_optax.sweeps.search.suggestions import suggestions

SPACE = {"x": linear(-1, 2), "y": log(0.01, 100)}
N, SIZE = 12, 5


def bowl(point):
    return (point["x"] - 1) ** 2 + (point["y"] - 3) ** 2


def desk(study=None, worker="", seed=0, space=SPACE):
    study, _, sampler = open_study(study, None, "test_loss", None, seed, worker)
    return study, Desk(study, suggestions(space), worker, sampler)


def search(study=None, n=N, value=bowl, again=False, **options):
    """Runs a search; the study and the batches."""
    study, desk_ = desk(study, **options)
    batches = []
    for batch in desk_.batches(n, SIZE, again=again):
        desk_.tell(batch.numbers, [value(point) for point in batch.points])
        batches.append(batch)
    return study, batches


def values(study):
    return [trial.value for trial in study.get_trials() if trial.state == TrialState.COMPLETE]


def test_batches_fill_the_study():
    study, batches = search()
    assert [(b.first, len(b.points)) for b in batches] == [(0, 5), (5, 5), (10, 2)]
    assert [number for b in batches for number in b.numbers] == list(range(N))
    points = [point for b in batches for point in b.points]
    assert values(study) == [bowl(point) for point in points]
    assert all(-1 <= p["x"] <= 2 and 0.01 <= p["y"] <= 100 for p in points)
    assert len({p["x"] for p in points}) == N


def test_proposals_depend_on_the_seed_and_the_worker():
    first, same, other, elsewhere = (
        search(seed=seed, worker=w)[0] for seed, w in [(0, ""), (0, ""), (1, ""), (0, "b")]
    )
    assert values(first) == values(same)
    assert set(values(first)).isdisjoint(values(other))
    assert set(values(first)).isdisjoint(values(elsewhere))


def test_a_point_that_is_worse_than_all_others_is_pruned():
    study, _ = search(value=lambda p: None if p["x"] > 1.5 else bowl(p))
    states = {t.number: t.state for t in study.get_trials()}
    pruned = {t.number for t in study.get_trials() if t.params["x"] > 1.5}
    assert pruned
    assert states == {n: TrialState.PRUNED if n in pruned else TrialState.COMPLETE for n in range(N)}


def test_tpe_learns_where_runs_diverge():
    """The best points are beside the cliff. Were those behind it told as failed, three of four would go there."""

    def behind(seed):
        study, _ = search(n=60, seed=seed, value=lambda p: None if p["x"] > 0.8 else bowl(p))
        return [trial.params["x"] > 0.8 for trial in study.get_trials()[30:]]

    assert np.mean([behind(seed) for seed in range(3)]) < 0.5


@pytest.mark.parametrize("batch", [0, 1])
def test_asking_goes_on_where_it_was(batch, tmp_path):
    whole, _ = search()
    study, desk_ = desk(tmp_path / "study.db")
    for index, b in enumerate(desk_.batches(N, SIZE, again=False)):
        if index == batch:
            break  # asked, and never told
        desk_.tell(b.numbers, [bowl(point) for point in b.points])
    assert len(study.get_trials(states=[TrialState.RUNNING])) == SIZE
    again, batches = search(tmp_path / "study.db")
    assert batches[0].first == batch * SIZE
    assert (len(again.get_trials()), values(again)) == (N, values(whole))


class Stopped(BaseException):
    """As by a signal."""


def stop_after(monkeypatch, calls):
    """Stops at the given number of calls that change a study, before or after the change."""
    counter = itertools.count()

    def stopping(owner, name):
        real = getattr(owner, name)

        def call(*args, **kwargs):
            if next(counter) == calls:
                raise Stopped
            result = real(*args, **kwargs)
            if next(counter) == calls:
                raise Stopped
            return result

        monkeypatch.setattr(owner, name, call)

    for owner, name in [
        *((optuna.Study, name) for name in ("ask", "tell")),
        *((optuna.Trial, name) for name in ("set_user_attr", "suggest_float")),
    ]:
        stopping(owner, name)


def test_stopped_anywhere_it_goes_on(monkeypatch):
    whole, _ = search()
    stopped = 0
    for calls in itertools.count():
        study = optuna.create_study(study_name=NAME)
        with monkeypatch.context() as patch, pytest.MonkeyPatch.context() as storage:
            # The study is found again, as in a file.
            storage.setattr(optuna, "create_study", lambda study=study, **_: study)
            stop_after(patch, calls)
            try:
                search()
                break
            except Stopped:
                stopped += 1
            patch.undo()
            search()
        running = [t for t in study.get_trials() if t.state == TrialState.RUNNING]
        assert not running, calls
        lost = [t for t in study.get_trials() if t.state == TrialState.FAIL]
        assert len(lost) <= 1, calls
        assert values(study) == values(whole), calls
    assert stopped == 2 * N * 5  # ask, note, x, y, tell


def test_what_others_run_is_left_alone(tmp_path):
    path = tmp_path / "study.db"
    _, other = desk(path, worker="b")
    theirs = next(iter(other.batches(N, SIZE, again=False)))
    study, batches = search(path, worker="a")
    assert sum(len(b.points) for b in batches) == N - SIZE
    assert {t.number for t in study.get_trials(states=[TrialState.RUNNING])} == set(theirs.numbers)
    other.tell(theirs.numbers, [bowl(point) for point in theirs.points])
    assert len(values(study)) == N


def test_two_of_one_name_tell_once(tmp_path):
    path = tmp_path / "study.db"
    _, one = desk(path)
    batch = next(iter(one.batches(N, SIZE, again=False)))
    _, two = desk(path)
    same = next(iter(two.batches(N, SIZE, again=False)))
    assert same == batch
    two.tell(same.numbers, [1.0] * SIZE)
    one.tell(batch.numbers, [1.0] * SIZE)


def test_what_was_told_is_not_told_again(caplog):
    study, batches = search()
    before = values(study)
    caplog.clear()
    Desk(study, suggestions(SPACE), "", None).tell(batches[0].numbers, [0.0] * SIZE)
    assert values(study) == before
    assert not caplog.records


def test_finished_batches_come_again_if_wanted():
    study, batches = search()
    desk_ = Desk(study, suggestions(SPACE), "", None)
    assert list(desk_.batches(N, SIZE, again=True)) == batches
    assert list(desk_.batches(N, SIZE, again=False)) == []
    assert [len(b.points) for b in desk_.batches(N + 2, SIZE, again=False)] == [2]


def test_a_study_of_ones_own():
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(0))
    study.enqueue_trial({"x": 1.5, "y": 2.0})
    sampler = study.sampler
    found, mode, made = open_study(study, None, "test_loss", None, 0, "")
    assert (found, mode, made, study.sampler) == (study, "max", None, sampler)
    batch = next(iter(Desk(study, suggestions(SPACE), "", None).batches(4, 4, again=False)))
    assert batch.points[0] == {"x": 1.5, "y": 2.0}


def test_studies_that_do_not_fit():
    down = optuna.create_study()
    with pytest.raises(ValueError, match=r"mode='max' for test_loss, but the study .* is one of mode 'min'"):
        open_study(down, None, "test_loss", "max", 0, "")
    with pytest.raises(ValueError, match="has 2 objectives"):
        open_study(optuna.create_study(directions=["minimize"] * 2), None, "test_loss", None, 0, "")
    study, _ = search()
    with pytest.raises(ValueError, match=r"is about x, y, not x, z\. Give another"):
        list(Desk(study, suggestions({"x": linear(0, 1), "z": linear(0, 1)}), "", None).batches(30, 3, again=False))


def test_a_file_of_the_other_direction(tmp_path):
    open_study(tmp_path / "a" / "study.db", None, "test_loss", None, 0, "")
    with pytest.raises(ValueError, match="mode='max'"):
        open_study(tmp_path / "a" / "study.db", None, "test_accuracy", None, 0, "")
    assert open_study(None, tmp_path / "a", "test_loss", None, 0, "")[1] == "min"


def test_an_address_is_optunas_own():
    study, *_ = open_study("sqlite://", None, "test_loss", None, 0, "")  # in memory
    assert isinstance(study._storage._backend, optuna.storages.RDBStorage)
    assert str(study._storage._backend.engine.url) == "sqlite://"
    study._storage._backend.engine.dispose()


def test_a_database_that_another_process_is_making(monkeypatch, tmp_path):
    real, tried = asking._storage, []

    def busy(*args):
        tried.append(args)
        if len(tried) != 3:
            raise OperationalError("CREATE TABLE", {}, Exception("table studies already exists"))
        return real(*args)

    monkeypatch.setattr(asking.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(asking, "_storage", busy)
    open_study(tmp_path / "study.db", None, "test_loss", None, 0, "")
    assert len(tried) == 3
    with pytest.raises(OperationalError, match="already exists"):  # for ever
        open_study(tmp_path / "study.db", None, "test_loss", None, 0, "")
    assert len(tried) == 3 + asking.TRIES
