import dataclasses

import numpy as np
import pytest
import results
from matplotlib.collections import PathCollection
from matplotlib.patches import Rectangle

from momentum_optax.sweeps import grid, join
from momentum_optax.sweeps.pictures import heat_maps, learning_curves, parallel_coordinates, pareto, seed_strip
from momentum_optax.sweeps.pictures.pareto import front

DRAW = [heat_maps, learning_curves, parallel_coordinates, pareto, seed_strip]


def make(method, beta=True, lost=(), **options):
    points = list(grid(learning_rate=[0.01, 0.1, 1.0], **({"beta": [0.0, 0.9]} if beta else {})))
    accuracy = np.random.default_rng(0).uniform(0.5, 0.99, (len(points), 3, 4))
    rows = [{"method": method, **point} if method else point for point in points]
    return results.make(accuracy, np.arange(10, 50, 10), diverged=lost, points=rows, **options)


def titled(figure):
    return [axes for axes in figure.axes if axes.get_title()]


def ticks(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


def hatches(axes):
    found = [p for p in axes.patches if isinstance(p, Rectangle) and p.get_hatch()]
    return {(round(p.get_x(), 2), round(p.get_y(), 2)): p.get_hatch() for p in found}


def frames(axes):
    found = [p for p in axes.patches if isinstance(p, Rectangle) and not p.get_hatch()]
    return {(round(p.get_x(), 2), round(p.get_y(), 2)) for p in found}


# Heat maps.


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


# Learning curves.


def test_learning_curves_show_each_methods_best_with_its_middle_half():
    result = join([make("a"), make("b", lost=[(0, 0)])])
    figure = learning_curves(result)
    table = result.table()
    for axes in titled(figure):
        method = axes.get_title()[0]
        best = table[table["method"] == method].index[0]
        assert axes.get_title().startswith(f"{method}: learning rate {result.points[best]['learning_rate']:g}")
        errors = 1 - result.metrics["test_accuracy"][best]
        np.testing.assert_allclose(axes.lines[-1].get_ydata(), np.median(errors, axis=0), rtol=1e-5)
        heights = axes.collections[0].get_paths()[0].vertices[:, 1]
        low, high = np.percentile(errors, [25, 75], axis=0)
        assert heights.min() == pytest.approx(low.min(), rel=1e-5)
        assert heights.max() == pytest.approx(high.max(), rel=1e-5)


def test_ends_of_runs_are_marked():
    result = make("a", lost=[(1, 0)], pruned={(1, 1): 20, (1, 2): 30})
    axes = learning_curves(result, points=[1]).axes[0]
    marks = {tuple(mark.get_offsets()[0].round(4)) for mark in axes.collections[1:]}
    errors = 1 - result.metrics["test_accuracy"][1]
    ends = [(10, errors[0, 0]), (20, errors[1, 1]), (30, errors[2, 2])]
    assert marks == {(x, np.float64(y).round(4)) for x, y in ends}
    title = axes.figure.get_suptitle()
    assert "cross: diverged" in title
    assert "square: pruned" in title


# Parallel coordinates.


def test_parallel_coordinates_have_a_line_for_each_point():
    result = join([make("a", lost=[(5, 0), (4, 0), (4, 1), (4, 2)]), make("c", beta=False)])
    axes = parallel_coordinates(result).axes[0]
    names = [label.get_text().split("\n")[0] for label in axes.get_xticklabels()]
    assert names == ["method", "learning rate", "beta", "test accuracy"]
    found = [
        np.round(line.get_ydata(), 3) for line in axes.lines if list(line.get_xdata()) in ([0, 1, 2], [0, 1, 2, 3])
    ]
    assert len(found) == 9 + 1  # and the white rim of the best
    # A point without a beta lies apart, at the lower end.
    at = {0.0: 1 / 6, 0.9: 1.0}
    for point in result.points:
        start = [0.0 if point["method"] == "a" else 1.0, {0.01: 0, 0.1: 0.5, 1.0: 1}[point["learning_rate"]]]
        start.append(at[point["beta"]] if "beta" in point else 0.0)
        assert any(np.allclose(line[:3], start, atol=2e-3) for line in found)
    dashed = [line for line in axes.lines if line.is_dashed()]
    assert sorted(len(line.get_xdata()) for line in dashed) == [3, 4]
    # The best, in bold, is not one that lost a run.
    bold = max((line for line in axes.lines if line.get_color() == "black"), key=lambda line: line.get_linewidth())
    assert not bold.is_dashed()
    assert bold.get_ydata()[1] == pytest.approx(
        [0, 0.5, 1][[0.01, 0.1, 1.0].index(result.best().point["learning_rate"])]
    )


# Seed strips.


def test_a_strip_shows_every_seed_and_their_mean():
    result = join([make("a"), make("b", pruned={(p, 1): 30 for p in range(6)})])
    result.metrics["test_accuracy"][6:] *= 0.9
    axes = seed_strip(result).axes[0]
    best = [result.best(statistic="mean").index]
    assert [text.split("\n")[0] for text in ticks(axes.yaxis)] == ["a", "b"]
    dots = [c.get_offsets() for c in axes.collections if isinstance(c, PathCollection)]
    shown = np.concatenate(dots)[:, 0]
    assert len(shown) == 6
    np.testing.assert_allclose(np.sort(shown[:3]), np.sort(1 - result.final()[best[0]]), rtol=1e-5)
    (bar, *_) = [c for c in axes.collections if c.get_linewidth()[0] == 3]
    assert bar.get_segments()[0][0][0] == pytest.approx(1 - result.final()[best[0]].mean(), rel=1e-5)
    assert "square: stopped early" in axes.figure.get_suptitle()


def test_a_strip_has_a_cross_for_every_run_that_diverged():
    axes = seed_strip(make("a", lost=[(2, 1), (2, 2)]), points=[2, 3]).axes[0]
    dots = [c for c in axes.collections if isinstance(c, PathCollection)]
    crosses = [c.get_offsets() for c in dots if c.get_offset_transform() != axes.transData]
    assert [len(c) for c in crosses if len(c)] == [2]
    assert "cross: diverged" in axes.figure.get_suptitle()


# Pareto.


def test_the_front_is_what_nothing_beats():
    cost, value = np.array([1, 1, 2, 3, 4, 4]), np.array([0.2, 0.5, 0.4, 0.5, 0.7, 0.9])
    assert front(cost, value, "max").tolist() == [1, 5]
    assert front(cost, -value, "min").tolist() == [1, 5]
    assert front(cost, value, "min").tolist() == [0]
    assert front(np.array([]), np.array([]), "max").tolist() == []


def test_pareto_draws_the_running_best_and_names_it():
    result = make("a", lost=[(0, 0), (0, 1)])
    figure = pareto(result)
    axes = figure.axes[0]
    medians = np.median(result.metrics["test_accuracy"][1:], axis=1)  # the first lost most of its runs
    first = np.median(np.nan_to_num(result.metrics["test_accuracy"][0], nan=-1), axis=0)
    best = np.maximum.accumulate(np.vstack([first, medians]).max(axis=0))
    (line,) = [line for line in axes.lines if line.get_drawstyle() == "steps-post"]
    x, y = line.get_data()
    np.testing.assert_allclose(np.unique(1 - y[:-1]), np.unique(best), rtol=1e-5)
    assert set(x) <= {10, 20, 30, 40}
    # All evaluations but those at which the median run was lost.
    assert len(axes.collections[0].get_offsets()) == 6 * 4 - 3
    named = [text.get_text() for text in figure.legends[0].get_texts()]
    assert named[0].startswith("1  a: learning rate")


def test_pareto_of_trained_steps_has_a_dot_for_each_point():
    pruned = {(p, s): 10 for p in range(3) for s in range(3)}
    result = make("a", pruned=pruned)
    axes = pareto(result, cost="trained").axes[0]
    dots = axes.collections[0].get_offsets()
    assert sorted(dots[:, 0].tolist()) == [10] * 3 + [40] * 3
    np.testing.assert_allclose(dots[:, 1], 1 - np.median(result.final(), axis=1), rtol=1e-5)


# All of them.


@pytest.mark.parametrize("draw", DRAW)
def test_odd_results_can_be_drawn(draw, tmp_path):
    lost = make("a", lost=[(p, s) for p in range(6) for s in range(3)])
    lost.metrics["test_accuracy"][:] = np.nan
    single = results.make([[[0.5]]], [10], points=[{"x": 3}])
    folded = results.make(
        np.random.default_rng(0).uniform(size=(4, 2, 3, 2)), diverged=[(0, 1, 1)], pruned={(3, 0, 0): 10}
    )
    mixed = [{"method": "a", "layers": 2, "act": "relu"}, {"method": "b", "nesterov": True, "rate": -1.0}]
    odd = {
        "lost": lost, "plain": make(None), "single": single, "folded": folded,
        "mixed": results.make([[[0.5]], [[1.0]]], [10], points=mixed),
        "perfect": results.make(np.ones((2, 2, 2))),
        "negative": results.make(-np.arange(8.0).reshape(2, 2, 2), metric="reward"),
        "loss": results.make(np.exp(np.arange(8.0) * 9).reshape(2, 2, 2), metric="test_loss"),
        "zero": results.make(np.zeros((2, 2, 2)), metric="test_loss"),
    }  # fmt: skip
    for name, result in odd.items():
        path = tmp_path / f"{name}.png"
        draw(result).savefig(path)
        assert path.stat().st_size > 4000, name


@pytest.mark.parametrize("draw", DRAW)
def test_bad_metrics_and_modes_are_named(draw):
    with pytest.raises(KeyError, match="no metric 'f1'"):
        draw(make("a"), metric="f1")
    with pytest.raises(ValueError, match="mode must be 'max' or 'min', not 'up'"):
        draw(make("a"), mode="up")


def test_bad_arguments_are_named():
    result = make("a")
    with pytest.raises(KeyError, match=r"no hyperparameter 'nu'; there are \['learning_rate', 'beta'\]"):
        heat_maps(result, y="nu")
    with pytest.raises(ValueError, match="not both 'beta'"):
        heat_maps(result, x="beta", y="beta")
    with pytest.raises(ValueError, match="over_others must be 'best' or 'mean', not 'worst'"):
        heat_maps(result, over_others="worst")
    with pytest.raises(ValueError, match="cost must be 'steps' or 'trained', not 'time'"):
        pareto(result, cost="time")
    for draw in (learning_curves, seed_strip):
        for points in ([6], []):
            with pytest.raises(ValueError, match=r"points must be indices from 0 to 5, at least one"):
                draw(result, points=points)


def test_pictures_do_not_change_the_result():
    result = make("a", lost=[(0, 0)])
    before = dataclasses.replace(result, metrics={k: v.copy() for k, v in result.metrics.items()})
    for draw in DRAW:
        draw(result)
    assert result.equals(before)
