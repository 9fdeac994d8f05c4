"""A metric over two hyperparameters."""

from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ..results.best import Mode, Scores, check_metric, check_mode, order, scores
from ..results.results import SweepResult
from ._axes import edges, set_ticks, words
from ._hyper_axis import HyperAxis
from ._metric_axis import MetricAxis
from ._points import changes, method_of, methods, over, panels

Over = Literal["best", "mean"]

EXTEND: Any = {(False, False): "neither", (True, False): "min", (False, True): "max", (True, True): "both"}
"""Which ends of the colours stand for values beyond too, by whether the lower and the upper one do."""


def heat_maps(
    result: SweepResult,
    x: str | None = None,
    y: str | None = None,
    metric: str | None = None,
    *,
    mode: Mode | None = None,
    over_others: Over = "best",
) -> Figure:
    """The median of a metric over seeds (and folds), one panel for each method; brighter is better.

    The colour of an accuracy is logarithmic in the error. A cell is hatched where a run diverged, and crossed out where
    all did; a square is where one was stopped early. The best cell of a panel that kept all its runs has a frame:
    one trained longer is better, see `best.best`. Points that form no grid are drawn as dots. Hyperparameters that a
    population changes are shown as they were at the start.

    Args:
      result: the sweep.
      x: the hyperparameter along the horizontal axis; `None` for `learning_rate`, or else the first.
      y: the one along the vertical axis; `None` for `beta`, or else the next; a method without it has one row.
      metric: what to show; `None` for `best.default_metric`.
      mode: whether larger or smaller is better; `None` for what its name tells.
      over_others: of points that differ in further hyperparameters only, whether a cell shows the best or the mean.

    Returns:
      The figure.

    Raises:
      KeyError: there is no such metric or hyperparameter.
      ValueError: `over_others` is neither, or `x` and `y` are the same.
    """
    metric = check_metric(result, metric)
    mode = check_mode(metric, mode)
    if over_others not in ("best", "mean"):
        raise ValueError(f"over_others must be 'best' or 'mean', not {over_others!r}.")
    x, y = _pick(result, x, y)
    found = scores(result, metric)
    ranked = order(found, mode, found.cost)
    shade = MetricAxis(metric, mode, found.value, least_error=0.002)
    names = methods(result)
    figure = Figure(figsize=(5.6 * min(len(names), 2) + 1.0, 4.2 * -(-len(names) // 2) + 0.7), layout="constrained")
    grid = panels(figure, len(names))
    for axes, name in zip(grid, names, strict=True):
        part = [int(i) for i in ranked if method_of(result.points[i]) == name and x in result.points[i]]
        if part:
            _panel(axes, result, part, (x, y), found, shade, over_others)
        axes.set_title(name)
    image = ScalarMappable(shade.norm, shade.cmap())
    bar = figure.colorbar(image, ax=grid, extend=EXTEND[shade.zeros, shade.clipped])
    bar.set_label(f"{shade.label}, median over {over(result)}")
    assert shade.norm.vmin is not None
    assert shade.norm.vmax is not None
    set_ticks(bar.ax.yaxis, shade.ticks(shade.norm.vmin, shade.norm.vmax))
    if shade.falls:
        bar.ax.invert_yaxis()
    others = [n for n in result.names if n not in ("method", x, y) and len({p.get(n) for p in result.points}) > 1]
    state = f"shown: the {over_others} over {', '.join(map(words, others))}\n" if others else ""
    stopped = "\nsquare: stopped early, ranked below those trained longer" if found.pruned.any() else ""
    marks = f"hatched: some runs diverged; crossed out: all did; framed: best{stopped}"
    figure.suptitle(state + marks, fontsize="medium")
    return figure


def _pick(result: SweepResult, x: str | None, y: str | None) -> tuple[str, str | None]:
    """The hyperparameters of both axes; those that vary come first."""
    names = [name for name in result.names if name != "method"]
    for name in (x, y):
        if name is not None and name not in names:
            raise KeyError(f"There is no hyperparameter {name!r}; there are {names}.")
    if x is not None and x == y:
        raise ValueError(f"x and y must be two hyperparameters, not both {x!r}.")
    names.sort(key=lambda name: len({point.get(name) for point in result.points}) < 2)
    names.sort(key=lambda name: {"learning_rate": 0, "beta": 1}.get(name, 2))
    x = x or next(name for name in names if name != y)
    return x, y or next((name for name in names if name != x), None)


def _panel(
    axes: Axes,
    result: SweepResult,
    part: list[int],
    names: tuple[str, str | None],
    found: Scores,
    shade: MetricAxis,
    over_others: Over,
) -> None:
    """Draws one method; `part` are its points, the best first."""
    x, y = names
    points = [result.points[i] for i in part]
    across = HyperAxis(x, [p[x] for p in points], changes(result, x))
    down = HyperAxis(y, [p[y] for p in points], changes(result, y)) if y and all(y in p for p in points) else None
    cells: dict[tuple[Any, Any], list[int]] = {}
    for i in part:
        cells.setdefault((result.points[i][x], result.points[i][y] if y and down else None), []).append(i)
    if over_others == "best":
        cells = {key: indices[:1] for key, indices in cells.items()}
    runs = result.diverged[0].size
    # key: (value, share of diverged runs, whether stopped early)
    content = {
        k: (_mean(found.value[i]), float(found.diverged[i].mean()) / runs, bool(found.pruned[i].any()))
        for k, i in cells.items()
    }
    across.dress(axes.xaxis)
    if len(across.ticks()) > 9:
        axes.tick_params("x", rotation=45)
    if down:
        down.dress(axes.yaxis)
    else:
        axes.set_yticks([])
        axes.set_ylabel(f"(no {words(y)})" if y else "")
    rows = down.values if down else [None]
    grid = len(cells) >= 0.5 * len(rows) * len(across.values)
    whole = [key for key, (number, lost, _) in content.items() if lost == 0 and np.isfinite(number)]
    if over_others == "mean":  # else they are in order already
        sign = -1 if shade.mode == "max" else 1
        whole.sort(key=lambda k: (-found.reached[cells[k]].min(), sign * content[k][0]))
    best = whole[0] if whole else None
    (_cells if grid else _dots)(axes, content, best, across, down, shade)


def _cells(axes: Axes, content: Any, best: Any, across: HyperAxis, down: HyperAxis | None, shade: MetricAxis) -> None:
    rows = down.values if down else [None]
    at = [across.at(v) for v in across.values], [down.at(v) for v in rows] if down else [0.0]
    right, top = edges(at[0]), edges(at[1])
    shown = np.full((len(rows), len(across.values)), np.nan)
    cmap, norm = shade.cmap(), shade.norm

    def box(i: int, j: int, **style: Any) -> None:
        width, height = right[j + 1] - right[j], top[i + 1] - top[i]
        axes.add_patch(Rectangle((right[j], top[i]), width, height, fill=False, **style))

    corners = []
    for (a, b), (number, lost, stopped) in content.items():
        i, j = rows.index(b), across.values.index(a)
        shown[i, j] = shade.shown(number)
        finite = bool(np.isfinite(number))
        color = cmap(norm(shown[i, j])) if finite else (1.0, 1.0, 1.0, 1.0)
        ink = "black" if np.dot(color[:3], [0.3, 0.59, 0.11]) > 0.45 else "white"
        if lost:
            box(i, j, hatch="xxx" if lost == 1 else "//", edgecolor=ink, alpha=0.5, linewidth=0, zorder=2)
        if stopped:
            corners.append((0.84 * right[j] + 0.16 * right[j + 1], 0.84 * top[i + 1] + 0.16 * top[i]))
        if finite and max(shown.shape) <= 13:
            style: dict[str, Any] = {"color": ink}
            # A plain ground, so that a hatch does not run through the number.
            style["bbox"] = {"facecolor": color, "edgecolor": "none", "pad": 1}
            text = f"{100 * number:.1f}" if shade.kind == "accuracy" else f"{number:.2g}"
            axes.text(at[0][j], at[1][i], text, ha="center", va="center", fontsize=7, **style)
    axes.pcolormesh(right, top, shown, norm=norm, cmap=cmap, edgecolor="white", linewidth=0.5)
    if corners:
        # A seventh of a cell; all cells together are about 330 by 260 pt.
        side = np.clip(min(330 / len(at[0]), 260 / len(at[1])) / 7, 2, 6)
        style = {"facecolor": "white", "edgecolor": "black", "linewidth": 0.8, "zorder": 2.5}
        axes.scatter(*np.transpose(corners), s=side**2, marker="s", **style)
    if best is not None:
        i, j = rows.index(best[1]), across.values.index(best[0])
        box(i, j, edgecolor="white", linewidth=4.5, zorder=3)
        box(i, j, edgecolor="black", linewidth=2.0, zorder=3)


def _dots(axes: Axes, content: Any, best: Any, across: HyperAxis, down: HyperAxis | None, shade: MetricAxis) -> None:
    axes.set_facecolor("0.8")
    at = np.array([(across.at(a), down.at(b) if down else 0.0) for a, b in content])
    numbers, lost, stopped = np.array(list(content.values())).T
    alive, framed = np.isfinite(numbers), np.array([key == best for key in content])
    size = float(np.clip(25_000 / len(at), 25, 130))
    axes.scatter(*at[~alive].T, s=size / 2, marker="x", color="0.15", zorder=2)
    for which, style in (
        (alive & ~framed & (lost == 0), {"s": size, "linewidth": 0.6, "zorder": 3}),
        (alive & ~framed & (lost > 0), {"s": size, "linewidth": 0.6, "zorder": 3, "hatch": "/////"}),
        (alive & framed, {"s": 130, "linewidth": 2.5, "zorder": 4}),
    ):
        for marker, of in (("o", which & (stopped == 0)), ("s", which & (stopped > 0))):
            if of.any():
                colors = shade.cmap()(shade.norm(shade.shown(numbers[of])))
                axes.scatter(*at[of].T, color=colors, marker=marker, edgecolor="black", **style)


def _mean(values: np.ndarray) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if finite.size else float("nan")
