import direct
import jax
import jax.numpy as jnp
import numpy as np
import optax
import problem
import pytest

import momentum_optax as mo
from momentum_optax.problems import digits
from momentum_optax.sweeps import Data, cross_entropy, grid, supervised, sweep

MODEL = problem.init, problem.apply
POINT = {"learning_rate": 0.1, "beta": 0.9}


def line(count=50, held_out=10):
    """Points about a plane, in float64."""
    rng = np.random.default_rng(3)
    inputs = rng.normal(size=(count + held_out, 3))
    targets = inputs @ [1.0, -2.0, 0.5] + rng.normal(size=count + held_out)
    return Data(inputs[:count], targets[:count], inputs[count:], targets[count:])


def square(predictions, targets):
    return (predictions - targets) ** 2


def linear(data, **options):
    model = (lambda key: jnp.zeros(3)), (lambda w, x: x @ w)
    return supervised(model, square, data, optimizer=problem.sgd, **options)


@pytest.mark.parametrize("batch_size", [8, 10, 50])
def test_training_is_that_of_numpy_with_the_last_batch_kept(batch_size):
    data = line()
    trial = linear(data, batch_size=batch_size)
    _, (params, _, _), losses, metrics = direct.run(trial, POINT, steps=20, seed=2)

    rng = np.random.default_rng([2, 0])
    w, velocity, expected = np.zeros(3), np.zeros(3), []
    while len(expected) < 20:
        order = rng.permutation(50)
        for start in range(0, 50, batch_size):
            rows = order[start : start + batch_size]  # the last one is shorter
            x, error = data.train_inputs[rows], data.train_inputs[rows] @ w - data.train_targets[rows]
            expected.append((error**2).mean())
            velocity = 0.9 * velocity + 2 * error @ x / len(rows)
            w = w - 0.1 * velocity
            if len(expected) == 20:
                break
    np.testing.assert_allclose(losses, expected, rtol=1e-4)
    np.testing.assert_allclose(params, w, rtol=1e-4)
    np.testing.assert_allclose(
        metrics["test_loss"], ((data.test_inputs @ w - data.test_targets) ** 2).mean(), rtol=1e-4
    )


@pytest.mark.parametrize("batch_size", [7, 10])
def test_every_epoch_visits_every_sample_once_in_an_order_of_its_own(batch_size):
    trial = problem.make_trial(batch_size=batch_size)
    per_epoch = trial.steps_per_epoch({})
    items = trial.plan({}, 3, 2 * per_epoch + 1)
    assert items["rows"].shape == (2 * per_epoch + 1, batch_size)
    assert items["rows"].dtype == np.int32
    counts = items["samples"] if batch_size == 7 else np.full(2 * per_epoch + 1, 10)
    assert set(items) == ({"rows", "samples"} if batch_size == 7 else {"rows"})
    epochs = [
        np.concatenate([rows[:n] for rows, n in zip(items["rows"][part], counts[part], strict=True)])
        for part in (slice(per_epoch), slice(per_epoch, 2 * per_epoch))
    ]
    assert [sorted(epoch) for epoch in epochs] == [list(range(60))] * 2
    assert not np.array_equal(*epochs)
    # What fills up the last batch is of the same epoch, so that no sample comes early.
    assert set(items["rows"][per_epoch - 1]) <= set(epochs[0])
    np.testing.assert_array_equal(items["rows"][per_epoch - 1][counts[per_epoch - 1] :], epochs[0][: -60 % batch_size])
    for steps in (1, per_epoch, per_epoch + 2):
        fewer = trial.plan({}, 3, steps)
        for name, values in items.items():
            np.testing.assert_array_equal(fewer[name], values[:steps])
    assert not np.array_equal(items["rows"], trial.plan({}, 4, 2 * per_epoch + 1)["rows"])


def test_the_batch_size_may_be_structural():
    trial = problem.make_trial(batch_size=lambda hp: hp["batch_size"])
    assert [trial.steps_per_epoch({"batch_size": b}) for b in (60, 7, 1)] == [1, 9, 60]
    assert trial.settings["batch_size"] == "by point"
    for batch_size in (7, 20):
        _, last, losses, _ = direct.run(trial, {**POINT, "batch_size": batch_size}, 12)
        _, expected, as_number, _ = direct.run(problem.make_trial(batch_size=batch_size), POINT, 12)
        np.testing.assert_array_equal(losses, as_number)
        jax.tree.map(np.testing.assert_array_equal, last, expected)
    with pytest.raises(ValueError, match="batch_size must be from 1 to 60, the number of training samples, not 61"):
        trial.plan({"batch_size": 61}, 0, 1)
    with pytest.raises(KeyError, match="no structural hyperparameter 'batch_size'"):
        trial.plan({}, 0, 1)
    with pytest.raises(TypeError, match="batch_size is a float, which varies inside one program"):
        trial.plan({"batch_size": 7.0}, 0, 1)


def test_where_all_samples_count_the_program_does_not_ask_which():
    for batch_size, folds, asks in ((6, 1, False), (7, 1, True), (6, 2, True)):
        trial = problem.make_trial(batch_size=batch_size)
        data = trial.data if folds == 1 else trial.fold(trial.data, np.int32(0), folds)
        item = jax.tree.map(lambda x: x[0], trial.plan({}, 0, 1))
        assert (trial.fetch(data, item)[2] is not None) == asks


OPTIMIZERS = {
    "chain": lambda hp: optax.chain(optax.clip_by_global_norm(1.0), optax.adam(hp["learning_rate"])),
    "value": lambda hp: optax.polyak_sgd(max_learning_rate=hp["learning_rate"]),
    "line search": lambda hp: optax.chain(optax.sgd(hp["learning_rate"]), optax.scale_by_backtracking_linesearch(5)),
    "lbfgs": lambda hp: optax.lbfgs(hp["learning_rate"], memory_size=3),
    "several steps": lambda hp: optax.MultiSteps(optax.sgd(hp["learning_rate"]), 2),
    "elsewhere": lambda hp: optax.contrib.schedule_free_sgd(hp["learning_rate"]),
    "two gradients": lambda hp: mo.storm(hp["learning_rate"]),
    "ahead": lambda hp: mo.nesterov_lookahead(hp["learning_rate"], hp["beta"]),
}


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_any_optimizer_trains_as_by_make_step(kind):
    # Folds and a short last batch, for methods that ask for the loss again.
    data = line()
    trial = supervised(
        ((lambda key: jnp.zeros(3)), (lambda w, x: x @ w)),
        square,
        data,
        optimizer=OPTIMIZERS[kind],
        batch_size=8,
    )
    hyper = {"learning_rate": np.float32(0.05), "beta": np.float32(0.9)}
    _, last, losses, metrics = direct.run(trial, POINT | {"learning_rate": 0.05}, steps=10)

    def loss(w, batch):
        return square(batch[0] @ w, batch[1]).mean()

    step = mo.make_step(loss, OPTIMIZERS[kind](hyper))
    params = jnp.zeros(3)
    state = OPTIMIZERS[kind](hyper).init(params)
    items = trial.plan({}, 0, 10)
    expected = []
    for rows, count in zip(items["rows"], items["samples"], strict=True):
        batch = [jnp.asarray(x[rows[:count]], jnp.float32) for x in data[:2]]
        params, state, out = step(params, state, batch)
        expected.append(out["loss"])
    np.testing.assert_allclose(losses, np.stack(expected), rtol=2e-4)
    np.testing.assert_allclose(last[0], params, rtol=1e-3, atol=1e-5)
    tested = square(data.test_inputs @ mo.eval_params(state, params, missing="params"), data.test_targets).mean()
    np.testing.assert_allclose(metrics["test_loss"], tested, rtol=1e-3)


def sam(hp, **options):
    return optax.contrib.sam(optax.sgd(hp["learning_rate"]), optax.sgd(0.1), **options)


ASKING = {
    "nothing": (sam, lambda loss: {}),
    "gradients elsewhere": (
        lambda hp: sam(hp, opaque_mode=True),
        lambda loss: {"grad_fn": lambda w, i: jax.grad(loss)(w)},
    ),
    "the objective": (lambda hp: optax.contrib.sophia(hp["learning_rate"]), lambda loss: {"obj_fn": loss}),
}


@pytest.mark.parametrize("kind", ASKING)
def test_optimizers_that_take_only_what_they_ask_for(kind):
    optimizer, extra = ASKING[kind]
    data = line()
    trial = supervised(
        ((lambda key: jnp.zeros(3)), (lambda w, x: x @ w)), square, data, optimizer=optimizer, batch_size=10
    )
    hyper = {"learning_rate": np.float32(0.05), "beta": np.float32(0.9)}
    _, last, _, _ = direct.run(trial, POINT | {"learning_rate": 0.05}, steps=6)
    tx, w = optimizer(hyper), jnp.zeros(3)
    state = tx.init(w)
    for rows in trial.plan({}, 0, 6)["rows"]:
        x, y = (jnp.asarray(values[rows], jnp.float32) for values in data[:2])

        def loss(w, x=x, y=y):
            return square(x @ w, y).mean()

        updates, state = tx.update(jax.grad(loss)(w), state, w, **extra(loss))
        w = optax.apply_updates(w, updates)
    np.testing.assert_allclose(last[0], w, rtol=1e-4)


def test_own_params_to_test():
    trial = problem.make_trial(eval_params=lambda memory, params: jax.tree.map(jnp.zeros_like, params))
    *_, metrics = direct.run(trial, POINT, 3)
    assert metrics["test_loss"] == pytest.approx(np.log(3))


def test_own_metrics():
    data = line()
    trial = linear(data, metrics={"square": square, "worst": lambda p, y: jnp.max(abs(p - y))})
    _, (w, *_), _, metrics = direct.run(trial, POINT, 5)
    assert set(metrics) == {"test_loss", "test_square", "test_worst"}
    assert metrics["test_loss"] == metrics["test_square"]
    assert metrics["test_worst"] == pytest.approx(float(np.max(abs(data.test_inputs @ w - data.test_targets))), 1e-5)
    *_, metrics = direct.run(linear(data), POINT, 1)
    assert set(metrics) == {"test_loss"}
    with pytest.raises(ValueError, match="none can be called 'loss'"):
        linear(data, metrics={"loss": square})


def bad(**parts):
    return problem.make_data()._replace(**parts)


BROKEN = problem.make_data().test_inputs.copy()
BROKEN[4, 1] = np.nan


@pytest.mark.parametrize(
    ("data", "options", "error", "words"),
    [
        (bad(test_inputs=BROKEN), {}, ValueError, r"data.test_inputs must be finite, but 1 of 120 .* index \(4, 1\)"),
        (bad(train_targets=np.zeros(59)), {}, ValueError, "same number of samples, at least 1, not 60 and 59"),
        (bad(test_targets=None), {}, ValueError, "data.test_inputs and .* at least 1, not 30 and 0"),
        (bad(test_inputs=np.zeros((30, 5))), {}, ValueError, r"samples of one shape, not \(4,\) and \(5,\)"),
        (bad(train_inputs=np.array(["a"] * 60)), {}, TypeError, "train_inputs must be one array of .* not one of <U1"),
        (bad(test_inputs={"x": np.zeros((30, 4))}), {}, TypeError, "test_inputs must be one array of .* not a dict"),
        (tuple(bad()), {}, TypeError, "data must be a momentum_optax.sweeps.Data, not tuple"),
        (bad(), {"batch_size": 61}, ValueError, "batch_size must be from 1 to 60, the number of .* not 61"),
        (bad(), {"batch_size": 0}, ValueError, "batch_size must be a whole number of at least 1, not 0"),
        (bad(), {"batch_size": 2.5}, ValueError, "batch_size must be a whole number of at least 1, not 2.5"),
    ],
)
def test_bad_arguments_are_named(data, options, error, words):
    with pytest.raises(error, match=words):
        supervised(MODEL, cross_entropy, data, optimizer=problem.sgd, **options)


def test_bad_functions_are_named():
    with pytest.raises(TypeError, match="loss must be a function of predictions and targets"):
        supervised(MODEL, problem.make_data(), problem.make_data(), optimizer=problem.sgd)
    with pytest.raises(TypeError, match=r"optimizer must be a function of hyperparameters, such as .* not Gradient"):
        supervised(MODEL, cross_entropy, problem.make_data(), optimizer=optax.sgd(0.1))
    trial = supervised(MODEL, cross_entropy, problem.make_data(), optimizer=lambda hp: hp["learning_rate"])
    with pytest.raises(TypeError, match=r"optimizer\(hp\) must return an optax.GradientTransformation, not"):
        direct.run(trial, POINT, 1)


def test_without_test_data_there_is_nothing_to_test():
    trial = supervised(MODEL, cross_entropy, Data(*problem.make_data()[:2]), optimizer=problem.sgd)
    assert trial.settings["test_samples"] == 0
    with pytest.raises(ValueError, match="no test_inputs and test_targets: give them, or validate with folds"):
        direct.run(trial, POINT, 1)


def test_a_sweep_over_structural_and_other_hyperparameters_equals_single_runs():
    trial = problem.make_trial(batch_size=lambda hp: hp["batch_size"])
    points = grid(batch_size=[7, 20], learning_rate=[0.03, 0.1], beta=[0.9])
    result = sweep(trial, points, seeds=2, steps=10)
    for p, point in enumerate(points):
        *_, metrics = direct.run(trial, point, 10, seed=1)
        for name, value in metrics.items():
            np.testing.assert_allclose(result.metrics[name][p, 1, -1], value, rtol=1e-5)


def test_digits_are_split_without_leaking():
    data = digits.load()
    assert data.train_inputs.shape == (1437, 64)
    assert data.test_inputs.shape == (360, 64)
    assert data.train_inputs.dtype == np.float32
    np.testing.assert_allclose(data.train_inputs.mean(0), 0, atol=1e-5)
    deviation = data.train_inputs.std(0)
    np.testing.assert_allclose(deviation[deviation > 0], 1, rtol=1e-4)
    assert np.bincount(data.test_targets).min() >= 34
