import io

import numpy as np
import pytest

from momentum_optax.sweeps import Progress, progress_bar


def progress(label, step, seconds, best=0.5, diverged=0):
    return Progress(label, step, 10, 4, diverged, {}, best, {"learning_rate": 0.1, "beta": 0.9}, seconds)


def test_plain_lines_where_there_is_no_terminal():
    out = io.StringIO()
    with progress_bar(["a", "b"], stream=out, interval=0) as report:
        report(progress("a", 5, 4.0))
        # Two seconds of compiling and 0.4 s a step: another 0 steps here, and all of that for b.
        report(progress("a", 10, 6.0, best=0.75, diverged=1))
        report(progress("b", 5, 4.0, best=0.6))
    assert out.getvalue().splitlines() == [
        " 25%  a step 5/10, best 50.0% (a learning_rate 0.1, beta 0.9)",
        " 50%  a step 10/10, 6 s left, best 75.0% (a learning_rate 0.1, beta 0.9), 1 of 4 runs diverged",
        " 75%  b step 5/10, 2 s left, best 75.0% (a learning_rate 0.1, beta 0.9)",
    ]


def test_few_lines_unless_a_sweep_ends():
    out = io.StringIO()
    with progress_bar(["a"], stream=out, interval=1e9) as report:
        for step in range(1, 11):
            report(progress("a", step, float(step)))
    assert [line.split(",")[0] for line in out.getvalue().splitlines()] == [" 10%  a step 1/10", "100%  a step 10/10"]


def test_an_unknown_label_is_named():
    with (
        progress_bar(["a"], stream=io.StringIO()) as report,
        pytest.raises(ValueError, match=r"labels \['a'\], but this one's is ''"),
    ):
        report(progress("", 1, 1.0))


def test_a_bar_on_a_terminal(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "150")
    out = Terminal()
    with progress_bar(["a"], stream=out) as report:
        report(progress("a", 5, 4.0))
        report(progress("a", 10, 6.0))
    assert "100%" in out.getvalue()
    assert "best 50.0% (a learning_rate 0.1, beta 0.9)" in out.getvalue()


def test_no_best_without_accuracy():
    history = [{"test_loss": np.ones((2, 3))}]
    now = Progress.of("", [{"x": 1.0}] * 3, history, np.full((2, 3), -1), 1, 2, 1.0)
    assert np.isnan(now.best)
    assert now.runs == 6
