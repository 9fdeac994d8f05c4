import numpy as np
import pytest
import results
from matplotlib.collections import PathCollection
from matplotlib.patches import Rectangle
from pictured import make, ticks, titled, written

from momentum_optax.sweeps import grid, join
from momentum_optax.sweeps.pictures import heat_maps, learning_curves, parallel_coordinates, pareto, seed_strip


def hatches(axes):
    found = [p for p in axes.patches if isinstance(p, Rectangle) and p.get_hatch()]
    return {(round(p.get_x(), 2), round(p.get_y(), 2)): p.get_hatch() for p in found}


def frames(axes):
    found = [p for p in axes.patches if isinstance(p, Rectangle) and not p.get_hatch()]
    return {(round(p.get_x(), 2), round(p.get_y(), 2)) for p in found}


def test_heat_maps_have_a_panel_for_each_method_and_hatch_what_diverged():
    lost = [(5, 0), (4, 0), (4, 1), (4, 2)]
    figure = heat_maps(join([make("a", lost=lost), make("b"), make("c", beta=False)]))
    assert [axes.get_title() for axes in titled(figure)] == ["a", "b", "c"]
    first, second, third = titled(figure)
    # At learning rate 1: some runs lost with beta 0.9 (1 - beta = 0.1), all with beta 0. Half a decade to the left.
    assert hatches(first) == {(-0.5, 0.5): "//", (-0.5, -0.5): "xxx"}
    assert not hatches(second)
    # Above the colours, and below the numbers.
    mesh = first.collections[0].get_zorder()
    assert all(mesh < p.get_zorder() < first.texts[0].get_zorder() for p in first.patches if p.get_hatch())
    assert len(first.texts) == 5
    assert third.get_ylabel() == "(no beta)"
    assert (first.get_xlabel(), first.get_ylabel()) == ("learning rate (log)", "beta (log of 1 - beta)")
    assert ticks(first.xaxis) == ["0.01", "0.1", "1"]
    assert ticks(first.yaxis) == ["0", "0.9"]
    np.testing.assert_allclose(first.get_yticks(), [0, 1], atol=1e-12)


def test_the_framed_cell_is_the_best_that_kept_its_runs():
    result = make("a")
    best = result.best().index
    at = {index: (-2.5 + index // 2, -0.5 + index % 2) for index in range(6)}
    assert frames(heat_maps(result).axes[0]) == {at[best]}
    without = make("a", lost=[(best, 0)])
    assert without.best().index != best
    assert frames(heat_maps(without).axes[0]) == {at[without.best().index]}
    for over in ("best", "mean"):
        assert frames(heat_maps(make("a", lost=[(p, 0) for p in range(6)]), over_others=over).axes[0]) == set()


@pytest.mark.parametrize("over", ["best", "mean"])
def test_a_cell_shows_the_best_or_the_mean_of_its_points(over):
    points = list(grid(nu=[0.1, 0.5, 0.9], learning_rate=[0.01, 0.1], beta=[0.0, 0.9]))
    accuracy = np.random.default_rng(0).uniform(0.5, 0.99, (len(points), 1, 1)).astype(np.float32)
    figure = heat_maps(results.make(accuracy, [10], points=points), over_others=over)
    shown = figure.axes[0].collections[0].get_array()
    expected = getattr(np, {"best": "max"}.get(over, over))(accuracy.reshape(3, 2, 2), axis=0)
    # [nu, learning rate, beta] to rows of rising beta.
    np.testing.assert_allclose(shown, 1 - expected.T, rtol=1e-6)
    assert f"shown: the {over} over nu" in figure.get_suptitle()
    row, column = np.unravel_index(expected.T.argmax(), (2, 2))
    assert frames(figure.axes[0]) == {(-2.5 + column, -0.5 + row)}


def test_choices_are_an_axis_and_losses_a_colour():
    points = list(grid(act=["relu", "tanh"], layers=[1, 2, 3]))
    loss = np.exp(np.arange(6.0)).reshape(6, 1, 1)
    figure = heat_maps(results.make(loss, [10], points=points, metric="test_loss"))
    axes = figure.axes[0]
    assert ticks(axes.xaxis) == ["relu", "tanh"]
    assert (axes.get_ylabel(), ticks(axes.yaxis)) == ("layers", ["1", "2", "3"])
    assert frames(axes) == {(-0.5, 0.5)}
    # Astronomical losses share a colour; brighter is better.
    colors = axes.collections[0].to_rgba(loss.ravel()).sum(axis=1)
    assert (np.diff(colors)[:4] < 0).all()
    assert "lower is better" in figure.axes[-1].get_ylabel()


def test_points_that_form_no_grid_are_dots():
    rng = np.random.default_rng(0)
    points = [{"learning_rate": 10 ** rng.uniform(-3, 0), "beta": 1 - 10 ** rng.uniform(-3, 0)} for _ in range(30)]
    result = results.make(rng.uniform(0.5, 0.9, (30, 1, 1)), [10], points=points)
    axes = heat_maps(result).axes[0]
    centers = np.concatenate([dots.get_offsets() for dots in axes.collections])
    expected = [(np.log10(p["learning_rate"]), -np.log10(1 - p["beta"])) for p in points]
    np.testing.assert_allclose(np.sort(centers, axis=0), np.sort(expected, axis=0))
    assert ticks(axes.xaxis)[:3] == ["0.001", "0.003", "0.01"] or ticks(axes.xaxis)[:2] == ["0.003", "0.01"]
    (bold,) = [d for d in axes.collections if d.get_linewidth()[0] > 2]
    np.testing.assert_allclose(bold.get_offsets()[0], expected[result.best().index])


def pruned_grid(**options):
    """Two rows of three cells; the point at learning rate 0.1 without beta is the best, but was stopped early."""
    accuracy = np.linspace(0.5, 0.6, 6)[:, None, None] * np.ones((6, 3, 4))
    accuracy[2] = 0.9
    pruned = {(p, s): 20 for p in (1, 2) for s in range(3)}
    return results.make(accuracy, np.arange(10, 50, 10), points=list(make("a").points), pruned=pruned, **options)


def squares(axes):
    dots = [c for c in axes.collections if isinstance(c, PathCollection) and len(c.get_paths()[0].vertices) == 5]
    return [tuple(np.round(at, 2)) for c in dots for at in c.get_offsets()]


def test_cells_that_were_stopped_early_have_a_square():
    figure = heat_maps(pruned_grid())
    # Learning rates 0.01 and 0.1, beta 0.9 and 0: in the upper left corner of their cells.
    assert squares(figure.axes[0]) == [(-1.34, 0.34), (-2.34, 1.34)]
    assert "square: stopped early" in figure.get_suptitle()
    marks = figure.axes[0].collections[1]
    white, black = marks.get_facecolor()[0], marks.get_edgecolor()[0]
    assert (white[:3].tolist(), black[:3].tolist()) == ([1, 1, 1], [0, 0, 0])
    whole = heat_maps(make("a"))
    assert squares(whole.axes[0]) == []
    assert "square" not in whole.get_suptitle()


@pytest.mark.parametrize("over", ["best", "mean"])
def test_the_framed_cell_is_not_one_that_was_stopped_early(over):
    assert frames(heat_maps(pruned_grid(), over_others=over).axes[0]) == {(-0.5, 0.5)}


def test_dots_that_were_stopped_early_are_squares():
    rng = np.random.default_rng(0)
    points = [{"learning_rate": 10 ** rng.uniform(-3, 0), "beta": 1 - 10 ** rng.uniform(-3, 0)} for _ in range(30)]
    accuracy = rng.uniform(0.5, 0.9, (30, 1, 2))
    axes = heat_maps(results.make(accuracy, points=points, pruned={(p, 0): 10 for p in (3, 4)})).axes[0]
    expected = [(np.log10(points[p]["learning_rate"]), -np.log10(1 - points[p]["beta"])) for p in (3, 4)]
    np.testing.assert_allclose(sorted(squares(axes)), sorted(expected), atol=0.006)


def test_zeros_have_the_colour_of_the_least_and_an_arrow():
    points = list(grid(learning_rate=[0.01, 0.1, 1.0], beta=[0.0, 0.9]))
    error = np.array([0.0, 1e-8, 1e-6, 1e-4, 1e-2, 1.0]).reshape(6, 1, 1)
    result = results.make(error, [10], points=points, metric="distance_error")
    figure = heat_maps(result)
    mesh, bar = figure.axes[0].collections[0], figure.axes[-1]
    brightness = mesh.to_rgba(np.asarray(mesh.get_array()).T.ravel()).sum(axis=1)
    assert brightness[0] == brightness[1]
    assert (np.diff(brightness[1:5]) < -0.1).all()
    assert {"0", "1e-08"} <= {text.get_text() for text in figure.axes[0].texts}
    assert len([p for p in bar.patches if len(p.get_path().vertices) >= 3]) == 2  # the least, and the worst
    for draw in (parallel_coordinates, learning_curves, pareto, seed_strip):
        assert "distance error (lower is better)\n0 drawn at 1e-08" in written(draw, result)
