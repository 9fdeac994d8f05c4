"""The benchmarks run, and what they count is right; nothing here looks at a clock."""

import functools
import importlib
import importlib.util
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))


@pytest.fixture(autouse=True)
def a_users_weather():
    """The tests' own ranks are stricter than JAX's default."""
    with jax.numpy_rank_promotion("allow"):
        yield


@pytest.fixture(scope="module")
def convergence():
    return importlib.import_module("convergence")


@pytest.fixture(scope="module")
def noise():
    return importlib.import_module("noise")


@pytest.fixture(scope="module")
def adaptive_beta():
    return importlib.import_module("adaptive_beta")


@pytest.fixture(scope="module")
def tuning():
    return importlib.import_module("tuning")


def rows(text: str) -> dict[str, list[str]]:
    """The rows of the tables that were printed, by their first cell."""
    cells = [[c.strip() for c in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    return {name: rest for name, *rest in cells}


def test_convergence_prints_a_row_for_every_method(convergence, capsys):
    convergence.main(quick=True)
    table = rows(capsys.readouterr().out)
    assert set(convergence.QUICK) < set(table)
    # In 200 dimensions, 200 steps along conjugate directions are enough, but for rounding.
    assert int(table["polyak_heavy_ball"][2].split()[0]) <= 240
    assert not any("not in" in cell for cells in table.values() for cell in cells)


def test_noise_prints_a_row_for_every_method(noise, capsys):
    noise.main(quick=True)
    assert set(noise.QUICK) < set(rows(capsys.readouterr().out))


def test_gradient_descent_is_counted_in_closed_form(convergence):
    h, x, goal = convergence.curvatures(1e2), convergence.start(), 1e-8
    first, count = h @ x**2, 0
    while h @ x**2 > goal * first:
        x, count = x - h * x, count + 1
    assert convergence.gradient_descent_steps(1e2) == count


def test_noise_adds_up_to_what_theory_says_of_gradient_descent(noise):
    """The variance of each error after t steps is `noise^2 (1 - (1 - h)^(2 t)) / (h (2 - h))`."""
    seeds, times = 64, (10, 50)
    found = noise.noisy(noise.NOISY["gradient descent"](), times, seeds)
    h, error = noise.path()
    for i, t in enumerate(times):
        np.testing.assert_allclose(found.clean[i], h @ ((1 - h) ** t * error) ** 2 / 2, rtol=1e-9)
        exact = np.sum(noise.NOISE**2 * (1 - (1 - h) ** (2 * t)) / (2 - h)) / 2
        measured = found.accumulated[:, i]
        assert abs(measured.mean() - exact) < 4 * measured.std(ddof=1) / np.sqrt(seeds)
        np.testing.assert_allclose(measured.mean(), exact, rtol=0.1)


def test_the_path_is_the_laplacian_pulled_at_one_end(noise):
    h, error = noise.path()
    n = len(h)
    laplacian = (2 * np.eye(n) - np.eye(n, k=1) - np.eye(n, k=-1)) / 4
    values, vectors = np.linalg.eigh(laplacian)
    np.testing.assert_allclose(h, values, rtol=1e-9)
    minimum = np.linalg.solve(laplacian, np.eye(n)[0])
    np.testing.assert_allclose(np.abs(error), np.abs(vectors.T @ minimum), rtol=1e-6)


def test_adaptive_beta_prints_a_row_for_every_method(adaptive_beta, capsys):
    adaptive_beta.main(quick=True, problems=["digits"])
    table = rows(capsys.readouterr().out)
    assert set(adaptive_beta.QUICK) < set(table)


def test_every_method_has_as_many_trials(adaptive_beta):
    for name, contender in adaptive_beta.CONTENDERS.items():
        assert len(set(contender.values)) == 4, name


def test_choosing_testing_and_training_share_no_sample(tuning):
    problem = tuning.digits_problem()
    train, rest = problem.data.train_inputs, problem.data.test_inputs
    assert (len(train), problem.validation, len(rest)) == (1077, 360, 720)
    assert len(np.unique(np.concatenate([train, rest]), axis=0)) == 1797
    assert 0 < tuning.characters().validation < len(tuning.characters().data.test_inputs)


def test_the_trial_is_chosen_without_the_seeds_it_is_tested_with(tuning):
    seeds = (*tuning.TUNING_SEEDS, 0, 1)
    choosing = np.array([[3.0, 3, 3, 0, 0], [2, 2, 2, 9, 9], [1, 1, np.nan, 0, 0]])
    metrics = {
        "test_choosing": choosing,
        "test_unseen": np.arange(15.0).reshape(3, 5),
        "test_accuracy": np.zeros((3, 5)),
        "train_loss": np.zeros((3, 5)),
        "beta": np.zeros((3, 5)),
    }
    from momentum_optax.sweeps import SweepResult

    points = tuple({"learning_rate": 0.1, "own": own} for own in (0.1, 0.2, 0.3))
    last = {name: values[..., None] for name, values in metrics.items()}
    result = SweepResult(points, seeds, np.array([1]), last, np.full((3, 5), -1), {})
    np.testing.assert_array_equal(tuning.choose(result).loss, [8, 9])
    np.testing.assert_array_equal(tuning.choose(result, own=0.1).loss, [3, 4])


def test_intervals_are_of_paired_differences(tuning):
    mean, low, high = tuning.bootstrap(np.array([1.0] * 10))
    assert mean == low == high == 1
    # Of 100 values of which half are 3 and half 5, a mean of 100 draws has the deviation 1 / 10.
    np.testing.assert_allclose(tuning.bootstrap(np.array([3.0, 5.0] * 50)), [4, 3.8, 4.2], atol=0.03)
    assert "diverged" in tuning.difference(np.array([1.0, np.nan]), np.array([1.0, 1.0]))


@pytest.fixture(scope="module")
def race():
    return importlib.import_module("race")


def test_every_optimizer_and_wrapper_races_or_says_why_not(race):
    assert race.missing() == set()
    assert not set(race.ABSENT) & set(race.CONTENDERS)


def test_every_racer_has_as_many_trials_and_starts_from_a_default(race):
    for name, contender in race.CONTENDERS.items():
        assert (len(set(contender.values)), len(set(contender.learning_rates))) == (4, 6), name
        contender.build(0.1, contender.values[0])


def test_a_choice_on_the_edge_of_what_was_tried_is_marked(race):
    tried = [0.1, 0.01, 1.0]
    assert [race.marked(np.float32(value), tried, ".2g") for value in tried] == ["0.1", "0.01*", "1*"]


def test_the_race_is_ranked_by_the_loss_on_unseen_data(race, capsys):
    race.main(quick=True, problems=["digits"], methods=["heavy_ball", "lion"])
    table = rows(capsys.readouterr().out)
    losses = {cells[0]: float(cells[2]) for place, cells in table.items() if place.isdigit()}
    assert set(losses) == {"heavy_ball", "lion"}
    assert list(losses.values()) == sorted(losses.values())


@pytest.mark.parametrize("large", [False, True])
def test_compiling_is_compared_with_optax(large):
    growth = importlib.import_module("compile_growth")
    cells = growth.measure("heavy_ball", leaves=3, sizes=2, compiles=1, large=large)
    assert cells[:3] == ["heavy_ball", "3", "2"]
    assert float(cells[-1]) > 0


@pytest.fixture(scope="module")
def sweep_speed():
    return importlib.import_module("sweep_speed")


def test_all_ways_of_a_sweep_train_the_same_runs(sweep_speed):
    from sweep_ways import Ways, points

    first = functools.partial(sweep_speed.init, inputs=16)
    ways = Ways(first, sweep_speed.apply, sweep_speed.images(16), points(4), seeds=2, steps=5, batch=8)
    runs = [(point, seed) for seed in range(2) for point in range(4)]
    expected = ways.loop(runs).train().reshape(2, 4)
    assert len(np.unique(expected)) == 8
    assert ways.some(4) == [(0, 0), (1, 0), (2, 0), (3, 0)]
    found = {
        "ours": ways.ours(),
        "by hand": ways.together(),
        "steps": ways.step_loop(runs),
    }
    if importlib.util.find_spec("torch"):
        found["torch"] = ways.torch(sweep_speed.torch_network, runs)
    for name, way in found.items():
        assert way.runs == 8
        np.testing.assert_allclose(way.train().reshape(2, 4), expected, rtol=1e-4, err_msg=name)
    np.testing.assert_allclose(ways.compile_each(runs[1:2]).train(), expected[0, 1], rtol=1e-4)


def first_cells(text: str) -> list[str]:
    """The first cells of Markdown tables that were printed, in order."""
    return [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("|") and "---" not in line]


def test_a_sweep_is_timed_beside_what_is_written_by_hand(sweep_speed, capsys):
    sweep_speed.main(["--quick", "--markdown"])
    assert first_cells(capsys.readouterr().out)[:3] == ["way", sweep_speed.OURS, sweep_speed.TOGETHER]


def test_targets_of_a_sweep(sweep_speed):
    from sweep_ways import Time

    def missed(name, ratio, network="64-64-10", batch=8):
        return sweep_speed.missed({name: Time(1.0, 1.0, (0.0, ratio, 9e9), 1.0)}, network, batch)

    assert missed(sweep_speed.TOGETHER, 0.96) == []
    assert missed(sweep_speed.TOGETHER, 0.95) == ["vmap + shard_map, by hand: 0.95 instead of 0.95"]
    assert missed("jitted loop", 4.9, "16-8-10")
    assert not missed("jitted loop", 4.9)
    assert missed("jitted loop", 1.9, batch=128)
    assert missed("PyTorch's loop", 14.9)
    assert not missed("PyTorch's loop", 15.1)


def test_convolutions_are_trained_in_every_way(capsys, monkeypatch):
    cnn = importlib.import_module("sweep_cnn")
    for limit in ("_TOO_SMALL", "_WORTH_TIMING", "_PROBE_SECONDS"):
        monkeypatch.setattr(cnn.strategy, limit, 0.0)
    ways = {conv: cnn.ways_of(8, f, lanes=16, steps=2, batch=16)[1] for conv, f in cnn.CONVOLUTIONS.items()}
    xla, patches = ways.values()
    expected = xla[cnn.STEPS].train()
    np.testing.assert_allclose(patches[cnn.STEPS].train(), expected, rtol=1e-4)
    assert set(cnn.STRATEGIES["cpu"]) < set(patches)
    found = patches[cnn.AUTO].train()
    np.testing.assert_allclose([found[0, point] for point in range(4)], expected, rtol=1e-4)


def test_memory_is_compared_with_what_the_compiler_says():
    devices = importlib.import_module("sweep_devices")
    _, few = devices.grown(lanes=32, batch=8, steps=2)
    _, many = devices.grown(lanes=128, batch=8, steps=2)
    assert 3 < many / few < 5


def test_rules_are_compared_with_the_full_sweep(capsys):
    halving = importlib.import_module("sweep_halving")
    halving.compare(quick=True, markdown=True)
    _, _, full, *others = rows(capsys.readouterr().out).items()
    assert full[0] == halving.FULL
    assert [name for name, _ in others] == list(halving.Work(quick=True).rules)
    assert float(full[1][3]) == 1.0
    assert all(float(cells[3]) < 1 for _, cells in others)


def test_a_sweep_says_how_long_it_took(capsys):
    importlib.import_module("sweep_halving").alone(quick=True)
    assert "32 runs, of which" in capsys.readouterr().out
