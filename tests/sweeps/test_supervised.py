import jax
import jax.numpy as jnp
import numpy as np
import optax
import problem
import pytest
from flax import nnx

from momentum_optax.problems import digits
from momentum_optax.sweeps import accuracy, cross_entropy, supervised, sweep
from momentum_optax.sweeps.engine import draw_program


class Regularized(nnx.Module):
    """Batch statistics and a random stream, which must live on per run."""

    def __init__(self, rngs):
        self.first = nnx.Linear(4, 8, rngs=rngs)
        self.norm = nnx.BatchNorm(8, momentum=0.5, rngs=rngs)
        self.drop = nnx.Dropout(0.5, rngs=rngs)
        self.last = nnx.Linear(8, 3, rngs=rngs)

    def __call__(self, inputs):
        return self.last(self.drop(jax.nn.relu(self.norm(self.first(inputs)))))


def test_nnx_model_with_batch_statistics_and_dropout_equals_flax_by_hand():
    data = problem.make_data()
    trial = supervised(Regularized, data, optimizer=lambda hp: optax.sgd(hp["learning_rate"]), batch_size=10)
    result = sweep(trial, [{"learning_rate": 0.1}, {"learning_rate": 0.2}], seeds=2, steps=12)
    for p, rate in enumerate([0.1, 0.2]):
        model = Regularized(nnx.Rngs(jax.random.key(1)))
        optimizer = nnx.Optimizer(model, optax.sgd(rate), wrt=nnx.Param)

        def loss(model, inputs, targets):
            return cross_entropy(model(inputs), targets).mean()

        model.train()
        step = nnx.jit(lambda model, optimizer, *batch: optimizer.update(model, nnx.grad(loss)(model, *batch)))
        for rows in trial.plan(1, 12):
            step(model, optimizer, data.train_inputs[rows], data.train_targets[rows])
        model.eval()
        expected = cross_entropy(model(data.test_inputs), data.test_targets).mean()
        np.testing.assert_allclose(result.metrics["test_loss"][p, 1, -1], expected, rtol=1e-4)


@pytest.mark.parametrize("kind", ["nnx", "functions"])
def test_a_model_that_changed_under_the_same_name_is_built_anew(kind):
    width = 4

    class Net(nnx.Module):
        def __init__(self, rngs):
            self.first, self.last = nnx.Linear(4, width, rngs=rngs), nnx.Linear(width, 3, rngs=rngs)

        def __call__(self, inputs):
            return self.last(self.first(inputs))

    def init(key):
        return jax.random.normal(key, (4, width))

    def apply(params, inputs):
        return (inputs @ params)[:, :3]

    model = Net if kind == "nnx" else (init, apply)
    sizes = []
    for width in (4, 8):  # noqa: B007
        trial = supervised(model, problem.make_data(), optimizer=lambda hp: optax.sgd(hp["learning_rate"]))
        sweep(trial, {"learning_rate": 0.1}, seeds=1, steps=1)
        params, _ = draw_program(trial.draw)(jax.random.key(0))
        sizes.append(sum(p.size for p in jax.tree.leaves(params)))
    assert sizes == ([4 * 5 + 3 * 5, 8 * 5 + 3 * 9] if kind == "nnx" else [16, 32])


def test_every_epoch_visits_every_sample_once_in_an_order_of_its_own():
    trial = problem.make_trial(batch_size=7)
    rows = trial.plan(3, 20)
    assert rows.shape == (20, 7)
    stream = rows.ravel()
    for start in (0, 60):
        assert sorted(stream[start : start + 60]) == list(range(60))
    assert not np.array_equal(stream[:60], stream[60:120])
    np.testing.assert_array_equal(rows, trial.plan(3, 20))
    np.testing.assert_array_equal(rows[:5], trial.plan(3, 5))
    assert not np.array_equal(rows, trial.plan(4, 20))


def test_default_loss_is_that_of_optax():
    logits = jnp.asarray(np.random.default_rng(0).normal(size=(5, 3)) * 30, jnp.float32)
    labels = jnp.asarray([0, 1, 2, 2, 1])
    expected = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    np.testing.assert_allclose(cross_entropy(logits, labels), expected, rtol=1e-5, atol=1e-6)
    got, want = (
        jax.grad(lambda x, f=f: f(x, labels).sum())(logits)
        for f in (cross_entropy, optax.softmax_cross_entropy_with_integer_labels)
    )
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


def test_nan_is_never_right():
    assert accuracy(jnp.array([[jnp.nan, 0.0]]), jnp.array([0])).tolist() == [0.0]


def test_own_loss_and_metrics():
    data = problem.make_data()
    data = data._replace(
        train_targets=data.train_targets.astype(np.float32)[:, None],
        test_targets=data.test_targets.astype(np.float32)[:, None],
    )

    def error(p, y):
        return ((p - y) ** 2).mean(-1)

    trial = supervised(
        (problem.init, problem.apply), data, optimizer=problem.sgd, loss=error, metrics={"square": error}
    )
    result = sweep(trial, [{"learning_rate": 0.01, "beta": 0.5}], seeds=1, steps=5)
    assert set(result.metrics) == {"train_loss", "test_loss", "test_square"}
    np.testing.assert_array_equal(result.metrics["test_loss"], result.metrics["test_square"])


def test_bad_data_is_named():
    data = problem.make_data()
    broken = data.test_inputs.copy()
    broken[4, 1] = np.nan
    model = problem.init, problem.apply
    with pytest.raises(ValueError, match=r"data.test_inputs must be finite, but 1 of 120 .* index \(4, 1\)"):
        supervised(model, data._replace(test_inputs=broken), optimizer=problem.sgd)
    with pytest.raises(ValueError, match="same number of samples, at least 1, not 60 and 59"):
        supervised(model, data._replace(train_targets=data.train_targets[1:]), optimizer=problem.sgd)
    with pytest.raises(ValueError, match="batch_size must be from 1 to 60, the number of training samples, not 61"):
        supervised(model, data, optimizer=problem.sgd, batch_size=61)
    with pytest.raises(TypeError, match=r"must return a flax.nnx.Module, not int"):
        supervised(lambda rngs: 3, data, optimizer=problem.sgd)


def test_digits_are_split_without_leaking():
    data = digits.load()
    assert data.train_inputs.shape == (1437, 64)
    assert data.test_inputs.shape == (360, 64)
    assert data.train_inputs.dtype == np.float32
    np.testing.assert_allclose(data.train_inputs.mean(0), 0, atol=1e-5)
    deviation = data.train_inputs.std(0)
    np.testing.assert_allclose(deviation[deviation > 0], 1, rtol=1e-4)
    assert np.bincount(data.test_targets).min() >= 34
    # 17 pairs of the 1,797 images would have to be equal for a leak to show; none is.
    both = np.concatenate([data.train_inputs, data.test_inputs])
    assert len(np.unique(both.round(4), axis=0)) == len(both)
