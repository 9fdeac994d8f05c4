"""What is wrong with a trial is found by tracing it, and said: hyperparameters, side effects and folds."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest
from checked import HYPER, KEY, evaluate, init, run, step

from momentum_optax.sweeps.trials.checks import check, check_folds
from momentum_optax.sweeps.trials.trial import Trial
from momentum_optax.sweeps.trials.trial import trial as three

# Hyperparameters.


def test_a_hyperparameter_that_is_missing():
    with pytest.raises(KeyError, match=r"'beta', but the points give only \['learning_rate'\]"):
        run(hyper=("learning_rate",))


def test_a_hyperparameter_that_no_one_reads():
    with pytest.raises(ValueError, match=r"^No one reads the hyperparameter 'nu': .* beta, learning_rate\..*out\.$"):
        run(hyper=(*HYPER, "nu"))
    with pytest.raises(ValueError, match=r"reads the hyperparameter 'depth': the trial asks for beta, learning_rate"):
        run(structure={"depth": 3})


def test_where_it_is_not_read_is_said():
    def build(hp):
        return {"plain": lambda: optax.sgd(hp["learning_rate"])}[hp["method"]]()

    def start(hp, key):
        return build(hp).init(jnp.zeros(3))

    def go(hp, state, key):
        return build(hp).update(jnp.zeros(3), state)[1], jnp.zeros(())

    def look(hp, state):
        return {"x": jnp.zeros(())}

    with pytest.raises(ValueError, match=r"'beta' where method='plain'.*say when it exists: points.only_when\('beta'"):
        run(structure={"method": "plain"}, init=start, step=go, evaluate=look)
    run(structure={"method": "plain"}, hyper=("learning_rate",), init=start, step=go, evaluate=look)


@pytest.mark.parametrize("where", ["draw", "plan", "steps_per_epoch", "evaluate"])
def test_everyone_may_read(where):
    def reading(name, function):
        return lambda hp, *args: (hp["size"] if where == name else None, function(hp, *args))[1]

    plain = three(init, step, evaluate)
    trial = Trial(
        init, step, reading("evaluate", plain.evaluate), reading("draw", plain.draw), reading("plan", plain.plan),
        plain.fetch, steps_per_epoch=reading("steps_per_epoch", lambda hp: 1),
    )  # fmt: skip
    item = plain.plan({}, 0, 1)[0]
    check(trial, {"size": 3}, HYPER, KEY, item)
    with pytest.raises(ValueError, match="No one reads the hyperparameter 'depth' where size=3"):
        check(trial, {"size": 3, "depth": 3}, HYPER, KEY, item)


def test_taking_all_is_reading_all():
    def everything(hp, state, key):
        return step({**hp}, state, key)

    run(hyper=(*HYPER, "nu"), step=everything)


# Purity.


@pytest.mark.parametrize("name", ["init", "step", "evaluate"])
def test_side_effects(name):
    calls = []
    function = {"init": init, "step": step, "evaluate": evaluate}[name]

    def impure(*args):
        calls.append(1)
        return function(*args)

    with pytest.raises(
        ValueError, match="^evaluate is not pure" if name == "evaluate" else f"^{name} is not pure: .*calls"
    ):
        run(**{name: impure})


def test_a_tracer_leaked_by_another_function():
    kept = []

    def start(hp, key):
        kept[:] = kept or [hp["beta"]]
        return init(hp, key)

    with pytest.raises(ValueError, match=r"^step is not pure: .*leaked tracer"):
        run(init=start, step=lambda hp, state, key: (state, step(hp, state, key)[1] * kept[0]))


# Folds.


def folded(samples=6):
    def fold(data, index, count):
        return data, (np.arange(6) % count != index).astype(jnp.float32)

    def weighted(hp, state, data):
        return {"error": jnp.sum(data[0] * data[1]) * hp["beta"]}

    plain = three(init, step, evaluate)
    return Trial(
        init, step, weighted, plain.draw, plain.plan, lambda data, item: plain.fetch(None, item),
        np.arange(6, dtype=np.float32), fold, samples,
    )  # fmt: skip


def test_a_fold_is_what_fetch_and_evaluate_see():
    trial = folded()
    item = trial.plan({}, 0, 1)[0]
    assert list(check(trial, {}, HYPER, KEY, item, (np.int32(1), 3)).metrics) == ["error"]
    with pytest.raises(ValueError, match="folds must be at most 6"):
        check(trial, {}, HYPER, KEY, item, (np.int32(1), 7))
    with pytest.raises(ValueError, match="has no `fold`"):
        check(three(init, step, evaluate), {}, HYPER, KEY, item, (np.int32(1), 2))


@pytest.mark.parametrize(
    ("folds", "samples", "words"),
    [
        (1, 6, "folds must be a whole number of at least 2, not 1"),
        (True, 6, "folds must be a whole number of at least 2, not True"),
        (2.0, 6, "folds must be a whole number of at least 2, not 2.0"),
        (7, 6, "folds must be at most 6, the number of samples, not 7"),
    ],
)
def test_bad_folds(folds, samples, words):
    with pytest.raises(ValueError, match=words):
        check_folds(folded(samples), folds)


def test_good_folds():
    assert check_folds(folded(), np.int64(6)) == 6
    assert check_folds(folded(None), 99) == 99
