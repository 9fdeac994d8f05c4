import direct
import jax
import jax.numpy as jnp
import numpy as np
import optax
import problem
import pytest
from test_supervised import POINT, line, linear, square

from momentum_optax.sweeps import accuracy, cross_entropy, supervised


@pytest.mark.parametrize("where", ["loss", "derivative"])
def test_a_sample_that_does_not_count_spoils_nothing_by_a_nan(where):
    data = line()

    def distance(predictions, targets):
        error = predictions - targets
        if where == "loss":
            return error**2 * jnp.where(targets > 90, jnp.nan, 1.0)
        # The square root of 0 has no derivative.
        return jnp.sqrt(jnp.where(targets > 90, 0.0 * error, error**2))

    trial = supervised(
        ((lambda key: jnp.ones(3)), (lambda w, x: x @ w)), distance, data, optimizer=problem.sgd, batch_size=8
    )
    hyper, state = POINT, trial.init(POINT, trial.draw({}, jax.random.key(0)))
    inputs, targets = (jnp.asarray(x[:8], jnp.float32) for x in data[:2])
    spoilt = targets.at[6:].set(99)
    counts = jnp.arange(8) < 6
    (good, *_), value = trial.step(hyper, state, (inputs, spoilt, counts))
    (expected, *_), alone = trial.step(hyper, state, (inputs[:6], targets[:6], None))
    np.testing.assert_allclose(good, expected, rtol=1e-6)
    np.testing.assert_allclose(value, alone, rtol=1e-6)
    (bad, *_), _ = trial.step(hyper, state, (inputs, spoilt, None))
    assert np.isnan(bad).all()  # it would, if it counted
    (same, *_), none = trial.step(hyper, state, (inputs, spoilt, jnp.zeros(8, bool)))
    assert none == 0
    np.testing.assert_array_equal(same, state[0])


@pytest.mark.parametrize("shape", [(5, 3), (64, 3), (64, 20), (40, 40, 3), (3,)])
def test_default_loss_is_that_of_optax(shape):
    rng = np.random.default_rng(0)
    logits = jnp.asarray(rng.normal(size=shape) * 30, jnp.float32)
    labels = jnp.asarray(rng.integers(shape[-1], size=shape[:-1]))
    expected = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    np.testing.assert_allclose(cross_entropy(logits, labels), expected, rtol=1e-5, atol=1e-6)
    got, want = (
        jax.grad(lambda x, f=f: f(x, labels).sum())(logits)
        for f in (cross_entropy, optax.softmax_cross_entropy_with_integer_labels)
    )
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


def test_nan_is_never_right():
    assert accuracy(jnp.array([[jnp.nan, 0.0]]), jnp.array([0])).tolist() == [0.0]


def test_a_loss_that_averages_by_itself():
    def average(predictions, targets):
        return square(predictions, targets).mean()

    data, model = line(), ((lambda key: jnp.zeros(3)), (lambda w, x: x @ w))
    trial = supervised(model, average, data, optimizer=problem.sgd, batch_size=10)
    np.testing.assert_allclose(
        direct.run(trial, POINT, 7)[2], direct.run(linear(data, batch_size=10), POINT, 7)[2], rtol=1e-6
    )
    trial = supervised(model, average, data, optimizer=problem.sgd, batch_size=8)
    with pytest.raises(ValueError, match=r"loss must give one number for each sample.* \(8,\).* not all samples"):
        direct.run(trial, POINT, 1)


def test_shapes_that_broadcast_by_mistake_are_refused():
    data = line()
    model = (lambda key: jnp.zeros((3, 1))), (lambda w, x: x @ w)  # [batch, 1] beside targets [batch]
    trial = supervised(model, lambda p, y: jnp.square(p - y[None]), data, optimizer=problem.sgd, batch_size=10)
    with pytest.raises(ValueError, match=r"shape \(10,\), but gives one of shape \(10, 10\) for predictions .* mean"):
        direct.run(trial, POINT, 1)
