import functools

import direct
import jax
import jax.numpy as jnp
import numpy as np
import optax
import problem
import pytest
from flax import linen, nnx

from momentum_optax.sweeps import Data, cross_entropy, supervised

DATA = problem.make_data()
POINT = {"learning_rate": 0.2}


def trial_of(model, data=DATA, **options):
    return supervised(
        model, cross_entropy, data, optimizer=lambda hp: optax.sgd(hp["learning_rate"]), **{"batch_size": 10} | options
    )


class Regularized(nnx.Module):
    """Batch statistics and a random stream, which must live on per run."""

    def __init__(self, rngs):
        self.first = nnx.Linear(4, 8, rngs=rngs)
        self.norm = nnx.BatchNorm(8, momentum=0.5, rngs=rngs)
        self.drop = nnx.Dropout(0.5, rngs=rngs)
        self.last = nnx.Linear(8, 3, rngs=rngs)

    def __call__(self, inputs):
        return self.last(self.drop(jax.nn.relu(self.norm(self.first(inputs)))))


def test_nnx_with_batch_statistics_and_dropout_equals_flax_by_hand():
    trial = trial_of(Regularized)
    _, (params, rest, _), losses, metrics = direct.run(trial, POINT, steps=12, seed=1)
    model = Regularized(nnx.Rngs(jax.random.key(1)))
    optimizer = nnx.Optimizer(model, optax.sgd(0.2), wrt=nnx.Param)

    def loss(model, inputs, targets):
        return cross_entropy(model(inputs), targets).mean()

    @nnx.jit
    def step(model, optimizer, *batch):
        value, gradients = nnx.value_and_grad(loss)(model, *batch)
        optimizer.update(model, gradients)
        return value

    model.train()
    rows = trial.plan({}, 1, 12)["rows"]
    expected = [step(model, optimizer, DATA.train_inputs[r], DATA.train_targets[r]) for r in rows]
    model.eval()
    np.testing.assert_allclose(losses, np.stack(expected), rtol=1e-4)
    np.testing.assert_allclose(metrics["test_loss"], loss(model, DATA.test_inputs, DATA.test_targets), rtol=1e-4)
    np.testing.assert_allclose(params["last"]["kernel"][...], model.last.kernel[...], rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(rest["norm"]["mean"][...], model.norm.mean[...], rtol=1e-3, atol=1e-5)
    np.testing.assert_array_equal(rest["drop"]["rngs"]["count"][...], 12)


class LinenTrain(linen.Module):
    @linen.compact
    def __call__(self, inputs, train: bool):
        return network(inputs, not train)


class LinenTraining(linen.Module):
    @linen.compact
    def __call__(self, inputs, *, training: bool = False):
        return network(inputs, not training)


class LinenDeterministic(linen.Module):
    @linen.compact
    def __call__(self, inputs, deterministic, use_running_average):
        return network(inputs, deterministic, use_running_average)


def network(x, off, fixed=None):
    x = linen.Dense(8, name="first")(x)
    x = linen.BatchNorm(use_running_average=off if fixed is None else fixed, momentum=0.5, name="norm")(x)
    x = linen.Dropout(0.5, deterministic=off)(jax.nn.relu(x))
    return linen.Dense(3, name="last")(x)


@pytest.mark.parametrize("kind", [LinenTrain, LinenTraining, LinenDeterministic])
def test_linen_with_batch_statistics_and_dropout_equals_flax_by_hand(kind):
    trial = trial_of(kind())
    _, (params, (collections, *_), _), losses, metrics = direct.run(trial, POINT, steps=12, seed=1)
    on, off = {
        LinenTrain: ({"train": True}, {"train": False}),
        LinenTraining: ({"training": True}, {"training": False}),
        LinenDeterministic: tuple({"deterministic": d, "use_running_average": d} for d in (False, True)),
    }[kind]
    module, tx = kind(), optax.sgd(0.2)
    first, stream = jax.random.split(jax.random.key(1))
    variables = module.init(first, jnp.ones((1, 4)), **off)
    expected, statistics = variables["params"], variables["batch_stats"]
    memory = tx.init(expected)

    @jax.jit
    def step(params, statistics, memory, inputs, targets, key):
        def loss(params):
            logits, new = module.apply(
                {"params": params, "batch_stats": statistics},
                inputs,
                rngs={"dropout": key},
                mutable=["batch_stats"],
                **on,
            )
            return cross_entropy(logits, targets).mean(), new["batch_stats"]

        (value, statistics), gradients = jax.value_and_grad(loss, has_aux=True)(params)
        updates, memory = tx.update(gradients, memory)
        return optax.apply_updates(params, updates), statistics, memory, value

    values = []
    for t, rows in enumerate(trial.plan({}, 1, 12)["rows"]):
        batch = DATA.train_inputs[rows], DATA.train_targets[rows]
        expected, statistics, memory, value = step(expected, statistics, memory, *batch, jax.random.fold_in(stream, t))
        values.append(value)
    np.testing.assert_allclose(losses, np.stack(values), rtol=1e-4)
    close = functools.partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-5)
    jax.tree.map(close, params, dict(expected))
    jax.tree.map(close, collections, {"batch_stats": dict(statistics)})
    logits = module.apply({"params": expected, "batch_stats": statistics}, DATA.test_inputs, **off)
    np.testing.assert_allclose(metrics["test_loss"], cross_entropy(logits, DATA.test_targets).mean(), rtol=1e-4)


class Dropped(nnx.Module):
    def __init__(self, rngs):
        self.drop, self.layer = nnx.Dropout(0.5, rngs=rngs), nnx.Linear(4, 3, rngs=rngs)

    def __call__(self, inputs):
        return self.layer(self.drop(inputs))


class LinenDropped(linen.Module):
    @linen.compact
    def __call__(self, inputs, train):
        return linen.Dense(3)(linen.Dropout(0.5, deterministic=not train)(inputs))


@pytest.mark.parametrize("model", [Dropped, LinenDropped()], ids=["nnx", "linen"])
def test_dropout_differs_between_steps_and_seeds_and_is_off_in_tests(model):
    # Nothing moves, and every batch is all there is.
    trial = trial_of(model, batch_size=60)
    _, (params, *_), losses, metrics = direct.run(trial, {"learning_rate": 0.0}, steps=6)
    assert len(np.unique(losses)) == 6
    kernel, bias = (x for x in sorted(jax.tree.leaves(params), key=lambda x: -x.ndim))
    logits = DATA.test_inputs @ kernel + bias[None]
    np.testing.assert_allclose(metrics["test_loss"], cross_entropy(logits, DATA.test_targets).mean(), rtol=1e-5)
    other = direct.run(trial, {"learning_rate": 0.0}, steps=6, seed=1)[2]
    assert not np.allclose(losses / losses[0], other / other[0])


def test_a_stream_of_any_name_is_there():
    class Noisy(linen.Module):
        @linen.compact
        def __call__(self, x, train):
            noise = jax.random.normal(self.make_rng("noise"), x.shape) if train else 0.0
            return linen.Dense(3)(x + noise)

    losses = direct.run(trial_of(Noisy(), batch_size=60), {"learning_rate": 0.0}, 3)[2]
    assert len(np.unique(losses)) == 3


def test_a_linen_module_is_initialized_with_the_dtype_of_the_data():
    class Embedded(linen.Module):
        @linen.compact
        def __call__(self, codes):
            return linen.Dense(3)(linen.Embed(5, 4)(codes).mean(1))

    codes = np.random.default_rng(0).integers(5, size=(30, 6), dtype=np.int32)
    trial = trial_of(Embedded(), Data(codes[:20], codes[:20, 0] % 3, codes[20:], codes[20:, 0] % 3))
    assert np.isfinite(direct.run(trial, POINT, 3)[3]["test_loss"])
