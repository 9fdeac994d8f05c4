"""Strategies, structures, memory, pruning and populations, through `sweep`."""

import copy
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
import problem
import pytest
from driven import POINTS, assert_near, run

import momentum_optax as mo
from momentum_optax import sweeps
from momentum_optax.sweeps import grid
from momentum_optax.sweeps.engine import engine, strategy
from momentum_optax.sweeps.storage.shared_store import SharedStore


@pytest.fixture(scope="module")
def plain():
    return run()


@pytest.mark.parametrize("way", ["map", "step", "auto"])
@pytest.mark.parametrize("where", [{}, {"threads": 2}, {"devices": jax.devices()[:4], "threads": None}])
def test_every_strategy_gives_the_same(plain, way, where):
    result = run(strategy=way, **where)
    assert_near(result, plain)
    assert result.settings["ways"][0]["chunk"] == 1 or way != "map"


@pytest.mark.parametrize("chunk", [1, 2, 7])
@pytest.mark.parametrize("way", ["vmap", "step"])
def test_equal_chunks_give_equal_bits(way, chunk):
    """Whatever the neighbours are: the same point among others, elsewhere in the chunk, in another chunk."""
    whole = run(lanes_per_chunk=chunk, strategy=way)
    fewer = run(grid(learning_rate=[0.3, 7.0, 0.03], beta=[0.9, 0.0]), lanes_per_chunk=chunk, strategy=way)
    for name, values in whole.metrics.items():
        for (rate, beta), at in {(0.3, 0.9): 0, (0.3, 0.0): 1, (0.03, 0.9): 4, (0.03, 0.0): 5}.items():
            index = list(whole.points).index({"learning_rate": rate, "beta": beta})
            np.testing.assert_array_equal(fewer.metrics[name][at], values[index], err_msg=name)


def test_a_smooth_problem_does_not_feel_the_layout():
    """100 steps in float32: to 1e-6, whatever the neighbours, the chunks and the mesh."""

    def step(hp, state, key):
        x, memory = state
        updates, memory = mo.heavy_ball(hp["learning_rate"], hp["beta"]).update(x * scales, memory, x)
        return (x + updates, memory), (scales * x**2).sum() / 2

    def init(hp, key):
        x = jax.random.normal(key, (8,))
        return x, mo.heavy_ball(hp["learning_rate"], hp["beta"]).init(x)

    scales = np.linspace(0.1, 1, 8, dtype=np.float32)
    trial = sweeps.trial(init, step, lambda hp, state: {"x0": state[0][0], "norm": (state[0] ** 2).sum()})
    points = grid(learning_rate=[0.05, 0.2], beta=[0.0, 0.5, 0.9])
    expected = run(points, trial, steps=100, evaluate_every=25, strategy="map", threads=1)
    for options in (
        {"lanes_per_chunk": 4},
        {"strategy": "step", "lanes_per_chunk": 2},
        {"devices": jax.devices()[:8], "threads": None},
        {"threads": 2},
    ):
        found = run(points, trial, steps=100, evaluate_every=25, **options)
        for name in ("x0", "norm", "train_loss"):
            scale = np.abs(expected.metrics[name]).max(axis=-1, keepdims=True)
            assert (np.abs(found.metrics[name] - expected.metrics[name]) <= 1e-6 * scale).all(), (options, name)


def test_structures_are_programs_of_their_own(plain):
    def optimizer(hp):
        return {"sgd": optax.sgd, "heavy": mo.heavy_ball}[hp["method"]](
            hp["learning_rate"], hp["beta"], **({"nesterov": hp["nesterov"]} if hp["method"] == "sgd" else {})
        )

    points = grid(method=["sgd"], nesterov=[False, True]) * POINTS + grid(method=["heavy"]) * POINTS
    result = run(points, problem.make_trial(optimizer=optimizer))
    assert len(result.settings["ways"]) == 3
    assert_near(sweeps.SweepResult(**{**vars(result), **part(result, slice(0, 6))}), plain)
    heavy = sweeps.SweepResult(**{**vars(result), **part(result, slice(12, 18))})
    assert_near(heavy, plain)  # heavy ball and SGD with momentum are the same
    assert not np.allclose(result.metrics["test_loss"][6:12], plain.metrics["test_loss"], rtol=1e-3)


def part(result, where):
    arrays = {name: getattr(result, name)[where] for name in ("diverged_at", "pruned_at", "cost")}
    return {"points": result.points[where], "metrics": {k: v[where] for k, v in result.metrics.items()}, **arrays}


@pytest.mark.parametrize("way", ["vmap", "step"])
def test_several_devices_get_their_work_from_one_thread(monkeypatch, way):
    """Two threads would wait for one another, each with some devices waiting for its program."""
    launching, waiting, most = [], [], 0

    def train(self, *arguments):
        job = honest(self, *arguments)

        def launch(state):
            nonlocal most
            launching.append(None)
            time.sleep(0.01)
            most = max(most, len(launching))
            state, rung = job(state)
            launching.pop()
            waiting.append(None)
            return state, lambda: (waiting.pop(), rung())[1]

        return launch

    honest = engine.Trainer.train
    monkeypatch.setattr(engine.Trainer, "train", train)
    held = []
    run(devices=jax.devices()[:2], lanes_per_chunk=1, strategy=way, progress=lambda _: held.append(len(waiting)))
    assert most == 1
    assert max(held) <= 1  # at most one more was launched before the last was waited for


@pytest.mark.parametrize(
    "rule",
    [
        {"pruning": sweeps.SuccessiveHalving(5, factor=2)},
        {"population": sweeps.Population(5, {"learning_rate": sweeps.log(1e-3, 1)})},
    ],
)
def test_what_is_being_written_does_not_change_meanwhile(monkeypatch, rule):
    taken = []

    def save(self, rung, snapshot):
        found = snapshot()
        taken.append((found, copy.deepcopy(found)))

    monkeypatch.setattr(SharedStore, "save", save)
    run(grid(learning_rate=[0.01, 0.1, 3e38], beta=[0.0, 0.9]), **rule)
    assert len(taken) == 6
    for now, then in taken:
        jax.tree.map(np.testing.assert_array_equal, now, then)


def test_pruned_points_cost_nothing_and_the_others_go_on(plain):
    trained = []
    result = run(
        pruning=sweeps.SuccessiveHalving(5, factor=2),
        lanes_per_chunk=2,
        progress=lambda p: trained.append(p.lane_steps),
    )
    stopped = result.pruned_at[:, 0]
    assert sorted(stopped) == [-1, 5, 5, 5, 10, 10]
    kept = stopped < 0
    for name, values in plain.metrics.items():
        np.testing.assert_allclose(result.metrics[name][kept], values[kept], rtol=1e-5, atol=1e-6)
        for point, step in enumerate(stopped):
            rest = result.metrics[name][point][:, result.steps > step] if step > 0 else np.array(np.nan)
            assert np.isnan(rest).all()
    assert trained[-1] == result.cost.sum() == 3 * (30 + 3 * 5 + 2 * 10)
    # The survivor is the best by the full sweep's first evaluations.
    early = np.median(plain.metrics["test_accuracy"], axis=1)
    assert early[kept, 1] >= np.partition(early[:, 1], -3)[-3]


def test_a_population_copies_and_explores():
    points = grid(learning_rate=[1e-5, 1e-4, 1e-3, 0.3], beta=[0.0, 0.5])
    scales = {"learning_rate": sweeps.log(1e-5, 1.0), "beta": sweeps.one_minus_log(0.0, 0.99)}
    population = sweeps.Population(10, scales, fraction=0.25)
    result = run(points, steps=60, evaluate_every=10, population=population, metric="test_loss")
    alone = run(points, steps=60, evaluate_every=10)
    rates = result.metrics["current_learning_rate"]
    assert (rates[..., 0] == np.asarray([p["learning_rate"] for p in points], np.float32)[:, None]).all()
    assert (rates[..., -1] != rates[..., 0]).any()
    assert ((rates >= 1e-5) & (rates <= 1)).all()
    worst = lambda r: np.nanmax(r.metrics["test_loss"][..., -1])  # noqa: E731
    assert worst(result) < worst(alone)
    again = run(points, steps=60, evaluate_every=10, population=population, metric="test_loss", lanes_per_chunk=3)
    np.testing.assert_array_equal(again.metrics["current_beta"], result.metrics["current_beta"])


def test_who_copies_a_healthy_run_has_not_diverged():
    points = [*grid(learning_rate=[0.03, 0.1, 0.3], beta=[0.0, 0.5]), {"learning_rate": 3e38, "beta": 0.9}]
    population = sweeps.Population(10, {"learning_rate": sweeps.log(1e-3, 0.5)}, fraction=0.2)
    result = run(points, steps=30, evaluate_every=10, population=population)
    assert np.isnan(result.metrics["test_loss"][-1, :, 0]).all()
    assert np.isfinite(result.metrics["test_loss"][-1, :, 1:]).all()
    assert not result.diverged.any()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"strategy": "pmap"}, "strategy must be one of 'auto', 'vmap', 'map', 'step', not 'pmap'"),
        ({"epochs": 2, "steps": 3}, "epochs=2 and steps=3 say the same"),
        ({"pruning": 3}, "pruning must be a `Pruning`, not 3"),
        ({"population": 3}, "population must be a `Population`, not 3"),
        ({"population": sweeps.Population(7, {"beta": sweeps.linear(0.0, 0.9)})}, "every 7 steps.*evaluate_every=5"),
        ({"population": sweeps.Population(5, {"b": sweeps.linear(0.0, 0.9)})}, "no number of the points is called 'b'"),
        ({"metric": "accuracy"}, "no metric 'accuracy'"),
        ({"mode": "best"}, "mode must be 'max' or 'min', not 'best'"),
        ({"folds": 1}, "folds must be a whole number of at least 2, not 1"),
        ({"folds": 61}, "folds must be at most 60"),
    ],
)
def test_bad_arguments(options, words):
    with pytest.raises((ValueError, TypeError, KeyError), match=words):
        run(**({"steps": 10} | options))


def test_a_label_and_methods_are_two_names_for_one_thing():
    with pytest.raises(ValueError, match="the points have a method of their own"):
        run(grid(method=["a"]) * POINTS, label="sgd")


def test_epochs():
    result = run(steps=None, epochs=2, evaluate_every=None)
    assert result.steps[-1] == 20  # 60 samples in batches of 6


def test_auto_times_what_is_worth_it(plain, monkeypatch):
    for limit in ("_TOO_SMALL", "_WORTH_TIMING"):
        monkeypatch.setattr(strategy, limit, 0.0)
    monkeypatch.setattr(strategy, "_PROBE_SECONDS", 0.01)
    result = run(strategy="auto")
    way = result.settings["ways"][0]
    seconds = way["seconds_per_step"]
    assert set(seconds) >= {"step", "map"}
    assert min(seconds, key=seconds.get) == way["strategy"]
    assert_near(result, plain)


def test_points_that_are_lost_are_not_trained_on(plain):
    points = [*POINTS, *grid(learning_rate=[1e38, 2e38, 3e38], beta=[0.0, 0.9])]
    told = []
    result = run(points, lanes_per_chunk=3, progress=told.append)
    assert result.diverged.tolist() == [[False] * 3] * 6 + [[True] * 3] * 6
    assert (result.pruned_at == -1).all()
    assert result.cost.tolist() == [[30] * 3] * 6 + [[5] * 3] * 6
    assert told[-1].lane_steps == told[-1].lane_steps_total == result.cost.sum()
    assert_near(sweeps.SweepResult(**{**vars(result), **part(result, slice(0, 6))}), plain)


def test_all_may_be_lost():
    result = run(grid(learning_rate=[1e38, 3e38], beta=[0.9]))
    assert result.diverged.all()
    assert result.cost.max() == 5
    assert np.isnan(result.metrics["test_loss"]).all()


def test_a_metric_that_is_never_finite_ends_nothing():
    def nowhere(predictions, targets):
        return jnp.full(len(targets), jnp.inf)

    trial = problem.make_trial(metrics={"accuracy": sweeps.accuracy, "nowhere": nowhere})
    points = grid(learning_rate=[0.1, 3e38], beta=[0.0])
    with pytest.warns(UserWarning, match="'test_nowhere' is infinite or NaN for all runs") as warned:
        result = run(points, trial)
    assert len(warned) == 1
    expected = run(points)
    np.testing.assert_array_equal(result.diverged, expected.diverged)
    np.testing.assert_array_equal(result.diverged, [[False] * 3, [True] * 3])
    np.testing.assert_array_equal(result.metrics["test_accuracy"], expected.metrics["test_accuracy"])
    assert (result.metrics["test_nowhere"][0] == np.inf).all()
    assert result.best("test_nowhere", "max").index == 0


@pytest.mark.parametrize("seeds", [1, 2])
@pytest.mark.parametrize("way", ["vmap", "map", "step"])
def test_numbers_of_python_are_states_and_metrics(seeds, way):
    def step(hp, state, key):
        return {"x": state["x"] + hp["rate"]}, state["x"] * 1.0

    trial = sweeps.trial(lambda hp, key: {"x": 0.0}, step, lambda hp, state: {"x": state["x"], "one": 1.0})
    result = run({"rate": 0.5}, trial, seeds=seeds, strategy=way)
    np.testing.assert_allclose(result.metrics["x"], np.broadcast_to(np.arange(1, 7) * 2.5, (1, seeds, 6)))
    assert (result.metrics["one"] == 1).all()
