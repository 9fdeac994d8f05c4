"""Lanes over eight devices: where runs are, and that the number and choice of devices changes no result."""

import jax
import numpy as np
import problem
import pytest

from momentum_optax.sweeps import Population, SuccessiveHalving, grid, log, sweep
from momentum_optax.sweeps.engine import engine

POINTS = grid(learning_rate=[0.01, 0.03, 0.1, 0.3], beta=[0.0, 0.9])
TRIAL = problem.make_trial()
ALL = jax.devices()


def run(devices, points=POINTS, **options):
    return sweep(
        TRIAL, points, **{"seeds": 3, "steps": 20, "evaluate_every": 5, "strategy": "vmap", **options}, devices=devices
    )


@pytest.fixture
def seen(monkeypatch):
    """What batches are like after each rung: for each leaf of the state, the shape on each device."""
    seen = []

    def advance(self, *arguments):
        rung = honest(self, *arguments)
        for batch in self._batches:
            leaves = jax.tree.leaves((batch.state, batch.hyper))
            seen.append([{s.device: s.data.shape for s in leaf.addressable_shards} for leaf in leaves])
        return rung

    honest = engine.Engine.advance
    monkeypatch.setattr(engine.Engine, "advance", advance)
    return seen


def assert_near(result, expected):
    np.testing.assert_array_equal(result.pruned_at, expected.pruned_at)
    for name, values in expected.metrics.items():
        np.testing.assert_allclose(result.metrics[name], values, rtol=1e-5, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("strategy", ["vmap", "step"])
@pytest.mark.parametrize("devices", [ALL, ALL[5:8], ALL[3:1:-1]])
def test_every_device_has_a_part_of_every_state(seen, devices, strategy):
    result = run(devices, strategy=strategy, lanes_per_chunk=2)
    assert result.settings["devices"] == len(devices)
    assert len(seen) >= 4  # rungs
    for batch in seen:
        for leaf in batch:
            assert set(leaf) == set(devices)
            assert {int(np.prod(shape[:2])) for shape in leaf.values()} <= {1, 2}
            assert len(set(leaf.values())) == 1


@pytest.mark.parametrize(("points", "seeds"), [(7, 3), (5, 5), (1, 9), (13, 1), (1, 1)])
def test_a_mesh_that_does_not_divide_the_runs(seen, points, seeds):
    """What is too much is trained twice, and in no result."""
    points = [{"learning_rate": 0.01 * (i + 1), "beta": 0.5} for i in range(points)]
    result = run(ALL, points, seeds=seeds)
    assert_near(result, run(ALL[:1], points, seeds=seeds, threads=1))
    many, single = seen[0], seen[-1]
    assert len(many[0]) == min(8, len(points) * seeds)
    assert len(single[0]) == 1


@pytest.mark.parametrize(
    "options",
    [
        {"pruning": SuccessiveHalving(5, factor=2)},
        {"population": Population(5, {"learning_rate": log(1e-3, 1)}, fraction=0.25)},
        {"folds": 2},
    ],
)
def test_what_moves_runs_between_devices(seen, options):
    result = run(ALL, lanes_per_chunk=1, **options)
    assert all(set(leaf) == set(ALL) for batch in seen for leaf in batch)
    assert_near(result, run(ALL[:1], threads=1, lanes_per_chunk=1, **options))


def test_a_folder_from_other_devices(tmp_path):
    def stop(now):
        if now.rung == 2:
            raise KeyboardInterrupt

    options = {"pruning": SuccessiveHalving(5, factor=2)}
    with pytest.raises(KeyboardInterrupt):
        run(ALL, folder=tmp_path, progress=stop, **options)
    with pytest.warns(UserWarning, match="begun elsewhere: platform.devices"):
        result = run(ALL[:3], folder=tmp_path, **options)
    assert_near(result, run(ALL[:1], threads=1, **options))
