import dataclasses

import direct
import jax
import jax.numpy as jnp
import numpy as np
import optax
import problem
import pytest
import results
from flax import nnx

from momentum_optax.sweeps import Data, cross_entropy, supervised, sweep
from momentum_optax.sweeps.trials.folds import order

POINT = {"learning_rate": 0.1, "beta": 0.9}
RNG = np.random.default_rng(5)
INPUTS = RNG.normal(size=(23, 3)).astype(np.float32)
TARGETS = (INPUTS @ [1.0, -2.0, 0.5] + RNG.normal(size=23)).astype(np.float32)


def square(predictions, targets):
    return (predictions - targets) ** 2


def linear(batch_size, count=23, **options):
    model = (lambda key: jnp.zeros(3)), (lambda w, x: x @ w)
    data = Data(INPUTS[:count], TARGETS[:count])
    return supervised(model, square, data, optimizer=problem.sgd, batch_size=batch_size, **options)


def held_out(trial, fold, folds):
    """Which samples a fold holds out, from what it validates on."""
    seen = trial.fold(trial.data, np.int32(fold), folds)
    return np.asarray(seen.own if seen.counts is None else seen.own[seen.counts])


@pytest.mark.parametrize("folds", [2, 3, 7, 23])
def test_every_sample_is_held_out_once_and_folds_are_as_equal_as_can_be(folds):
    trial = linear(4)
    parts = [held_out(trial, fold, folds) for fold in range(folds)]
    assert sorted(np.concatenate(parts)) == list(range(23))
    assert {len(part) for part in parts} <= {23 // folds, -(-23 // folds)}
    # Not one stretch of the data after another.
    assert folds == 23 or any((np.diff(np.sort(part)) > 1).any() for part in parts)
    for fold, part in enumerate(parts):
        rows, counts = trial.fold(trial.data, np.int32(fold), folds).trained(jnp.arange(23))
        assert set(np.flatnonzero(~np.asarray(counts))) == set(part)
        np.testing.assert_array_equal(np.asarray(rows)[np.asarray(counts)], np.setdiff1d(np.arange(23), part))
        # What takes the place of a sample held out is not held out itself.
        assert not set(np.asarray(rows)) & set(part)


@pytest.mark.parametrize("folds", [2, 5])
def test_labels_have_equal_shares_in_all_folds(folds):
    labels = np.repeat(np.arange(4), [1, 9, 13, 30]).astype(np.int32)
    model = problem.init, problem.apply
    trial = supervised(model, cross_entropy, Data(np.zeros((53, 4)), labels), optimizer=problem.sgd, batch_size=53)
    shares = [np.bincount(labels[held_out(trial, fold, folds)], minlength=4) for fold in range(folds)]
    assert (np.ptp(shares, axis=0) <= 1).all()
    assert np.ptp(np.sum(shares, axis=1)) <= 1
    rows, _ = trial.fold(trial.data, np.int32(0), folds).trained(jnp.arange(53))
    same = labels[np.asarray(rows)] == labels
    assert same.sum() >= 53 - 4, "only the last of a label may have another in its place"


def test_the_order_is_shuffled_and_always_the_same():
    labels = np.arange(30) % 3
    np.testing.assert_array_equal(order(labels), order(labels))
    assert (labels[order(labels)] == np.repeat([0, 1, 2], 10)).all()
    assert (np.diff(order(labels)[:10]) < 0).any()
    assert len(set(order(labels.astype(float))[:10] % 3)) == 3  # numbers are no labels


@pytest.mark.parametrize("batch_size", [23, 5, 1])
@pytest.mark.parametrize("folds", [2, 4])
def test_training_is_that_of_numpy_on_the_ragged_split(batch_size, folds):
    trial = linear(batch_size)
    for fold in range(folds):
        _, (w, *_), losses, metrics = direct.run(trial, POINT, steps=12, seed=3, fold=fold, folds=folds)
        out = held_out(trial, fold, folds)
        items = trial.plan({}, 3, 12)
        expected, velocity, values = np.zeros(3), np.zeros(3), []
        for t, rows in enumerate(items["rows"]):
            rows = rows[: items["samples"][t]] if "samples" in items else rows
            rows = rows[~np.isin(rows, out)]
            x, error = INPUTS[rows], INPUTS[rows] @ expected - TARGETS[rows]
            values.append((error**2).sum() / max(1, len(rows)))
            velocity = 0.9 * velocity + 2 * error @ x / max(1, len(rows))
            expected = expected - 0.1 * velocity
        np.testing.assert_allclose(w, expected, rtol=2e-5, atol=1e-6)
        np.testing.assert_allclose(losses, values, rtol=2e-5, atol=1e-6)
        assert set(metrics) == {"validation_loss"}
        error = INPUTS[out] @ expected - TARGETS[out]
        np.testing.assert_allclose(metrics["validation_loss"], (error**2).mean(), rtol=2e-5)


class Normalized(nnx.Module):
    def __init__(self, rngs):
        self.first, self.last = nnx.Linear(3, 4, rngs=rngs), nnx.Linear(4, 1, rngs=rngs)
        self.norm, self.drop = nnx.BatchNorm(4, rngs=rngs), nnx.Dropout(0.3, rngs=rngs)

    def __call__(self, x):
        return self.last(self.drop(self.norm(self.first(x))))[:, 0]


@pytest.mark.parametrize("batch_size", [23, 6])
def test_nothing_of_a_sample_held_out_reaches_the_training(batch_size):
    trial = supervised(
        Normalized,
        square,
        Data(INPUTS, TARGETS),
        optimizer=lambda hp: optax.adam(hp["learning_rate"]),
        batch_size=batch_size,
    )
    out = held_out(trial, 1, 4)
    inputs, targets = INPUTS.copy(), TARGETS.copy()
    inputs[out], targets[out] = 1e3, -1e3
    other = dataclasses.replace(trial, data=Data(inputs, targets))
    (_, last, losses, metrics), (_, same, same_losses, other_metrics) = (
        direct.run(t, POINT, 8, fold=1, folds=4) for t in (trial, other)
    )
    np.testing.assert_array_equal(losses, same_losses)
    jax.tree.map(np.testing.assert_array_equal, *(jax.tree.leaves((s[0], s[2])) for s in (last, same)))
    np.testing.assert_array_equal(last[1]["norm"]["mean"][...], same[1]["norm"]["mean"][...])
    assert metrics["validation_loss"] != other_metrics["validation_loss"]
    assert not np.array_equal(direct.run(other, POINT, 8, fold=0, folds=4)[2], losses)


def test_scores_that_average_by_themselves_need_folds_of_one_size():
    def worst(predictions, targets):
        return jnp.max(jnp.abs(predictions - targets))

    trial = linear(20, count=20, metrics={"worst": worst})
    _, (w, *_), _, metrics = direct.run(trial, POINT, 3, fold=2, folds=4)
    out = held_out(trial, 2, 4)
    np.testing.assert_allclose(metrics["validation_worst"], np.abs(INPUTS[out] @ w - TARGETS[out]).max(), rtol=1e-5)
    with pytest.raises(ValueError, match=r"worst must give one number for each sample.* \(6,\).* not all samples"):
        direct.run(linear(23, metrics={"worst": worst}), POINT, 3, fold=2, folds=4)


def test_folds_of_a_sweep_equal_single_runs():
    trial = problem.make_trial(batch_size=7)
    points = [POINT, POINT | {"learning_rate": 0.03}]
    result = sweep(trial, points, seeds=2, steps=20, folds=3)
    assert set(result.metrics) == {"train_loss", "validation_loss", "validation_accuracy"}
    assert result.metrics["validation_loss"].shape == (2, 2, 3, 10)
    for p, point in enumerate(points):
        for fold in range(3):
            _, _, losses, metrics = direct.run(trial, point, 20, seed=1, fold=fold, folds=3)
            for name, value in metrics.items():
                np.testing.assert_allclose(result.metrics[name][p, 1, fold, -1], value, rtol=1e-5, err_msg=name)
            np.testing.assert_allclose(result.metrics["train_loss"][p, 1, fold, -1], losses[-2:].mean(), rtol=1e-5)
    assert result.best().index in (0, 1)
    np.testing.assert_array_equal(result.final(), result.final("validation_accuracy"))


def test_validation_is_what_to_choose_by():
    tested = results.make([[[0.5]], [[0.7]]], steps=[1])
    both = dataclasses.replace(tested, metrics={**tested.metrics, "validation_loss": np.array([[[0.1]], [[0.2]]])})
    assert tested.best().index == 1
    assert both.best().index == 0


@pytest.mark.parametrize("folds", [1, 61])
def test_more_folds_than_samples_are_refused(folds):
    with pytest.raises(ValueError, match="folds must be"):
        sweep(problem.make_trial(), POINT, seeds=1, steps=2, folds=folds)
