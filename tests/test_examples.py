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
