import dataclasses
import subprocess
import sys

import numpy as np
import pytest
import results
from matplotlib.collections import PathCollection
from pictured import make, ticks, titled, written

from momentum_optax.sweeps import join
from momentum_optax.sweeps.pictures import heat_maps, learning_curves, parallel_coordinates, pareto, seed_strip
from momentum_optax.sweeps.pictures.pareto import front

DRAW = [heat_maps, learning_curves, parallel_coordinates, pareto, seed_strip]


def test_values_of_a_population_are_those_at_the_start():
    result = make(None)
    metrics = {**result.metrics, "current_beta": result.metrics["test_accuracy"]}
    population = dataclasses.replace(result, metrics=metrics)
    assert "|beta at the start (log of 1 - beta)|" in written(heat_maps, population)
    assert "|learning rate (log)|" in written(heat_maps, population)  # which did not change
    lines = written(parallel_coordinates, population)
    assert "|learning rate\n(log)|beta\nat the start\n(log of 1 - beta)|" in lines
    assert f"beta {result.best().point['beta']:g} at the start" in lines.split("bold: ")[1]
    for draw in DRAW:
        assert "at the start" not in written(draw, result)
        assert "at the start" in written(draw, population)


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


def marked(line):
    return np.flatnonzero(np.asarray(line.get_markevery())).tolist() if line.get_marker() == "o" else []


def test_values_that_no_line_reaches_are_dots():
    result = make("a")
    assert marked(learning_curves(result, points=[1]).axes[0].lines[-1]) == []
    result.metrics["test_accuracy"][1, :, 1] = np.nan
    axes = learning_curves(result, points=[1, 2]).axes
    grey, blue = axes[0].lines[0], axes[0].lines[-1]
    assert marked(grey) == marked(blue) == [0]
    # The band is a bar there.
    (bar,) = axes[0].collections[1].get_segments()
    errors = 1 - result.metrics["test_accuracy"][1, :, 0]
    np.testing.assert_allclose(bar, [[10, q] for q in np.percentile(errors, [75, 25])], rtol=1e-5)
    single = learning_curves(results.make([[[0.5], [0.6]]], [3])).axes[0]
    assert marked(single.lines[-1]) == [0]
    assert ticks(single.xaxis) == ["3"]


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


def test_pictures_are_imported_when_they_are_asked_for():
    script = (
        "import sys; from momentum_optax import sweeps; assert 'matplotlib' not in sys.modules; "
        "assert not hasattr(sweeps, 'picture'); assert sweeps.pictures.heat_maps; assert 'matplotlib' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


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
