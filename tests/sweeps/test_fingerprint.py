"""What tells trials apart, for a folder to be used for the sweep that it is of."""

import contextlib
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import problem
import pytest

from momentum_optax.sweeps import Data, accuracy, cross_entropy, grid, supervised, sweep
from momentum_optax.sweeps.trials import fingerprint

ITEM = {"rows": np.arange(6, dtype=np.int32)}


def of(trial, structure=None, names=("learning_rate", "beta")):
    drawn = trial.draw({}, jax.random.key(0))
    return tuple(fingerprint.fingerprint(trial, structure or {}, names, drawn, ITEM, ITEM).values())


def test_data_are_told_apart():
    data = problem.make_data()
    assert fingerprint.of_data(data) == fingerprint.of_data(Data(*map(np.copy, data)))
    others = [
        data._replace(train_targets=data.train_targets[::-1]),
        data._replace(train_inputs=data.train_inputs.astype(np.float16)),
        data._replace(train_inputs=data.train_inputs.reshape(-1, 2, 2)),
        data._replace(test_inputs=None, test_targets=None),
        None,
    ]
    assert len({fingerprint.of_data(d) for d in (data, *others)}) == 6


def test_functions_are_told_apart():
    trial = problem.make_trial()
    assert of(trial) == of(problem.make_trial())
    nesterov = problem.make_trial(optimizer=lambda hp: optax.sgd(hp["learning_rate"], hp["beta"], nesterov=True))
    wider = (lambda key: jax.tree.map(lambda p: p, problem.init(key)), lambda p, x: jnp.sin(problem.apply(p, x)))
    other_model = supervised(wider, lambda a, b: (a.sum(-1) - b) ** 2, problem.make_data(), optimizer=problem.sgd)
    other_metric = problem.make_trial(metrics={"accuracy": accuracy, "again": lambda a, b: 1 - accuracy(a, b)})
    assert len({of(t) for t in (trial, nesterov, other_model, other_metric)}) == 4


def heavy(hp):
    return optax.sgd(hp["learning_rate"], hp["beta"], nesterov=True)


def adam(hp):
    return optax.adam(hp["learning_rate"], hp["beta"])


def shifted_plan(trial):
    return lambda structure, seed, steps: trial.plan(structure, seed + 1, steps)


TRIAL = problem.make_trial()
FIRST = lambda key: jax.tree.map(lambda p: 2 * p, problem.init(key))  # noqa: E731
OTHERS = {
    "its model, loss or optimizer is": problem.make_trial(optimizer=heavy),
    "its model, loss or optimizer is not": problem.make_trial(
        optimizer=lambda hp: optax.adam(hp["learning_rate"], hp["beta"])
    ),
    "its initial params is": supervised(
        (FIRST, problem.apply), cross_entropy, problem.make_data(), optimizer=problem.sgd, batch_size=6
    ),
    "its order of the data is": dataclasses.replace(TRIAL, plan=shifted_plan(TRIAL)),
}


@pytest.mark.parametrize("finished", [False, True])
@pytest.mark.parametrize("said", OTHERS)
def test_a_folder_refuses_another_trial(tmp_path, said, finished):
    points = grid(learning_rate=[0.1], beta=[0.0])

    class StoppedError(Exception):
        pass

    def stop(progress):
        if progress.rung == 1 and not finished:
            raise StoppedError

    options = {"seeds": 1, "steps": 4, "evaluate_every": 2, "folder": tmp_path, "strategy": "vmap"}
    with contextlib.suppress(StoppedError):
        sweep(TRIAL, points, **options, progress=stop)
    with pytest.raises(ValueError, match=f"sweep with another trial: {said}"):
        sweep(OTHERS[said], points, **options)
    assert sweep(TRIAL, points, **options).metrics["test_loss"].shape == (1, 1, 2)
