import direct
import jax
import jax.numpy as jnp
import numpy as np
import problem
import pytest
from scipy import special
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
def test_default_loss_is_the_cross_entropy(shape):
    # In float64, for in float32 the loss of Optax is that of a difference of large numbers.
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=shape).astype(np.float32) * 30, rng.integers(shape[-1], size=shape[:-1])
    hot = np.eye(shape[-1])[labels]
    shares = special.log_softmax(logits.astype(np.float64), axis=-1)
    np.testing.assert_allclose(cross_entropy(logits, labels), -(hot * shares).sum(-1), rtol=1e-5, atol=1e-7)
    got = jax.grad(lambda x: cross_entropy(x, labels).sum())(jnp.asarray(logits))
    np.testing.assert_allclose(got, np.exp(shares) - hot, rtol=1e-5, atol=1e-7)


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
