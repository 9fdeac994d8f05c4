import functools
import itertools

import direct
import jax
import jax.numpy as jnp
import numpy as np
import optax
import problem
import pytest
from flax import linen, nnx

from momentum_optax.sweeps import Data, cross_entropy, grid, supervised, sweep
from momentum_optax.sweeps.points import Reader

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


class Deep(nnx.Module):
    def __init__(self, layers, wide=8, *, rngs):
        self.layers = nnx.List([nnx.Linear(4 if i == 0 else wide, wide, rngs=rngs) for i in range(layers)])
        self.last = nnx.Linear(wide, 3, rngs=rngs)

    def __call__(self, x):
        for layer in self.layers:
            x = jax.nn.relu(layer(x))
        return self.last(x)


class LinenDeep(linen.Module):
    layers: int = 2

    @linen.compact
    def __call__(self, x):
        for _ in range(self.layers):
            x = jax.nn.relu(linen.Dense(8)(x))
        return linen.Dense(3)(x)


def functions(hp):
    sizes = [4, *[8] * hp["layers"], 3]

    def init(key):
        keys = jax.random.split(key, len(sizes))
        return [
            (jax.random.normal(k, pair) / 2, jnp.zeros(pair[1]))
            for k, pair in zip(keys, itertools.pairwise(sizes), strict=False)
        ]

    def apply(params, x):
        for w, b in params[:-1]:
            x = jax.nn.relu(x @ w + b[None])
        return x @ params[-1][0] + params[-1][1][None]

    return init, apply


STRUCTURAL = {
    "nnx": lambda rngs, hp: Deep(hp["layers"], rngs=rngs),
    "other order": lambda hp, rngs: Deep(hp["layers"], rngs=rngs),
    "linen": lambda hp: LinenDeep(hp["layers"]),
    "functions": functions,
}


@pytest.mark.parametrize("kind", STRUCTURAL)
def test_layers_are_counted_by_a_structural_hyperparameter(kind):
    trial = trial_of(STRUCTURAL[kind])
    result = sweep(trial, grid(layers=[1, 3], learning_rate=[0.1, 0.2]), seeds=1, steps=10)
    for p, layers in enumerate([1, 1, 3, 3]):
        hyper = {"layers": layers, "learning_rate": [0.1, 0.2][p % 2]}
        first, *_, metrics = direct.run(trial, hyper, 10)
        assert sum(x.size for x in jax.tree.leaves(first[0])) == 40 + 72 * (layers - 1) + 27
        np.testing.assert_allclose(result.metrics["test_loss"][p, 0, -1], metrics["test_loss"], rtol=1e-4)


WAYS = {
    "class": (Regularized, 40 + 16 + 27),
    "keyword": (functools.partial(Deep, 2), 40 + 72 + 27),
    "partial": (functools.partial(Deep, layers=2, wide=4), 20 + 20 + 15),
    "default": (lambda rngs, wide=4: Deep(1, wide, rngs=rngs), 20 + 15),
    "hp not needed": (lambda rngs, hp=None: Deep(1 + len(hp), rngs=rngs), 40 + 27),
    "linen": (LinenDeep(1), 40 + 27),
    "linen class": (LinenDeep, 40 + 72 + 27),
    "functions": ((problem.init, problem.apply), 32 + 24 + 3),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_model_is_given_in_the_way_that_is_natural_for_it(way):
    model, size = WAYS[way]
    first, _, _, metrics = direct.run(trial_of(model), POINT, 60)
    assert sum(x.size for x in jax.tree.leaves(first[0])) == size
    assert metrics["test_accuracy"] > 0.6


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

    model = Net if kind == "nnx" else (init, lambda params, inputs: (inputs @ params)[:, :3])
    sizes = []
    for width in (4, 8):  # noqa: B007
        trial = trial_of(model)
        sweep(trial, POINT, seeds=1, steps=1)
        sizes.append(sum(x.size for x in jax.tree.leaves(trial.draw({}, jax.random.key(0))[0])))
    assert sizes == ([4 * 5 + 3 * 5, 8 * 5 + 3 * 9] if kind == "nnx" else [16, 32])


@pytest.mark.filterwarnings("ignore:Using 'Module.sow:DeprecationWarning")
def test_what_a_model_records_on_its_way_is_no_part_of_its_state():
    class Noted(Deep):
        def __call__(self, x):
            self.sow(nnx.Intermediate, "seen", x)
            return super().__call__(x)

    class LinenNoted(LinenDeep):
        def __call__(self, x):
            self.sow("intermediates", "seen", x)
            return super().__call__(x)

    for model in (lambda rngs: Noted(1, rngs=rngs), LinenNoted(1)):
        first, last, *_ = direct.run(trial_of(model), POINT, 3)
        assert jax.tree.structure(first) == jax.tree.structure(last)


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


def test_only_what_the_model_asks_for_counts_as_read():
    hyper = Reader({"layers": 1, "unread": 2, "learning_rate": np.float32(0.1), "unread_rate": np.float32(0.1)})
    trial = trial_of(STRUCTURAL["nnx"])
    state = trial.init(hyper, trial.draw(hyper, jax.random.key(0)))
    trial.step(hyper, state, (DATA.train_inputs[:10], DATA.train_targets[:10], None))
    assert hyper.read == {"layers", "learning_rate"}


@pytest.mark.parametrize(
    ("model", "error", "words"),
    [
        (lambda rngs: 3, TypeError, r"model\(rngs\) must return a flax.nnx.Module, not int"),
        (lambda rngs: LinenDeep(), TypeError, r"must return a flax.nnx.Module, not LinenDeep"),
        (lambda hp: 3, TypeError, r"model\(hp\) must return a flax.linen.Module or the functions .* not int"),
        (lambda: Deep(1, rngs=nnx.Rngs(0)), TypeError, "not Deep; a flax.nnx.Module is built by a function of rngs"),
        (lambda key: Deep(1, rngs=nnx.Rngs(key)), TypeError, "named rngs .* but asks for key. Wrap it"),
        (Deep, TypeError, "but asks for layers. Wrap it: lambda rngs"),
        (Deep(1, rngs=nnx.Rngs(0)), TypeError, r"a Deep that exists already.* lambda rngs: Deep\("),
        (3, TypeError, "must be a function that builds a Flax module, .* not 3"),
        ((problem.init,), TypeError, r"two of them, init\(key\) and apply"),
        ((problem.init, 3), TypeError, r"two of them, init\(key\) and apply"),
        (lambda rngs, hp: Deep(hp["depth"], rngs=rngs), KeyError, r"no structural .* 'depth'.* \['layers'\] here"),
        (lambda rngs, hp: Deep(hp["learning_rate"], rngs=rngs), KeyError, "a float varies|'learning_rate'"),
    ],
)
def test_a_model_of_no_known_kind_is_refused(model, error, words):
    with pytest.raises(error, match=words):
        direct.run(trial_of(model), POINT | {"layers": 1}, 1)


def test_a_model_cannot_depend_on_a_float():
    hyper = {"rate": np.float32(0.5)}
    trial = trial_of(lambda rngs, hp: Deep(1 if hp.get("rate") else 2, rngs=rngs))
    with pytest.raises(TypeError, match=r"rate is a float, which varies .* dropout_percent=\[10, 30\]"):
        trial.draw(hyper, jax.random.key(0))
