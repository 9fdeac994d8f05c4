"""Laws about Optax's wrappers."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from ._case import (
    STEPS,
    Case,
    at_step,
    compiled,
    largest,
    largest_difference,
    loop,
    make_gradients,
    make_params,
    run,
    same,
    types,
)


def _only_dense(params: Any) -> Any:
    return {name: name == "dense" for name in params}


def extra_arguments_are_accepted(case: Case) -> None:
    """`update` swallows what it does not know: `value`, `grad`, `value_fn`, foreign arguments; in a chain, too."""
    params = make_params()
    g = at_step(make_gradients(params), 0)
    for tx in (case.make(), optax.chain(optax.clip_by_global_norm(1e6), case.make(), optax.identity())):
        expected, _ = tx.update(g, tx.init(params), params)
        updates, _ = tx.update(
            g, tx.init(params), params, value=jnp.ones(()), grad=g, value_fn=lambda p: jnp.zeros(()), foreign=1
        )
        same(updates, expected, "extra arguments change the update")


def masks_and_partitions_work(case: Case) -> None:
    """Inside `masked` and `partition` the chosen leaves get what they would get alone."""
    tx, params = case.make(), make_params()
    gradients = make_gradients(params)
    expected, _ = loop(tx, params, gradients, 2)
    mask = {"dense": True, "empty": False, "scale": False}
    labels = {"dense": "ours", "empty": "rest", "scale": "rest"}
    for name, wrapped in (
        ("masked", optax.masked(tx, mask)),
        ("masked by a function", optax.masked(tx, _only_dense)),
        ("partition", optax.partition({"ours": tx, "rest": optax.set_to_zero()}, labels)),
        ("masked in a chain", optax.chain(optax.masked(tx, mask), optax.masked(optax.set_to_zero(), {
            "dense": False, "empty": True, "scale": True}))),
    ):  # fmt: skip
        updates, state = loop(wrapped, params, gradients, 2)
        for i in range(2):
            same(updates[i]["dense"], expected[i]["dense"], f"{name}: update {i} differs")
        assert types(state) == types(wrapped.init(params)), f"{name}: the state changes its types"


def injected_hyperparameters_change_nothing(case: Case) -> None:
    """`inject_hyperparams` gives the numbers of the plain transformation, and a changed value takes effect."""
    params = make_params()
    gradients = make_gradients(params)
    injected = optax.inject_hyperparams(case.build)(**case.hyperparameters)
    expected, _ = loop(case.make(), params, gradients)
    unchanged, state = loop(injected, params, gradients)
    # Traced numbers are rounded in other places than constants, which Newton-Schulz steps enlarge.
    same(unchanged, expected, "injected hyperparameters change the updates", 1e-5)
    for name, value in case.hyperparameters.items():
        assert name in state.hyperparams, f"{name} is not injected"
        if name != "learning_rate" and name not in case.decays:
            continue  # of the others a method may ask little: an eps is not to be seen
        state: Any = injected.init(params)
        changed = []
        state.hyperparams[name] = jnp.asarray(0.5 * value, jnp.asarray(state.hyperparams[name]).dtype)
        for step in range(STEPS):
            update, state = injected.update(at_step(gradients, step), state, params)
            changed.append(update)
        assert largest_difference(changed[-1], unchanged[-1]) > 1e-3 * largest(unchanged[-1]), (
            f"{name} = {0.5 * value} in the place of {value} changes nothing after {STEPS} updates"
        )


def multi_steps_accumulate(case: Case) -> None:
    """`MultiSteps` of twice the same gradient is one step."""
    tx, params = case.make(), make_params()
    gradients = make_gradients(params)
    expected, _ = loop(tx, params, gradients, 2)
    wrapped = optax.MultiSteps(tx, every_k_schedule=2).gradient_transformation()
    twice = jax.tree.map(lambda g: jnp.repeat(g[:2], 2, axis=0), gradients)
    updates, _ = jax.jit(lambda g: run(wrapped, params, g))(twice)
    for i in range(2):
        same(at_step(updates, 2 * i + 1), expected[i], f"MultiSteps: update {i} differs", 1e-5)


def skipped_steps_leave_the_state_alone(case: Case) -> None:
    """Inside `apply_if_finite` a gradient with NaN changes nothing."""
    params = make_params()
    tx = compiled(optax.apply_if_finite(case.make(), max_consecutive_errors=5))
    gradients = make_gradients(params)
    spoiled = jax.tree.map(lambda g: g.at[1].set(jnp.nan), gradients)
    without = jax.tree.map(lambda g: jnp.delete(g, 1, axis=0), gradients)
    updates, state = loop(tx, params, spoiled)
    expected, expected_state = loop(tx, params, without, STEPS - 1)
    same(updates[2], expected[1], "the step after a skipped one differs", 1e-5)
    same(state.inner_state, expected_state.inner_state, "a skipped step changed the state", 1e-5)


def param_leaves_can_be_mapped(case: Case) -> None:
    """`optax.tree.map_params` finds what is shaped like the params, and nothing else."""
    tx, params = case.make(), make_params()
    state = tx.init(params)
    marked = optax.tree.map_params(tx, lambda _: "param", state, transform_non_params=lambda _: "other")
    paths = {tuple(key.key for key in path) for path, _ in jax.tree_util.tree_flatten_with_path(params)[0]}
    for path, mark in jax.tree_util.tree_flatten_with_path(marked)[0]:
        names = tuple(key.key for key in path if isinstance(key, jax.tree_util.DictKey))
        # A count, a weight, a beta that was looked ahead by have no name of a param on their path.
        expected = "param" if any(names[i:] in paths for i in range(len(names))) else "other"
        assert mark == expected, f"state{jax.tree_util.keystr(path)} is taken for {mark}, and is {expected}"
