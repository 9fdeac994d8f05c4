import dataclasses

import numpy as np
import pytest
from matplotlib.patches import Rectangle

from momentum_optax.sweeps import SweepResult, grid, join
from momentum_optax.sweeps.pictures import heat_maps, learning_curves


def make(method, beta=True, lost=()):
    points = grid(learning_rate=[0.01, 0.1, 1.0], **({"beta": [0.0, 0.9]} if beta else {}))
    rng = np.random.default_rng(0)
    accuracy = rng.uniform(0.5, 0.99, (len(points), 3, 4)).astype(np.float32)
    diverged_at = np.full((len(points), 3), -1)
    for point, seed in lost:
        diverged_at[point, seed], accuracy[point, seed, 1:] = 12, np.nan
    rows = tuple({"method": method, **point} for point in points)
    return SweepResult(rows, (0, 1, 2), np.arange(10, 50, 10), {"test_accuracy": accuracy}, diverged_at, {})


def panels(figure):
    return [axes for axes in figure.axes if axes.get_title()]


def test_heat_maps_have_a_panel_for_each_method_and_hatch_what_diverged():
    lost = [(5, 0), (4, 0), (4, 1), (4, 2)]
    figure = heat_maps(join([make("a", lost=lost), make("b"), make("c", beta=False)]))
    assert [axes.get_title() for axes in panels(figure)] == ["a", "b", "c"]
    first, second, third = panels(figure)
    boxes = [p for p in first.patches if isinstance(p, Rectangle) and p.get_hatch()]
    hatches = {(round(p.get_x(), 2), p.get_y() < 0.3): p.get_hatch() for p in boxes}
    # At learning rate 1: some runs lost with beta 0.9 (1 - beta = 0.1), all with beta 0.
    assert hatches == {(0.32, True): "//", (0.32, False): "xxx"}
    assert not [p for p in second.patches if p.get_hatch()]
    assert len(first.texts) == 5
    assert third.get_ylabel() == "(no beta)"
    assert first.get_ylabel() == "1 - beta"
    assert first.get_xscale() == first.get_yscale() == "log"
    figure.canvas.draw()
    assert [label.get_text() for label in first.get_xticklabels()] == ["0.01", "0.1", "1"]
    assert [label.get_text() for label in first.get_yticklabels()] == ["0.1", "1"]


def test_a_cell_shows_the_best_of_its_points():
    points = tuple(grid(nu=[0.1, 0.5, 0.9], learning_rate=[0.01, 0.1], beta=[0.0, 0.9]))
    accuracy = np.random.default_rng(0).uniform(0.5, 0.99, (len(points), 1, 1)).astype(np.float32)
    lost = np.full((len(points), 1), -1)
    result = SweepResult(points, (0,), np.array([10]), {"test_accuracy": accuracy}, lost, {})
    shown = heat_maps(result).axes[0].collections[0].get_array()
    best = accuracy.reshape(3, 2, 2).max(axis=0)
    # [nu, learning rate, beta] to rows of 1 - beta, rising.
    np.testing.assert_allclose(shown, 1 - best.T[::-1], rtol=1e-6)


def test_learning_curves_show_each_methods_best_with_its_spread():
    result = join([make("a"), make("b", lost=[(0, 0)])])
    figure = learning_curves(result)
    table = result.table()
    for axes, method in zip(panels(figure), "ab", strict=True):
        best = table[table["method"] == method].index[0]
        assert axes.get_title().startswith(f"{method}: learning_rate {result.points[best]['learning_rate']:g}")
        middle = axes.lines[-1].get_ydata()
        np.testing.assert_allclose(middle, 1 - np.median(result.metrics["test_accuracy"][best], axis=0), rtol=1e-5)
        (band,) = axes.collections
        heights = band.get_paths()[0].vertices[:, 1]
        errors = 1 - result.metrics["test_accuracy"][best]
        assert heights.min() == pytest.approx(errors.min(), rel=1e-5)
        assert heights.max() == pytest.approx(errors.max(), rel=1e-5)


@pytest.mark.parametrize("draw", [heat_maps, learning_curves])
def test_all_diverged_and_no_method_name_can_be_drawn(draw, tmp_path):
    result = make("a", lost=[(p, s) for p in range(6) for s in range(3)])
    result.metrics["test_accuracy"][:] = np.nan
    draw(result).savefig(tmp_path / "a.png")
    plain = make("a")
    plain = dataclasses.replace(plain, points=tuple(grid(learning_rate=[0.01, 0.1, 1.0], beta=[0.0, 0.9])))
    draw(plain).savefig(tmp_path / "b.png")
    assert (tmp_path / "a.png").stat().st_size > 5000
