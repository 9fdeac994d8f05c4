"""Which ways are timed, and which is chosen; with times that are given here."""

import math
import types
from typing import Any

import pytest

from momentum_optax.sweeps.engine import strategy
from momentum_optax.sweeps.engine.cost import Cost
from momentum_optax.sweeps.engine.strategy import Known, Way, choose, ways

SCAN = {1: 10.0, 2: 8.0, 8: 6.0, 32: 7.0}
"""Seconds per step and run of a network of small matrices, by how many runs are together."""


def decide(monkeypatch, scan, step, *, on_cpu=True, suits=8, convolutions=False, known=None, **options):
    """What is chosen, and what was timed, in order."""
    timed = []

    def engine(way) -> Any:
        return types.SimpleNamespace(way=way)

    def time(engine, steps):
        assert 2 <= steps <= 30
        timed.append(engine.way)
        return {"scan": scan, "step": step}[engine.way.loop][engine.way.chunk], 3.0

    monkeypatch.setattr(strategy, "_time", time)
    cost: Any = types.SimpleNamespace(operations=1e6, convolutions=convolutions, cpu_chunk=suits)
    options = {"runs": 1000, "workers": 2, "steps": 300, "rung": 30, "chunk": None} | options
    choice = choose(engine, on_cpu=on_cpu, cost=cost, known=known or Known(), **options)
    return choice, [(way.loop, way.chunk) for way in timed]


def test_small_matrices_go_together(monkeypatch):
    choice, timed = decide(monkeypatch, SCAN, {1: 300.0})
    assert choice.way == Way("vmap", "scan", 8)
    assert timed == [("scan", 8), ("scan", 1), ("step", 1), ("scan", 2), ("scan", 32)]
    assert choice.seconds == {"vmap": 6.0, "map": 10.0, "step": 300.0}


def test_as_many_together_as_is_fastest(monkeypatch):
    choice, _ = decide(monkeypatch, SCAN | {32: 5.0}, {1: 300.0})
    assert choice.way.chunk == 32
    assert choice.seconds["vmap"] == 5.0


def test_what_is_likely_is_taken_unless_another_way_is_clearly_faster(monkeypatch):
    for least, chunk in ((5.8, 8), (5.6, 32)):
        choice, _ = decide(monkeypatch, SCAN | {32: least}, {1: 300.0})
        assert choice.way.chunk == chunk


def test_many_together_are_held_against_fewer_but_not_against_too_many(monkeypatch):
    choice, timed = decide(monkeypatch, {1: 9.0, 8: 5.0, 32: 6.0}, {1: 300.0}, suits=32)
    assert choice.way.chunk == 8
    assert timed == [("scan", 32), ("scan", 1), ("step", 1), ("scan", 8)]


def test_convolutions_that_are_slow_in_a_compiled_loop_are_stepped_from_python(monkeypatch):
    choice, timed = decide(monkeypatch, {1: 90.0}, {1: 10.0, 8: 15.0}, convolutions=True)
    assert choice.way == Way("step", "step", 1)
    assert timed == [("step", 8), ("scan", 1), ("step", 1)]


def test_small_convolutions_share_the_call_of_a_step(monkeypatch):
    choice, _ = decide(monkeypatch, {1: 18.0, 2: 27.0}, {1: 10.0, 8: 6.0}, convolutions=True)
    assert choice.way == Way("step", "step", 8)


def test_other_devices_train_all_runs_together(monkeypatch):
    choice, timed = decide(monkeypatch, {None: 1.0}, {None: 2.0}, on_cpu=False, steps=10**5)
    assert choice.way == Way("vmap", "scan", None)
    assert timed == [("scan", None), ("step", None)]


def test_a_chunk_that_was_given_is_kept(monkeypatch):
    choice, timed = decide(monkeypatch, {1: 10.0, 5: 6.0}, {5: 9.0}, chunk=5)
    assert choice.way == Way("vmap", "scan", 5)
    assert timed == [("scan", 5), ("scan", 1), ("step", 5)]


@pytest.mark.parametrize(("runs", "expected"), [(16, [8, 1, 2]), (18, [8, 1, 2, 32])])
def test_no_more_runs_together_than_there_are(monkeypatch, runs, expected):
    _, timed = decide(monkeypatch, {1: 10.0, 2: 8.0, 8: 6.0, 32: 5.0}, {1: 9.0, 8: 9.5}, runs=runs, steps=30000)
    assert [chunk for loop, chunk in timed if loop == "scan"] == expected


def test_what_would_not_pay_is_not_timed(monkeypatch):
    choice, timed = decide(monkeypatch, {}, {}, steps=10)
    assert (choice.way, timed, choice.seconds) == (Way("vmap", "scan", 8), [], {})
    choice, timed = decide(monkeypatch, {}, {}, steps=10, convolutions=True)
    assert (choice.way, timed) == (Way("step", "step", 8), [])
    nearly = 30 * 3.0 / (1000 * 300)
    choice, timed = decide(monkeypatch, {8: 0.99 * nearly}, {})
    assert (choice.way, timed) == (Way("vmap", "scan", 8), [("scan", 8)])
    _, timed = decide(monkeypatch, {8: 1.01 * nearly, 1: 1.0, 2: 2.0}, {1: 9.0})
    assert len(timed) == 4


def test_what_is_known_is_not_timed_again(monkeypatch):
    known = Known()
    first, _ = decide(monkeypatch, SCAN, {1: 300.0}, known=known)
    second, timed = decide(monkeypatch, {}, {}, known=known)
    assert timed == []
    assert second.way == first.way


def test_a_strategy_that_was_given_is_the_only_way():
    cost = Cost(1.6e7, 0, False)
    assert ways("vmap", None, True, cost) == [Way("vmap", "scan", 4)]
    assert ways("vmap", None, False, cost) == [Way("vmap", "scan", None)]
    assert ways("map", 7, True, cost) == [Way("map", "scan", 1)]
    assert ways("step", None, True, cost) == [Way("step", "step", 4)]
    assert ways("step", None, True, Cost(1.0, 0, False)) == [Way("step", "step", 8)]
    assert ways("step", None, False, cost) == [Way("step", "step", None)]
    assert ways("step", 7, True, cost) == [Way("step", "step", 7)]
    assert math.prod(way.chunk or 1 for way in ways("auto", 7, True, cost)) == 49
