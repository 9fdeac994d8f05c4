"""After a whole reset the state of each of Optax's optimizers is a fresh one, but for what is known to stay."""

import inspect
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import momentum_optax as mo

PARAMS = {"body": {"w": np.ones((2, 3), np.float32), "b": np.zeros(3, np.float32)}, "head": np.ones(3, np.float32)}

# Ask for gradients of single examples, for keys or for another optimizer, around states of others; or are deprecated.
LEFT_OUT = {
    "_deprecated_dpsgd", "dpsgd", "lbfgs", "noisy_sgd", "optimistic_adam", "scale_by_learning_rate", "schedule_free",
}  # fmt: skip
# What keeps neither averages of gradients nor of their squares.
WITHOUT = {
    "cocob", "dog", "dowg", "fromage", "madgrad", "optimistic_gradient_descent", "rprop", "scale_by_madgrad",
    "scale_by_rprop", "schedule_free_sgd", "sign_sgd",
}  # fmt: skip
# Averages that begin at another value than 0 begin at 0 after a reset; those of yogi at 1e-6, which goes unnoticed.
OPTIONS = {"adagrad": {"initial_accumulator_value": 0.0}}
# By the class of the state: what was learned about the loss, the last gradient, a second copy of the params.
STAYS = {
    "DAdaptAdamWState": {"estim_lr"},
    "GaLoreState": {"count", "projector"},
    "MomoAdamState": {"lb"},
    "MomoState": {"lb"},
    "ProdigyState": {"params0", "estim_lr", "grad_sum", "numerator_weighted"},
    "ScaleByAdanState": {"g"},
    "ScaleByOptimisticGradientState": {"is_initial_step", "previous_gradient"},
    "ScheduleFreeState": {"b1", "weight_sum", "step_count", "max_lr", "z"},
    "SophiaState": {"hessian_fn_state"},
}


def optimizers() -> dict[str, Any]:
    """Every function of Optax that takes a learning rate."""
    found = {}
    for module in (optax, optax.contrib):
        for name, make in inspect.getmembers(module, inspect.isfunction):
            if "learning_rate" in inspect.signature(make).parameters and name not in LEFT_OUT:
                found[name] = make
    return found


def stepped(tx: Any, steps: int) -> tuple[Any, Any]:
    """The states before and after some updates."""
    rng = np.random.default_rng(0)

    def loss(params):
        return sum(jnp.sum(p**2) for p in jax.tree.leaves(params))

    fresh = state = tx.init(PARAMS)
    for step in range(steps):
        gradients = jax.tree.map(lambda p: rng.normal(size=p.shape).astype(np.float32), PARAMS)
        _, state = tx.update(gradients, state, PARAMS, value=jnp.asarray(1.0 + step), obj_fn=loss)
    return fresh, state


def expected(fresh: Any, used: Any) -> Any:
    """The fresh state with what stays of the used one."""

    def stays(node):
        return type(node).__name__ in STAYS

    def choose(new, old):
        if not stays(new):
            return new
        kept = STAYS[type(new).__name__]
        both = {name: (getattr(new, name), getattr(old, name)) for name in new._fields}
        return new._replace(**{name: pair[1] if name in kept else expected(*pair) for name, pair in both.items()})

    return jax.tree.map(choose, fresh, used, is_leaf=stays)


@pytest.mark.parametrize("name", optimizers())
def test_no_average_is_forgotten(name):
    make = optimizers()[name]
    taken = inspect.signature(make).parameters
    options = {"learning_rate": 0.1} | ({"momentum": 0.9} if "momentum" in taken else {}) | OPTIONS.get(name, {})
    tx = optax.with_extra_args_support(make(**options))
    fresh, used = stepped(tx, 5)
    if name in WITHOUT:
        with pytest.raises(ValueError, match="holds no velocity and no second moment"):
            mo.reset(used, second_moments=True)
        return
    actual = mo.reset(used, second_moments=True, counts=True)
    jax.tree.map(lambda a, e: np.testing.assert_allclose(a, e, rtol=0, atol=2e-6), actual, expected(fresh, used))
    assert any(not np.array_equal(a, b) for a, b in zip(jax.tree.leaves(actual), jax.tree.leaves(used), strict=True))


@pytest.mark.parametrize("make", [optax.contrib.momo, optax.contrib.momo_adam])
def test_the_averages_of_losses_go_with_the_velocity(make):
    """MoMo's bound on the loss is made of three averages, of which a reset must not leave two."""
    _, used = stepped(make(0.1), 5)
    for state in (mo.reset(used), mo.reset(used, ["body", "head"])):
        assert float(state.barf) == float(state.gamma) == 0.0
    np.testing.assert_allclose(mo.reset(used, keep=0.25).barf, 0.25 * used.barf, rtol=1e-6)
    # They belong to all leaves.
    assert mo.reset(used, "head").barf == used.barf
    assert mo.reset(used, lambda path: path == "head").barf == used.barf


def test_d_adaptation_goes_on_after_its_second_moments_are_reset():
    """Its sum of gradients is divided by their root: alone it would send the learning rate to infinity."""
    tx = optax.contrib.dadapt_adamw(1.0)
    _, used = stepped(tx, 5)
    _, state = tx.update(PARAMS, mo.reset(used, second_moments=True), PARAMS)
    assert state.estim_lr <= 10 * used.estim_lr


def test_averages_that_are_only_looked_at_stay():
    measure = optax.measure_with_ema(lambda updates: optax.tree.norm(updates), 0.9)
    tx = optax.chain(optax.monitor({"norm": measure}), optax.trace(0.9))
    _, used = stepped(optax.with_extra_args_support(tx), 3)
    state = mo.reset(used)
    jax.tree.map(np.testing.assert_array_equal, state[0], used[0])
    np.testing.assert_array_equal(state[1].trace["head"], 0)
    assert mo.reset(used, "head")[1].trace["head"][0] == 0
