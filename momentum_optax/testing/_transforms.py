"""Laws about JAX's transformations."""

from typing import Any

import jax
import jax.numpy as jnp

from ._case import STEPS, Case, at_step, loop, make_gradients, make_params, precision, run, same, types


def jit_and_scan_change_nothing(case: Case) -> None:
    """Compiled = eager, scanned = looped, and the second step does not trace again."""
    tx, params = case.make(), make_params()
    gradients = make_gradients(params)
    expected, last = loop(tx, params, gradients)

    traces = 0

    @jax.jit
    def step(g, state):
        nonlocal traces
        traces += 1
        return tx.update(g, state, params)

    state = tx.init(params)
    for i in range(STEPS):
        before = types(state)
        updates, state = step(at_step(gradients, i), state)
        assert types(state) == before, f"the state changes its types at step {i}"
        same(updates, expected[i], f"jitted update {i} differs from the eager one", 1e-5)
    assert traces == 1, f"{traces} traces for {STEPS} equal steps"

    updates, state = jax.jit(lambda g: run(tx, params, g))(gradients)
    for i in range(STEPS):
        same(at_step(updates, i), expected[i], f"scanned update {i} differs from the looped one", 1e-5)
    same(state, last, "scanned state differs from the looped one", 1e-5)


def _lanes(value: float) -> Any:
    """Three values, all valid where the first is."""
    return jnp.asarray([value, 0.5 * value, 0.9 * value + 0.05], jnp.float32)


def _vmap_equals_single_runs(case: Case, dtype: Any) -> None:
    params = make_params(dtype)
    gradients = make_gradients(params)
    lanes = {name: _lanes(value) for name, value in case.hyperparameters.items()}
    scales = jnp.asarray([1.0, 0.5, 0.25], dtype)  # a lane axis for methods without hyperparameters, too
    traces = 0

    def single(hyper, scale):
        nonlocal traces
        traces += 1
        return run(case.make(**hyper), params, jax.tree.map(lambda g: g * scale, gradients))

    batched = jax.device_get(jax.jit(jax.vmap(single))(lanes, scales))
    assert traces == 1, f"{traces} traces for one sweep"
    one = jax.jit(single)
    for lane in range(3):
        hyper = {name: values[lane] for name, values in lanes.items()}
        expected = one(hyper, scales[lane])
        same(at_step(batched, lane), expected, f"lane {lane} of a sweep, {hyper}", 4 * precision(dtype))
    assert traces == 2, "a new value of a hyperparameter traces again"


def vmap_equals_single_runs(case: Case) -> None:
    """A sweep over every hyperparameter at once, in one trace, gives what single runs give."""
    _vmap_equals_single_runs(case, jnp.float32)


def vmap_equals_single_runs_in_bfloat16(case: Case) -> None:
    """The same with bfloat16 params, where float32 hyperparameters meet narrower arrays."""
    _vmap_equals_single_runs(case, jnp.bfloat16)
