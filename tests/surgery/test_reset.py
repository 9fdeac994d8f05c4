"""After a reset an optimizer does what a fresh one does, wherever its velocity lies."""

import re
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from flax.training.train_state import TrainState

import momentum_optax as mo

PARAMS = {"body": {"w": np.ones((2, 3), np.float32), "b": np.zeros(3, np.float32)}, "head": np.ones(3, np.float32)}
LABELS = {"body": "body", "head": "head"}


def gradients(step: int) -> Any:
    rng = np.random.default_rng(step)
    return jax.tree.map(lambda p: rng.normal(size=p.shape).astype(np.float32), PARAMS)


def advance(tx, state, steps, first=0):
    """The last updates and the state."""
    updates = None
    for step in range(first, first + steps):
        updates, state = tx.update(gradients(step), state, PARAMS)
    return updates, state


def assert_same(actual, expected, rtol=1e-6):
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    for a, e in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        assert a.dtype == e.dtype
        np.testing.assert_allclose(a, e, rtol=rtol, atol=1e-7)


def partition(tx):
    return optax.partition({"body": tx, "head": tx}, LABELS)


CONTAINERS = {
    "bare": lambda tx: tx,
    "chain": lambda tx: optax.chain(optax.clip(5.0), tx, optax.scale(2.0)),
    "masked": lambda tx: optax.masked(tx, {"body": True, "head": False}),
    "partition": partition,
    "MultiSteps": lambda tx: optax.MultiSteps(tx, 2).gradient_transformation(),
    "apply_if_finite": lambda tx: optax.apply_if_finite(tx, 3),
    "inject_hyperparams": lambda tx: optax.inject_hyperparams(lambda scale: optax.chain(tx, optax.scale(scale)))(2.0),
    "restart_every": lambda tx: mo.wrappers.restart_every(tx, 100),
    "all of them": lambda tx: optax.chain(
        optax.masked(
            optax.apply_if_finite(partition(optax.chain(tx, optax.scale(2.0))), 3), {"body": True, "head": True}
        )
    ),
}
METHODS = {
    "heavy_ball": lambda: mo.heavy_ball(0.1),
    "ema_momentum": lambda: mo.ema_momentum(0.1, debias=True),
    "optax.sgd": lambda: optax.sgd(0.1, momentum=0.9, nesterov=True),
    "optax.adam": lambda: optax.adam(0.1),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("container", CONTAINERS)
def test_after_a_reset_it_is_as_fresh(container, method):
    tx = CONTAINERS[container](METHODS[method]())
    fresh = tx.init(PARAMS)
    _, used = advance(tx, fresh, 4)
    expected, _ = advance(tx, fresh, 2, first=4)
    continued, _ = advance(tx, used, 2, first=4)
    state = mo.reset(used, second_moments=True)
    actual, _ = advance(tx, state, 2, first=4)
    assert_same(actual, expected)
    assert any(np.abs(a - b).max() > 1e-3 for a, b in zip(*map(jax.tree.leaves, (continued, expected)), strict=True))
    assert jax.tree.structure(state) == jax.tree.structure(used)
    assert_same(jax.jit(lambda s: mo.reset(s, second_moments=True))(used), state)


OTHERS = {
    "nesterov": lambda: mo.nesterov(0.1),
    "qhm": lambda: mo.qhm(0.1),
    "aggmo": lambda: mo.aggmo(0.1),
    "acc_sgd": lambda: mo.acc_sgd(0.1),
    "srsgd": lambda: mo.srsgd(0.1),
    "pnm": lambda: mo.pnm(0.1),
    "adam of ours": lambda: mo.divide(mo.ema(0.9), by=mo.root_mean_square(0.99)),
    "optax.ema": lambda: optax.ema(0.9),
    "optax.lion": lambda: optax.lion(0.1),
    "optax.nadam": lambda: optax.nadam(0.1),
    "optax.amsgrad": lambda: optax.amsgrad(0.1),
    "optax.adabelief": lambda: optax.adabelief(0.1),
    "optax.adan": lambda: optax.adan(0.1),
    "optax.novograd": lambda: optax.novograd(0.1),
    "optax.rmsprop": lambda: optax.rmsprop(0.1, momentum=0.9, centered=True, bias_correction=True),
    "optax.ademamix": lambda: optax.contrib.ademamix(0.1),
    "optax.simplified_ademamix": lambda: optax.contrib.simplified_ademamix(0.1),
    "optax.muon": lambda: optax.contrib.muon(0.1),
    "optax.sm3": lambda: optax.sm3(0.1),
}


@pytest.mark.parametrize("method", OTHERS)
def test_every_method_can_be_reset(method):
    tx = OTHERS[method]()
    fresh = tx.init(PARAMS)
    _, used = advance(tx, fresh, 4)
    expected, _ = advance(tx, fresh, 2, first=4)
    actual, _ = advance(tx, mo.reset(used, second_moments=True, counts=True), 2, first=4)
    assert_same(actual, expected, rtol=1e-5)


def test_the_way_that_crashes_and_ours():
    """Replacing one group of a partition by the state of its own init breaks the next update."""
    tx = optax.partition({"body": optax.adam(0.1), "head": optax.adam(0.1)}, LABELS)
    _, used = advance(tx, tx.init(PARAMS), 3)
    naive = used._replace(inner_states={**used.inner_states, "head": optax.adam(0.1).init({"head": PARAMS["head"]})})
    with pytest.raises(AttributeError):
        tx.update(gradients(3), naive, PARAMS)

    state = mo.reset(used, group="head", second_moments=True)
    actual, _ = tx.update(gradients(3), state, PARAMS)
    fresh, _ = tx.update(gradients(3), tx.init(PARAMS), PARAMS)
    continued, _ = tx.update(gradients(3), used, PARAMS)
    assert_same(actual, {"body": continued["body"], "head": fresh["head"]})


WHERE = {
    "a branch": "body",
    "a glob": "body/*",
    "a regular expression": re.compile("^body/(w|b)$"),
    "several": ["body/w", re.compile("b$")],
    "a function": lambda path: path.startswith("body"),
    "a tree": {"body": {"w": True, "b": True}, "head": False},
    "a prefix": {"body": True, "head": np.False_},
}


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("container", ["bare", "partition", "chain"])
def test_leaves_are_chosen(where, container):
    tx = CONTAINERS[container](mo.heavy_ball(0.1))
    _, used = advance(tx, tx.init(PARAMS), 3)
    actual, _ = tx.update(gradients(3), mo.reset(used, WHERE[where]), PARAMS)
    fresh, _ = tx.update(gradients(3), tx.init(PARAMS), PARAMS)
    continued, _ = tx.update(gradients(3), used, PARAMS)
    assert_same(actual, {"body": fresh["body"], "head": continued["head"]})


def test_a_weight_is_reset_with_all_of_its_leaves():
    tx = mo.ema({"body": 0.9, "head": 0.5})
    _, used = advance(tx, tx.init(PARAMS), 3)
    assert mo.reset(used, "body").weight["body"] == 0
    assert mo.reset(used, "body").weight["head"] == used.weight["head"]
    assert mo.reset(used, "body/w").weight["body"] == used.weight["body"]
    actual, _ = tx.update(gradients(3), mo.reset(used, "body"), PARAMS)
    np.testing.assert_allclose(actual["body"]["w"], gradients(3)["body"]["w"], rtol=1e-6)


def test_counts_go_on_unless_asked():
    tx = mo.nesterov(lambda count: 0.1 / (1 + count), beta=lambda count: 0.9 * count / (count + 3))
    _, used = advance(tx, tx.init(PARAMS), 3)
    assert [int(part.count) for part in mo.reset(used)] == [3, 3]
    assert [int(part.count) for part in mo.reset(used, counts=True)] == [3, 0]
    assert int(mo.reset(used, "body", counts=True)[1].count) == 3


def test_second_moments_are_reset_if_asked():
    tx = mo.divide(mo.ema(0.9), by=mo.root_mean_square(0.99))
    _, used = advance(tx, tx.init(PARAMS), 3)
    kept, gone = mo.reset(used), mo.reset(used, second_moments=True)
    leaves = lambda s: {jax.tree_util.keystr(p): v for p, v in jax.tree_util.tree_flatten_with_path(s)[0]}  # noqa: E731
    for path, value in leaves(used).items():
        if "second_moment" in path:
            np.testing.assert_array_equal(leaves(kept)[path], value)
            np.testing.assert_array_equal(leaves(gone)[path], 0)


def test_the_momentum_of_sm3_is_a_velocity():
    """Optax calls it `nu`, and its second moments `mu`."""
    tx = optax.sm3(0.1)
    _, used = advance(tx, tx.init(PARAMS), 3)
    state = mo.reset(used, "head")
    np.testing.assert_array_equal(state[0].nu["head"], 0)
    np.testing.assert_array_equal(state[0].nu["body"]["w"], used[0].nu["body"]["w"])
    np.testing.assert_array_equal(state[0].mu["head"][0], used[0].mu["head"][0])


def test_a_soft_reset_keeps_a_part_and_the_average():
    tx = mo.ema_momentum(1.0, debias=True)
    _, used = advance(tx, tx.init(PARAMS), 3)
    soft = jax.jit(mo.reset)(used, keep=0.25)
    np.testing.assert_allclose(soft[0].velocity["head"], 0.25 * used[0].velocity["head"], rtol=1e-6)
    np.testing.assert_allclose(soft[0].weight, 0.25 * used[0].weight, rtol=1e-6)


def test_many_states_at_once():
    """Under `vmap` each lane keeps its own share."""
    tx = mo.heavy_ball(0.1)
    _, used = advance(tx, tx.init(PARAMS), 3)
    keeps = jnp.array([0.0, 0.5, 1.0])
    many = jax.vmap(lambda keep: mo.reset(used, "head", keep=keep))(keeps)
    np.testing.assert_allclose(many[0].velocity["head"], np.outer(keeps, used[0].velocity["head"]), rtol=1e-6)
    np.testing.assert_array_equal(many[0].velocity["body"]["b"][1], used[0].velocity["body"]["b"])


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "complex64"])
def test_dtypes_stay(dtype):
    params = {"a": jnp.ones(3, dtype)}
    tx = mo.heavy_ball(0.1)
    _, used = tx.update(params, tx.init(params))
    soft = mo.reset(used, keep=0.5)
    assert soft[0].velocity["a"].dtype == used[0].velocity["a"].dtype
    np.testing.assert_array_equal(soft[0].velocity["a"], 0.5 * used[0].velocity["a"])


def test_what_is_not_remembered_stays_so():
    tx = mo.heavy_ball(0.1, beta={"body": 0.0, "head": 0.9})
    _, used = advance(tx, tx.init(PARAMS), 2)
    assert jax.tree.structure(mo.reset(used)) == jax.tree.structure(used)
    assert jax.tree.structure(mo.reset(used, "body")) == jax.tree.structure(used)
    all_zero = mo.heavy_ball(0.1, 0.0)
    assert mo.reset(all_zero.init(PARAMS), "body")[0] is not None


def test_in_nnx_optimizer():
    model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, optax.chain(optax.clip(1.0), optax.adam(0.1)), wrt=nnx.Param)
    optimizer.update(model, jax.tree.map(jnp.ones_like, nnx.state(model, nnx.Param)))
    optimizer.opt_state = mo.reset(optimizer.opt_state, "kernel")
    velocity = nnx.as_pure(optimizer.opt_state[1][0].mu)
    np.testing.assert_array_equal(velocity["kernel"], 0)
    assert np.all(np.asarray(velocity["bias"]) != 0)
    optimizer.opt_state = mo.reset(optimizer.opt_state, second_moments=True)
    assert int(optimizer.opt_state[1][0].count[...]) == 0
    optimizer.update(model, jax.tree.map(jnp.ones_like, nnx.state(model, nnx.Param)))


def test_in_a_train_state():
    model = nn.Dense(3)
    params = model.init(jax.random.key(0), np.ones((1, 2)))
    state = TrainState.create(apply_fn=model.apply, params=params, tx=mo.heavy_ball(0.1))
    state = state.apply_gradients(grads=jax.tree.map(jnp.ones_like, params))
    state = state.replace(opt_state=mo.reset(state.opt_state, "params/kernel"))
    velocity = state.opt_state[0].velocity["params"]
    assert np.all(velocity["kernel"] == 0)
    assert np.all(velocity["bias"] == 1)


STATE = mo.heavy_ball(0.1).init(PARAMS)
ONE_WITHOUT = mo.aggmo(0.1).init(PARAMS)  # where beta is 0


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: mo.reset(optax.sgd(0.1).init(PARAMS)), "state holds no velocity; among its parts are EmptyState"),
        (lambda: mo.reset({}), "state holds no velocity"),
        (lambda: mo.reset(STATE, "tail"), "where has the pattern 'tail'.*'body/b', 'body/w', 'head'"),
        (lambda: mo.reset(ONE_WITHOUT, "tail"), "where has the pattern 'tail'.*'body/b', 'body/w', 'head'"),
        (lambda: mo.reset(STATE, ["head", re.compile("x$")]), r"re.compile\('x\$'\), which matches no leaf"),
        (lambda: mo.reset(STATE, []), "where is empty and chooses no leaf; the paths are 'body/b'"),
        (lambda: mo.rescale(STATE, 0.5, ()), "where is empty and chooses no leaf; the paths are 'body/b'"),
        (lambda: mo.reset(STATE, lambda path: False), "where chooses no leaf; the paths are 'body/b'"),
        (lambda: mo.reset(STATE, {"body": False, "head": False}), "where chooses no leaf"),
        (lambda: mo.reset(STATE, {"body": True, "tail": False}), "where is a tree with 'tail', where there is no leaf"),
        (lambda: mo.reset(STATE, {"body": True}), "says nothing of 'head'"),
        (lambda: mo.reset(STATE, 3), "where must be a pattern.*got 3 of type int"),
        (lambda: mo.reset(STATE, keep=2.0), r"keep must be in \[0, 1\]; got 2.0"),
        (lambda: mo.reset(STATE, group="head"), "group 'head' is not in the state; there is no optax.partition"),
        (lambda: mo.reset(partition(optax.adam(0.1)).init(PARAMS), group="tail"), "the labels are 'body', 'head'"),
        (lambda: mo.reset(partition(optax.adam(0.1)).init(PARAMS), "body", group="head"), None),
    ],
)
def test_refused(build, message):
    if message is None:  # the body is masked out there, and known
        build()
        return
    with pytest.raises((TypeError, ValueError), match=message):
        build()


class Latent(NamedTuple):
    mu: Any
    logvar: Any


def test_params_with_the_name_of_a_memory_are_no_memory():
    params = Latent(jnp.ones(2), jnp.ones(2))
    tx = optax.chain(mo.lookahead(mo.heavy_ball(0.1), 2), mo.identity())
    state = tx.init(params)
    _, state = tx.update(params, state, params)
    after = mo.reset(state)
    np.testing.assert_array_equal(after[0].slow.mu, 1.0)
    np.testing.assert_array_equal(after[0].inner_state[0].velocity.mu, 0.0)
    assert state[0].inner_state[0].velocity.mu[0] == 1.0
