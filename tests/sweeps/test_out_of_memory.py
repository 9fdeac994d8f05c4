"""What happens where memory runs short in the midst of a sweep."""

import jax
import numpy as np
import pytest
from driven import assert_near, run

from momentum_optax.sweeps.engine import batched, engine


@pytest.fixture(scope="module")
def plain():
    return run()


def test_what_does_not_fit_is_halved_and_nothing_is_lost(plain, monkeypatch):
    calls = []

    def train(self, state, hyper, rows, items):
        job = honest(self, state, hyper, rows, items)
        lanes = np.prod(jax.tree.leaves(state)[0].shape[:2])

        def limited(state):
            calls.append(int(lanes))
            # Little memory from the second rung on, so that states are under way.
            if lanes > 2 and len(calls) > 2:
                raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 123 bytes.")
            return job(state)

        return limited

    honest = engine.Trainer.train
    monkeypatch.setattr(engine.Trainer, "train", train)
    result = run(lanes_per_chunk=9)
    assert_near(result, plain)
    assert max(calls[:2]) > 2
    assert max(calls[-4:]) <= 2
    assert result.settings["ways"][0]["chunk"] <= 2


def test_memory_that_runs_out_between_steps_loses_nothing(plain, monkeypatch):
    """Each step donates its state, so those of the whole rung are kept elsewhere."""
    calls = []

    def compile(self, *arguments):
        compiled = honest(self, *arguments)
        if len(arguments) < 6:  # not the step
            return compiled

        def limited(state, *rest):
            calls.append(jax.tree.leaves(state)[0].shape[:2])
            if np.prod(calls[-1]) > 2 and len(calls) > 8:
                raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 123 bytes.")
            return compiled(state, *rest)

        return limited

    honest = batched.Compiler.__call__
    monkeypatch.setattr(batched.Compiler, "__call__", compile)
    assert_near(run(lanes_per_chunk=9, strategy="step"), plain)
    assert calls[7] == calls[8] != calls[-1]


@pytest.mark.parametrize(
    ("said", "raised", "words"),
    [
        ("RESOURCE_EXHAUSTED: Out of memory", MemoryError, "not enough for a single run"),
        ("INTERNAL: something else", jax.errors.JaxRuntimeError, "something else"),
    ],
)
def test_what_never_runs_is_an_error_and_only_a_lack_of_memory_is_one_of_memory(monkeypatch, said, raised, words):
    def train(*_):
        def job(_):
            raise jax.errors.JaxRuntimeError(said)

        return job

    monkeypatch.setattr(engine.Trainer, "train", train)
    with pytest.raises(raised, match=words):
        run()


def test_chunks_are_made_for_the_memory_there_is(plain, monkeypatch):
    needed = []

    def memory(self, *arguments):
        needed.append(honest(self, *arguments))
        return needed[-1]

    honest = engine.Trainer.memory
    monkeypatch.setattr(engine.Trainer, "memory", memory)
    monkeypatch.setattr(engine.memory, "free", lambda device: 15000)
    result = run()
    assert needed[0] > 0.9 * 15000 > 2 * needed[-1]  # two batches at once
    assert result.settings["ways"][0]["chunk"] < plain.settings["ways"][0]["chunk"]
    assert_near(result, plain)


def test_states_wait_on_the_host_where_they_do_not_fit(plain, monkeypatch):
    monkeypatch.setattr(engine.memory, "free", lambda device: 5000)
    seen = []
    honest = engine.Engine._job

    def job(self, batch, items):
        seen.append(all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(batch.state)))
        return honest(self, batch, items)

    monkeypatch.setattr(engine.Engine, "_job", job)
    result = run(lanes_per_chunk=2)
    assert all(seen)
    assert_near(result, plain)
