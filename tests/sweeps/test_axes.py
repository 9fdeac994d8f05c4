"""Where numbers lie on an axis."""

import numpy as np
import pytest

from momentum_optax.sweeps.pictures._axes import short
from momentum_optax.sweeps.pictures._hyper_axis import HyperAxis
from momentum_optax.sweeps.pictures._metric_axis import MetricAxis


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([0.01, 0.1, 1.0], "log"),
        ([0.0, 0.9, 0.99], "one-minus-log"),
        ([0.1, 0.2, 0.3], "linear"),
        ([0.0, 1.0, 10.0], "linear"),
        ([0.9, 1.0], "linear"),
        ([32, 64, 128, 256], "log"),
        (["relu", "tanh"], "choice"),
        ([True, False], "choice"),
        (list(np.linspace(0.01, 0.99, 20)), "linear"),
        (list(1 - np.logspace(-3, 0, 20)), "one-minus-log"),
        (list(np.logspace(-3, 0, 20)), "log"),
        ([0.01, 0.1, 0.9], "log"),
        ([0.1, 0.9, 0.99], "one-minus-log"),
        (list(np.linspace(1, 20, 20)), "linear"),
    ],
)
def test_an_axis_is_spaced_as_its_values_are(values, kind):
    assert HyperAxis("x", values).kind == kind


def test_places():
    np.testing.assert_allclose([HyperAxis("x", [0.01, 1.0]).at(v) for v in (0.01, 0.1, 1)], [-2, -1, 0])
    np.testing.assert_allclose([HyperAxis("x", [0.0, 0.9]).at(v) for v in (0, 0.9, 0.99)], [0, 1, 2])
    assert [HyperAxis("x", ["b", "a", 3]).at(v) for v in ("b", "a", 3)] == [0, 1, 2]
    apart = HyperAxis("x", [1.0, None, 2.0])
    assert (apart.at(None), apart.ticks()[0]) == (0.8, (0.8, "none"))
    assert HyperAxis("x", ["a", None]).ticks() == [(0.0, "none"), (1.0, "a")]


def test_many_values_get_round_ticks():
    texts = [text for _, text in HyperAxis("x", [*(1 - np.logspace(-3, 0, 40)), None]).ticks()]
    assert texts == ["none", "0", "0.5", "0.8", "0.9", "0.95", "0.98", "0.99", "0.995", "0.998", "0.999"][: len(texts)]
    assert len(texts) >= 10
    assert [text for _, text in HyperAxis("x", list(np.logspace(-3, 0, 40))).ticks()][1:4] == ["0.003", "0.01", "0.03"]
    assert [text for _, text in HyperAxis("x", list(np.linspace(0, 1, 40))).ticks()] == [
        "0",
        "0.2",
        "0.4",
        "0.6",
        "0.8",
        "1",
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.1, "0.1"), (1e-7, "1e-07"), (0.999, "0.999"), (0.9999, "0.9999"), (0.997599, "0.9976"), (1.0, "1"), (64, "64"),
     (True, "True"), ("relu", "relu"), (None, "none"), (0.98765, "0.988")],
)  # fmt: skip
def test_values_in_a_few_characters(value, text):
    assert short(value) == text


def test_metrics_have_a_scale_of_their_own():
    assert MetricAxis("test_accuracy", "max", np.array([0.5, 0.9])).kind == "accuracy"
    assert MetricAxis("test_accuracy", "max", np.array([0.5, 50.0])).kind == "log"  # per cent
    assert MetricAxis("test_loss", "min", np.array([0.01, 2.0])).kind == "log"
    assert MetricAxis("reward", "max", np.array([-5.0, 2.0])).kind == "linear"
    assert MetricAxis("reward", "max", np.array([-5.0, 1.0, 2000.0])).kind == "linear"


def test_a_zero_does_not_hide_decades():
    axis = MetricAxis("distance_error", "min", np.array([0.0, 1e-7, 1e-3, 1.0, np.nan]))
    assert (axis.kind, axis.zeros, axis.note) == ("log", True, "\n0 drawn at 1e-07")
    np.testing.assert_array_equal(axis.shown(np.array([0.0, 1e-7, 1e-3, np.nan])), [1e-7, 1e-7, 1e-3, np.nan])
    few = MetricAxis("reward", "max", np.array([0.0, 1.0, 50.0]))
    assert (few.kind, few.zeros, few.note) == ("linear", False, "")
    assert few.shown(0.0) == 0
    assert not MetricAxis("loss", "min", np.array([0.1, 1.0])).zeros


@pytest.mark.parametrize(
    ("metric", "mode", "values"),
    [("accuracy", "max", [0.5, 0.9, 0.99]), ("reward", "max", [-5.0, 0.0, 3.0]), ("loss", "min", [9.0, 1.0, 0.1])],
)
def test_better_is_higher_and_brighter(metric, mode, values):
    axis = MetricAxis(metric, mode, np.array(values))
    heights, ticks = axis.heights(np.array(values))
    assert (np.diff(heights) >= 0).all()
    assert heights[-1] == 1
    assert all(-1e-9 <= at <= 1 + 1e-9 for at, _ in ticks)
    bright, dark = (axis.cmap(best)(axis.norm(axis.shown(np.array(values)))).sum(axis=1) for best in ("bright", "dark"))
    assert bright[-1] > bright[0]
    assert dark[-1] < dark[0]


def test_an_exploded_loss_does_not_hide_the_others():
    losses = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1e30])
    axis = MetricAxis("loss", "min", losses)
    assert axis.clipped
    heights, _ = axis.heights(losses)
    assert heights[5] < 0.3
    assert heights[-1] == heights[-2] == 0
    assert not MetricAxis("accuracy", "max", losses[:5]).clipped
