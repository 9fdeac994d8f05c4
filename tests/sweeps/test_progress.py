import dataclasses
import io
import math
import re
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import rich.console

from momentum_optax.sweeps import Progress, progress_bar
from momentum_optax.sweeps.rungs.progress import opened

NOW = Progress(
    label="",
    step=50,
    steps=100,
    rung=5,
    rungs=10,
    runs=2000,
    alive=1500,
    diverged=3,
    pruned=500,
    metrics={"test_accuracy": np.ones((5, 400))},
    metric="test_accuracy",
    best=0.954,
    best_point={"method": "sgd", "nesterov": True, "layers": 2, "learning_rate": 0.1},
    lane_steps=100_000,
    lane_steps_total=150_000,
    seconds=25.0,
    compiling=5.0,
)
EARLIER = dataclasses.replace(NOW, rung=4, lane_steps=50_000, seconds=11.0, compiling=1.0)
LINE = (
    " 66%  10 s left, rung 5/10, 5,000 lane-steps/s, 1,500 of 2,000 runs alive, 3 diverged, 500 pruned, "
    "best test_accuracy 95.4% (method sgd, nesterov True, layers 2, learning_rate 0.1)"
)


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    return Terminal()


def lines_of(reports, labels=("",), interval=0.0):
    out = io.StringIO()
    with progress_bar(labels, stream=out, interval=interval) as report:
        for now in reports:
            report(now)
    return out.getvalue().splitlines()


def flat(text):
    """Without the codes that move the cursor."""
    return re.sub(r"\s+", " ", re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", text))


def drive(label="", lanes=100, rungs=6, every=10, batch=25, compiling=7.0, rate=50.0, halve_after=3):
    """What a sweep of batches reports that drops half of its runs on the way, and makes `rate` lane-steps a second."""
    alive, done, total, seconds = lanes, 0, lanes * every * rungs, compiling
    for rung in range(1, rungs + 1):
        for first in range(0, alive, batch):
            done += min(batch, alive - first) * every
            seconds += min(batch, alive - first) * every / rate
            now = dataclasses.replace(
                NOW, label=label, rung=rung - 1, rungs=rungs, runs=lanes, alive=alive,
                lane_steps=done, lane_steps_total=total, seconds=seconds, compiling=compiling,
            )  # fmt: skip
            yield now
        if rung == halve_after:
            total -= (alive - alive // 2) * every * (rungs - rung)
            alive //= 2
        yield dataclasses.replace(now, rung=rung, alive=alive, lane_steps_total=total)


def test_the_time_left_is_right_from_the_first_batch_on():
    reports = list(drive(halve_after=None))
    for now in reports:
        assert now.lane_steps_per_second == pytest.approx(50)
        assert now.eta == pytest.approx(reports[-1].seconds - now.seconds)
    assert reports[0].eta == pytest.approx(115)
    assert reports[-1].eta == 0


def test_what_is_pruned_is_no_longer_left():
    reports = list(drive())
    after = next(i for i, now in enumerate(reports) if now.alive == 50)
    assert reports[after - 1].eta == pytest.approx(2 * reports[after].eta)
    for now in reports[after:]:
        assert now.eta == pytest.approx(reports[-1].seconds - now.seconds)
    fractions = [now.fraction for now in reports]
    assert fractions == sorted(fractions)
    assert (fractions[after - 1], fractions[after], fractions[-1]) == (0.5, pytest.approx(2 / 3), 1.0)


def test_a_resumed_sweep_is_as_fast_as_it_is_now():
    now = dataclasses.replace(NOW, restored=90_000)
    assert now.lane_steps_per_second == pytest.approx(500)
    assert now.eta == pytest.approx(100)
    assert now.fraction == NOW.fraction
    nothing = dataclasses.replace(NOW, restored=100_000)
    assert math.isnan(nothing.eta)
    assert lines_of([nothing])[0].startswith(" 66%  rung 5/10, 1,500 of")
    finished = dataclasses.replace(nothing, lane_steps=150_000, restored=150_000)
    assert (finished.eta, finished.fraction) == (0, 1)


def test_plain_lines_where_there_is_no_terminal():
    lines = lines_of([EARLIER, NOW])
    # How fast it is shows from the second report on.
    assert lines == [LINE.replace("66%  10 s left, rung 5/10, 5,000 lane-steps/s", "33%  rung 4/10"), LINE]
    bare = dataclasses.replace(NOW, diverged=0, pruned=0, best=math.nan, alive=2000)
    assert lines_of([EARLIER, bare])[1] == LINE[: LINE.index("1,500")] + "2,000 of 2,000 runs alive"
    loss = dataclasses.replace(bare, metric="test_loss", best=0.12345, best_point={"x": 1e-4})
    assert lines_of([loss])[0].endswith("runs alive, best test_loss 0.1235 (x 0.0001)")


def test_what_a_sweep_does_before_it_trains_is_not_taken_for_slowness():
    reports = [dataclasses.replace(now, seconds=now.seconds + 1000) for now in drive(halve_after=None)]
    lines = lines_of(reports)
    assert lines[0].startswith("  4%  rung 0/6, 100 of")
    assert lines[1].startswith("  8%  2 min left, rung 0/6, 50 lane-steps/s")
    assert reports[-1].seconds - reports[1].seconds == 110


def test_the_speed_is_that_of_the_latter_half():
    slower = dataclasses.replace(NOW, lane_steps=110_000, seconds=65.0, rung=6)
    slowest = dataclasses.replace(NOW, lane_steps=110_100, seconds=145.0, rung=7)
    rates = [re.findall("([0-9,]+) lane", line) for line in lines_of([EARLIER, NOW, slower, slowest])]
    assert rates == [[], ["5,000"], ["250"], ["1"]]


def test_few_lines_but_always_the_first_and_the_last():
    lines = lines_of(drive(), interval=1e9)
    assert [line[:4] for line in lines] == ["  4%", "100%"]
    assert ", rung 6/6, " in lines[1]


def test_the_last_line_comes_after_an_error_too():
    out = io.StringIO()
    with pytest.raises(KeyboardInterrupt), progress_bar(stream=out, interval=1e9) as report:  # noqa: PT012
        report(EARLIER)
        report(dataclasses.replace(NOW, rung=6))
        raise KeyboardInterrupt
    assert [re.search(r"rung \d+", line)[0] for line in out.getvalue().splitlines()] == ["rung 4", "rung 6"]


def test_it_is_100_percent_at_the_end_only():
    almost = dataclasses.replace(NOW, lane_steps=149_999)
    too_many = dataclasses.replace(NOW, lane_steps=150_001)
    assert [line[:4] for line in lines_of([almost, too_many, almost])] == [" 99%", "100%", "100%"]


def test_of_several_sweeps_the_next_are_expected_to_be_like_this_one():
    reports = [*drive("a", halve_after=None), *drive("b", halve_after=None)]
    lines = lines_of(reports, labels=["a", "b"])
    percents = [int(line[:3]) for line in lines]
    assert percents == sorted(percents)
    assert (percents[0], percents[-1]) == (2, 100)
    assert percents[lines.index(next(line for line in lines if "b rung" in line)) - 1] == 50
    # 237 s: 110 s of this one, then 7 s of compiling and 120 s of training of the next.
    assert lines[1].startswith("  4%  4 min left, a rung 0/6")
    assert lines[len(lines) // 2].startswith(" 52%  2 min left, b rung 0/6")  # as fast as the one before
    slow = list(drive("a", halve_after=None, compiling=600.0))
    assert lines_of(slow, labels=["a", "b"])[1].startswith("  4%  14 min left")  # 110 s, 10 min and 120 s
    ends = [line[:4] for line in lines_of(reports, labels=["a", "b"], interval=1e9)]
    assert ends == ["  2%", " 50%", "100%"]


@pytest.mark.parametrize(("seconds", "words"), [(0.4, "0 s"), (99, "99 s"), (720, "12 min"), (9000, "2.5 h")])
def test_times_are_easy_to_grasp(seconds, words):
    now = dataclasses.replace(NOW, lane_steps=50_001, lane_steps_total=50_002, seconds=15.0 + seconds)
    assert f" {words} left" in lines_of([EARLIER, now])[1]


def test_an_unknown_label_is_named():
    with (
        progress_bar(["a"], stream=io.StringIO()) as report,
        pytest.raises(ValueError, match=r"labels \['a'\], but this one's is ''"),
    ):
        report(NOW)


def test_a_bar_on_a_terminal(terminal):
    with progress_bar(stream=terminal) as report:
        assert "compiling the first program" in flat(terminal.getvalue())
        for now in drive():
            report(now)
    text = flat(terminal.getvalue())
    assert "100% took 97 s · rung 6/6 · 50 lane-steps/s 50 of 100 runs alive, 3 diverged" in text
    assert "best test_accuracy 95.4% (method sgd, nesterov True" in text
    assert "…" not in text  # all of it fits into 80 columns


def test_of_a_bar_without_a_report_nothing_is_left(terminal):
    with progress_bar(stream=terminal):
        pass
    assert terminal.getvalue().rstrip().endswith("\x1b[2K")  # the last thing is to erase the line
    assert flat(terminal.getvalue()).count("compiling") == 1


def test_lines_on_a_terminal_that_cannot_draw(terminal, monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    with progress_bar(stream=terminal, interval=0.0) as report:
        report(EARLIER)
        report(NOW)
    assert terminal.getvalue().splitlines()[1:] == [LINE]


@pytest.mark.parametrize("widgets", [True, False])
def test_in_a_notebook_a_bar_with_widgets_and_lines_without(widgets, monkeypatch, capsys):
    """As in a kernel of IPython, where standard error is no terminal."""
    shown = []

    class Output:
        def clear_output(self, wait):
            assert wait

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

    display = SimpleNamespace(display=shown.append)
    monkeypatch.setattr(rich.console, "_is_jupyter", lambda: True)
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(display=display))
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    monkeypatch.setitem(sys.modules, "ipywidgets", SimpleNamespace(Output=Output) if widgets else None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: widgets and name == "ipywidgets")
    with progress_bar(interval=0.0) as report:
        report(EARLIER)
        report(NOW)
    html = [item._repr_mimebundle_([], [])["text/html"] for item in shown if hasattr(item, "_repr_mimebundle_")]
    assert any("rung 5/10" in text and "1,500 of 2,000 runs alive" in text for text in html) == widgets
    assert capsys.readouterr().err.splitlines()[1:] == ([] if widgets else [LINE])


def test_what_may_be_given_to_sweep(terminal, monkeypatch):
    monkeypatch.setattr(sys, "stderr", terminal)
    for silent in (None, False):
        with opened(silent) as report:
            report(NOW)
    assert terminal.getvalue() == ""
    seen = []
    with opened(seen.append) as report:
        report(NOW)
    assert seen == [NOW]
    with opened(True, "a") as report:
        report(dataclasses.replace(NOW, label="a"))
    assert "a rung 5/10" in flat(terminal.getvalue())
    with pytest.raises(ValueError, match="progress must be True for a bar, None for silence"), opened("yes"):
        pass
