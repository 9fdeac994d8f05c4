"""Every script in examples/ runs with few steps, and what it returns is right."""

import importlib.util
import inspect
import re
from pathlib import Path

import jax
import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture(autouse=True)
def a_users_weather():
    """The tests' own ranks are stricter than JAX's default."""
    with jax.numpy_rank_promotion("allow"):
        yield


def load(name: str):
    spec = importlib.util.spec_from_file_location("example_" + name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_momentum_beats_gradient_descent_at_the_rates_of_theory(tmp_path):
    example, picture = load("01_quadratic"), tmp_path / "quadratic.png"
    losses = example.main(steps=120, picture=str(picture))
    last = {name: values[-1] for name, values in losses.items()}
    assert last["heavy ball"] < 1e-6 * last["Nesterov"]
    assert last["Nesterov"] < 1e-6 * last["gradient descent"]
    for name, (_, rate) in example.METHODS.items():
        measured = (losses[name][120] / losses[name][90]) ** (1 / 60)  # per step, of the distance
        np.testing.assert_allclose(measured, rate, rtol=0.02, err_msg=name)
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_nnx_classifier_reads_digits():
    assert load("02_flax_nnx").main(steps=120) > 0.93


def test_linen_classifier_reads_digits():
    assert load("03_flax_linen").main(steps=120) > 0.9


def test_vmapped_sweep_finds_a_good_point():
    accuracy = load("04_vmapped_sweep").main(steps=80, seeds=2)
    assert accuracy.shape == (4, 3, 2)
    median = np.median(accuracy, axis=-1)
    assert median.max() > 0.93
    assert median[0].max() < 0.5  # the smallest learning rate gets nowhere
    assert np.all(accuracy[2] != accuracy[0])


def test_composed_method_minimises():
    losses = load("05_compose_your_own").main(steps=600)
    assert losses["Adam"][0] == losses["composed"][0] > 1000
    assert losses["composed"][-1] < losses["Adam"][-1] < 10


def test_composed_method_keeps_the_laws():
    held = load("05_compose_your_own").laws()
    assert {"types_are_a_fixed_point", "missing_gradients_sit_out", "complex_leaves_work"} <= set(held)


def test_port_has_the_losses_of_torch():
    ours, theirs = load("06_port_from_torch").main(steps=45)
    assert len(ours) == 45
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)
    assert np.mean(ours[-5:]) < 0.4 * ours[0]


def test_port_has_the_recorded_losses():
    example = load("06_port_from_torch")
    recorded = example.json.loads(example.RECORDED.read_text())
    assert re.match(r"\d+\.\d+", recorded["torch"])
    np.testing.assert_allclose(example.our_losses(60), recorded["losses"], rtol=1e-5)


def test_every_schedule_is_in_the_picture(tmp_path):
    example, picture = load("07_schedules"), tmp_path / "schedules.png"
    lines = example.main(steps=80, picture=picture)
    drawn = " ".join(lines).replace("nesterov_,", "nesterov_sequence").replace(",", "").split()
    public = {name for name, value in vars(example.s).items() if inspect.isfunction(value)}
    assert set(drawn) == public
    betas = [values for title in lines for label, values in lines[title].items() if label != "restarts"]
    assert all(np.all((values >= 0) & (values < 1)) for values in betas)
    warm = lines["warm_restarts"]
    assert list(np.flatnonzero(warm["restarts"])) == [11, 34]  # 80 / 7 and three times that
    assert np.all(warm["beta"][warm["restarts"]] == warm["beta"][0])
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_defences_save_a_run_with_planted_spikes():
    results = load("09_planted_spikes").main(steps=120, seeds=2)
    loss = {name: value for name, (value, _) in results.items()}
    assert loss["none, spikes"] > 5 * loss["undisturbed"]
    assert max(loss["skip_spikes, spikes"], loss["clip_by_velocity, spikes"]) < 1.5 * loss["undisturbed"]
    assert np.isnan(loss["clip_by_velocity, spikes and a NaN"])
    assert loss["guard_finite and clip, spikes and a NaN"] < 1.5 * loss["undisturbed"]


def test_fine_tuning_shows_what_the_early_layers_do():
    example = load("08_layerwise_fine_tuning")
    results = example.main(steps=60, seeds=3)
    assert set(results) == {*example.METHODS, "not pretrained"}
    medians = {name: np.median(accuracy) for name, accuracy in results.items()}
    assert all(0.4 < accuracy < 1 for accuracy in medians.values())
    assert medians["one beta"] > medians["early layers frozen"] + 0.05
    assert medians["beta reduced early, same size of steps"] > medians["beta reduced early"]


def test_one_cycle_is_compared_at_its_best_rate():
    example = load("10_one_cycle")
    results = example.main(steps=60, seeds=3)
    assert len(results) == 5
    assert all(0.01 <= rate <= 1 and accuracies.shape == (3,) for rate, accuracies in results.values())
    assert min(np.median(accuracies) for _, accuracies in results.values()) > 0.85


def test_warm_restarts_differ_where_the_learning_rate_is_outside():
    results = load("13_warm_restarts").main(steps=140, seeds=3)
    losses = {name: np.median(curves, axis=0) for name, (curves, _) in results.items()}
    for name in ("heavy ball", "Nesterov"):  # alike up to the first restart
        np.testing.assert_allclose(losses[name][:20], losses[f"{name}, velocity anew"][:20], rtol=1e-5)
    jump = {name: curve[60:70].max() / curve[60] for name, curve in losses.items()}
    assert jump["heavy ball"] > 1.3 * jump["heavy ball, velocity anew"]
    assert jump["Nesterov"] < 1.2 * jump["Nesterov, velocity anew"]
    assert min(np.median(accuracy) for _, accuracy in results.values()) > 0.9


def test_watched_runs_get_their_verdicts():
    results = load("11_watch_a_run").main(steps=120)
    assert results["good"][1] == set()
    assert "diverging" in results["too large"][1]
    assert results["too small"][1] == {"stalled"}


def test_hypergradients_improve_beta_and_the_run():
    losses, betas, outcomes = load("12_hypergradients").main(steps=60, runs=8)
    assert losses[-1] < losses[0] / 2
    assert len(set(betas.values())) == 4
    assert outcomes[-1] < outcomes[0]


def test_examples_are_numbered_short_and_complete():
    files = sorted(EXAMPLES.glob("*.py"))
    assert [file.name[:3] for file in files] == [f"{i:02}_" for i in range(1, len(files) + 1)]
    own = Path(__file__).read_text()
    for file in files:
        text = file.read_text()
        assert len(text.splitlines()) < 120, file.name
        assert re.search(r"^def main\(steps: int = ", text, re.MULTILINE), file.name
        assert 'if __name__ == "__main__":' in text, file.name
        assert f'load("{file.stem}")' in own, f"{file.name} has no test"


def test_the_first_step_of_adam_rebalances_a_valley_along_the_axes(tmp_path):
    example, picture = load("15_surfaces"), tmp_path / "surfaces.png"
    found = example.main(steps=60, picture=picture)
    missed = found.pop("first step")
    # The gradient at (1, 1) is (100, 1); Adam divides it by its own size.
    np.testing.assert_allclose(missed["valley, heavy_ball"], np.degrees(np.arctan(100)) - 45, atol=0.1)
    assert missed["valley, adam"] < 0.1
    # Turned, the gradient at (2, .5) has the signs (1, -1).
    np.testing.assert_allclose(missed["turned, adam"], 45 + np.degrees(np.arctan(1 / 4)), atol=0.1)
    for title, values in found.items():
        surface, start, minimum, _ = example.SURFACES[title]
        assert all(value < surface(*start) - minimum for value in values.values()), title
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_what_nobody_has_named_learns_like_adam():
    """That the laws hold is for `contract/test_laws.py`."""
    example = load("14_three_new_optimizers")
    found = example.main(steps=60, seeds=1)
    assert set(found) == {"adam", *example.COMPOSED}
    assert all(accuracy > 0.85 for accuracy in found.values()), found


def test_halving_finds_a_good_method_for_less():
    example = load("16_choose_a_method")
    results = example.main(steps=60, points=12, seeds=2)
    whole, halved, population = (results[name] for name in ("all to the end", "halving", "population"))
    assert halved.cost.sum() < 0.6 * whole.cost.sum()
    losses = np.sort(np.nan_to_num(np.median(whole.metrics["test_loss"][..., -1], axis=1), nan=np.inf))
    assert halved.best("test_loss").value <= losses[4]
    assert population.best("test_loss").value <= losses[4]
    assert {point["method"] for point in whole.points} == set(example.METHODS)


def test_new_seeds_compare_two_optimizers_of_a_network_with_state():
    example = load("17_seeds_of_an_nnx_model")
    result, comparison = example.main(steps=60, seeds=6)
    assert result.seeds == tuple(range(100, 106))
    assert [point["method"] for point in result.points] == [*example.METHODS]
    nesterov, adam = result.final("test_loss")
    assert np.unique([nesterov, adam]).size == 12
    assert max(nesterov.max(), adam.max()) < 0.6
    assert comparison.pairs == 6
    np.testing.assert_allclose(comparison.difference, np.mean(nesterov - adam), rtol=1e-5)
    assert comparison.low < comparison.difference < comparison.high


def test_a_killed_sweep_goes_on_to_the_same_bits():
    result, expected, made, restored = load("18_stopped_and_resumed").main(steps=100)
    assert result.equals(expected)
    assert np.unique(result.pruned_at).tolist() == [-1, 10, 20, 40, 80]
    # At step 50 two of the 16 points are left, from three seeds each.
    assert made == 3 * (8 * 10 + 4 * 20 + 2 * 40 + 2 * 50)
    assert made - restored in (0, 2 * 3 * 10)  # the last rung was being written


def test_two_processes_find_what_one_finds():
    shared, alone = load("19_two_processes").main(steps=40)
    assert shared.settings["processes"] == 2
    assert shared.points == alone.points
    assert shared.diverged.shape == (8, 4)
    assert not shared.diverged.any()
    assert shared.best("test_loss").index == alone.best("test_loss").index
