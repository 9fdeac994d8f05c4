"""What processes tell one another; see test_processes.py for real ones."""

import os
import pickle
import signal

import numpy as np
import pytest

from momentum_optax.sweeps.engine import team
from momentum_optax.sweeps.engine.team import Team


@pytest.fixture
def meet(monkeypatch):
    """Makes a process meet with itself, as if it were several."""
    seen = []

    def meet(how, piece):
        seen.append(piece.size)
        return np.stack([piece] * 3) if how == "process_allgather" else piece

    monkeypatch.setattr(team, "_meet", meet)
    monkeypatch.setattr(team, "PIECE", 3 * 64)
    return seen


@pytest.mark.parametrize("dtype", ["float32", "bool", "bfloat16", "uint32", "complex64"])
@pytest.mark.parametrize("shape", [(1,), (5, 0), (3, 4, 7)])
def test_arrays_of_any_type_and_size(meet, dtype, shape):
    values = np.arange(np.prod(shape)).reshape(shape).astype(np.dtype(dtype) if dtype != "bfloat16" else "bfloat16")
    for index in (0, 2):
        parts = Team(3, index).stack(values)
        assert len(parts) == 3
        assert all(part.dtype == values.dtype for part in parts)
        assert all((part == values).all() and part.shape == shape for part in parts)
    found = Team(3, 0).spread(values)
    assert found.dtype == values.dtype
    np.testing.assert_array_equal(found, values)
    assert Team(3, 1).stack(values, wanted=False) == []
    assert max(meet, default=0) <= 96
    assert len(set(meet)) <= 8


@pytest.mark.parametrize("size", [0, 10, team.SMALL, team.SMALL + 1, 100_000])
def test_messages_of_any_length(meet, size):
    assert Team(3, 1).each(lambda: "x" * size) == ["x" * size] * 3
    assert Team(3, 1).first(lambda: 1 / 0) is None
    assert Team().first(lambda: size) == size


class StrangeError(Exception):
    def __init__(self, first, second):
        super().__init__(first)
        self.second = lambda: second


def test_errors_travel():
    def elsewhere(error):
        return pickle.loads(pickle.dumps(team._portable(error)))

    assert elsewhere(None) is None
    assert repr(elsewhere(KeyError("x"))) == repr(KeyError("x"))
    assert isinstance(elsewhere(KeyboardInterrupt()), KeyboardInterrupt)
    assert repr(elsewhere(StrangeError("odd", 2))) == "RuntimeError('StrangeError: odd')"
    assert repr(elsewhere(ValueError(lambda: 0))).startswith("RuntimeError('ValueError: <function")


def test_own_errors_come_first(meet):
    with pytest.raises(StrangeError, match="odd"):
        Team(3, 1).each(lambda: exec("raise error", {"error": StrangeError("odd", 2)}))


@pytest.fixture
def ctrl_c():
    """As in a foreground job, whatever pytest is."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield lambda: os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signal.signal(signal.SIGINT, before)


def acts(several, *those):
    """How many of some acts are done before a KeyboardInterrupt."""
    done = 0
    try:
        with several.listening():
            for act in those:
                act()
                done += 1
    except KeyboardInterrupt:
        return done
    return None


def test_an_interruption_waits_for_the_others(meet, ctrl_c):
    several = Team(3, 1)
    assert acts(several, ctrl_c, int, lambda: several.each(int), int) == 2
    assert meet  # the others were told


def test_an_interruption_is_not_forgotten(ctrl_c):
    assert acts(Team(3, 1), ctrl_c, int) == 2
    assert acts(Team(3, 1), int) is None


def test_a_second_interruption_does_not_wait(ctrl_c):
    assert acts(Team(3, 1), ctrl_c, int, ctrl_c, int) == 2


def test_alone_an_interruption_does_not_wait(ctrl_c):
    assert acts(Team(), ctrl_c, int) == 0


def test_who_has_ended_is_missed(monkeypatch):
    from jax.experimental import multihost_utils

    def gone(piece):
        raise ValueError("Connection closed by peer")

    monkeypatch.setattr(multihost_utils, "process_allgather", gone)
    with pytest.raises(RuntimeError, match=r"Another process of this sweep has ended.*Connection closed by peer"):
        Team(2, 0).each(lambda: 0)
