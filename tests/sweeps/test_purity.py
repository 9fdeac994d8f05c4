"""Impure functions are found, each by what it does, and pure ones are left alone."""

import collections
import functools
import itertools
import random
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import momentum_optax as mo
from momentum_optax.sweeps.trials import purity
from momentum_optax.sweeps.trials.purity import MOST, changes, surroundings, trace

X = jax.ShapeDtypeStruct((), np.float32)
HISTORY = []
CALLS = 0


def run(function):
    return trace("step", function, function, X)


def appends_outside(x):
    HISTORY.append(1)
    return x


def counts_outside(x):
    global CALLS
    CALLS += 1
    return x


def through_a_helper(x):
    return appends_outside(x)


def closures():
    """Impure functions by the name of what they change."""
    history, names, count, table, numbers = [], set(), 0, {}, np.zeros(2)
    totals, rng, counter = collections.Counter(), np.random.default_rng(0), itertools.count()
    kept = None

    class Model:
        def __init__(self):
            self.calls, self.losses = 0, []

        def step(self, x):
            self.calls += 1
            return x

        def remember(self, x):
            self.losses.append(x)
            return x

    def appends(x):
        history.append(0.5)
        return x

    def appends_a_tracer(x):
        history.append(x * 2)
        return x

    def adds(x):
        names.add(len(names))
        return x

    def counts(x):
        nonlocal count
        count += 1
        return x

    def fills(x):
        table[len(table)] = 1
        return x

    def overwrites(x):
        numbers[0] += 1
        return x

    def totals_up(x):
        totals["calls"] += 1
        return x

    def keeps(x):
        nonlocal kept
        kept = x
        return x

    def draws(x):
        return x + 0 * int(rng.random() < 2)

    def draws_of_python(x):
        return x if random.random() < 2 else -x

    def draws_of_numpy(x):
        return x if np.random.rand() < 2 else -x

    def differs(x):
        return x * next(counter)

    return {
        "history": appends,
        "history. It leaves a traced value there": appends_a_tracer,
        "names": adds,
        "count": counts,
        "table": fills,
        "numbers": overwrites,
        "totals": totals_up,
        "kept. It leaves a traced value there": keeps,
        "rng": draws,
        "the generator of the module random": draws_of_python,
        "the generator of numpy.random": draws_of_numpy,
        "self.calls": Model().step,
        "self.losses": Model().remember,
        "args": functools.partial(lambda seen, x: seen.append(1) or x, []),
    }


@pytest.mark.parametrize("what", closures())
def test_what_is_changed_is_named(what):
    with pytest.raises(ValueError, match=rf"^step is not pure: each call changes [^.]*{what.replace('.', '[.]')}"):
        run(closures()[what])


@pytest.mark.parametrize("function", [appends_outside, counts_outside, through_a_helper])
def test_variables_of_the_module_are_seen(function):
    name = "CALLS" if function is counts_outside else "HISTORY"
    with pytest.raises(ValueError, match=f"each call changes .*{name}"):
        run(function)


def test_a_function_inside_the_function_is_seen():
    def step(x):
        return jax.lax.cond(x > 0, lambda x: HISTORY.append(1) or x, lambda x: -x, x)

    with pytest.raises(ValueError, match="each call changes HISTORY"):
        run(step)


@pytest.mark.parametrize("source", [itertools.count().__next__, lambda: time.perf_counter_ns() % 1_000_003])
def test_two_different_programs(source):
    with pytest.raises(ValueError, match="traced twice, it gives two different programs"):
        run(lambda x: x * source())


def test_arrays_that_differ_are_two_programs():
    numbers = itertools.count()
    with pytest.raises(ValueError, match="two different programs"):
        run(lambda x: x * np.full(3, next(numbers), np.float32))
    same = np.array([1.0, np.nan], np.float32)
    run(lambda x: x * same.copy())


@pytest.mark.parametrize("use", [lambda x, kept: x + kept, lambda x, kept: jax.jit(jnp.add)(x, kept)])
def test_a_leaked_tracer_that_is_used(use):
    kept = []

    def step(x):
        kept[:] = kept or [x * 2]  # only the first call writes
        return use(x, kept[0])

    with pytest.raises(ValueError, match=r"an earlier call left somewhere \(a leaked tracer\).*part of the state"):
        run(step)


def test_a_decision_by_a_number_says_what_to_do():
    with pytest.raises(jax.errors.TracerBoolConversionError) as caught:
        run(lambda x: x if x > 0 else -x)
    assert "happened in `step`" in " ".join(caught.value.__notes__)
    assert "jnp.where" in " ".join(caught.value.__notes__)


def test_an_error_of_the_function_says_where():
    with pytest.raises(ZeroDivisionError) as caught:
        run(lambda x: x * (1 / 0))
    assert "happened in `step`" in " ".join(caught.value.__notes__)


def memory():
    kept = {}

    def step(x):
        return x * kept.setdefault("scale", np.arange(3))

    return step


@functools.cache
def cached(width):
    return np.arange(width)


@pytest.mark.parametrize(
    "function",
    [
        memory(),
        lambda x: x * cached(3),
        lambda x: jax.nn.relu(x) + jax.jit(jnp.sin)(x) + jax.checkpoint(jnp.cos)(x),
        lambda x: jax.grad(lambda y: jax.lax.scan(lambda c, _: (c * y, c), x, length=3)[0])(x),
        lambda x: jax.random.normal(jax.random.key(0), (3,)) * x,
        *(
            lambda x, tx=tx: tx.update(x, tx.init(x), x)
            for tx in (optax.adamw(0.1), mo.nesterov(0.1, mo.rules.alignment()), mo.lion(0.1), optax.rmsprop(0.1))
        ),
    ],
)
def test_pure_functions_are_left_alone(function):
    expected = jax.eval_shape(function, X)
    found = run(function)
    assert jax.tree.map(lambda x: (x.shape, x.dtype), found) == jax.tree.map(lambda x: (x.shape, x.dtype), expected)


@pytest.mark.parametrize("kind", ["nnx", "linen"])
def test_models_are_left_alone(kind):
    if kind == "nnx":
        from flax import nnx

        layers = (
            nnx.Linear(3, 4, rngs=nnx.Rngs(0)),
            nnx.BatchNorm(4, rngs=nnx.Rngs(0)),
            nnx.Dropout(0.5, rngs=nnx.Rngs(0)),
        )
        definition, params, rest = nnx.split(nnx.Sequential(*layers), nnx.Param, ...)

        def loss(params):
            model = nnx.merge(definition, params, rest, copy=True)
            return jnp.mean(model(jnp.ones((5, 3)))), nnx.state(model)

    else:
        from flax import linen as nn

        model = nn.Sequential(
            [nn.Dense(4), nn.BatchNorm(use_running_average=False), nn.Dropout(0.5, deterministic=False)]
        )
        keys = {"params": jax.random.key(0), "dropout": jax.random.key(1)}
        variables = model.init(keys, jnp.ones((5, 3)))
        params, rest = variables["params"], variables["batch_stats"]

        def loss(params):
            variables = {"params": params, "batch_stats": rest}
            out, new = model.apply(
                variables, jnp.ones((5, 3)), rngs={"dropout": keys["dropout"]}, mutable=["batch_stats"]
            )
            return jnp.mean(out), new

    trace("step", loss, jax.value_and_grad(loss, has_aux=True), params)


def test_someone_else_is_not_blamed(monkeypatch):
    history, looks = [], []

    def look(function):
        looks.append(function)
        if len(looks) == 2:  # another thread is at work in between
            history.append(1)
        return surroundings(function)

    monkeypatch.setattr(purity, "surroundings", look)
    run(lambda x: x * len(history[:0]))
    assert len(looks) == 3


def test_weak_types_are_forgotten():
    assert jax.eval_shape(lambda x: 0.5, X).weak_type
    assert not run(lambda x: 0.5).weak_type


def test_a_large_world_is_looked_at_in_part():
    big = [[i] for i in range(10 * MOST)]
    found = surroundings(lambda: big)
    assert len(found) < 4 * MOST
    before = surroundings(lambda: big)
    big.append([0])
    assert list(changes(before, surroundings(lambda: big))) == ["big"]
