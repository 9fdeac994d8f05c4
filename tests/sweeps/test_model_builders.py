import functools
import itertools

import direct
import jax
import jax.numpy as jnp
import numpy as np
import problem
import pytest
from flax import linen, nnx
from test_models import DATA, POINT, Regularized, trial_of

from momentum_optax.sweeps import grid, sweep
from momentum_optax.sweeps.points.reader import Reader


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


@pytest.mark.parametrize("model", [3, (problem.init,), Deep, Deep(1, rngs=nnx.Rngs(0))])
def test_what_needs_no_hyperparameters_is_checked_before_the_sweep(model):
    with pytest.raises(TypeError, match="model"):
        trial_of(model)


def test_a_model_cannot_depend_on_a_float():
    hyper = {"rate": np.float32(0.5)}
    trial = trial_of(lambda rngs, hp: Deep(1 if hp.get("rate") else 2, rngs=rngs))
    with pytest.raises(TypeError, match=r"rate is a float, which varies .* dropout_percent=\[10, 30\]"):
        trial.draw(hyper, jax.random.key(0))
