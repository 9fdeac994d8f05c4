"""The laws, with restarts in the midst of them."""

import jax
import jax.numpy as jnp
import optax
import pytest

import momentum_optax as mo
from momentum_optax import testing


def frequent(learning_rate, beta, period, keep):
    return mo.wrappers.restart_every(mo.ema_momentum(learning_rate, beta, debias=True), period, keep=keep)


def by_function(learning_rate, beta):
    """`value` is half the squared gradient: that of a parabola."""
    inner = mo.wrappers.restart_when(mo.nesterov(learning_rate, beta), "function", min_steps=2)

    def update(updates, state, params=None, **extra):
        squares = [jnp.sum(jnp.abs(g).astype(jnp.float32) ** 2) for g in jax.tree.leaves(updates)]
        return inner.update(updates, state, params, **{**extra, "value": sum(squares, jnp.zeros(())) / 2})

    return optax.GradientTransformationExtraArgs(inner.init, update)


def by_speed(learning_rate, beta, min_steps):
    return mo.wrappers.restart_when(mo.heavy_ball(learning_rate, beta), "speed", min_steps=min_steps)


ONE_DECISION = "one decision for all leaves, in which what is missing, infinite or masked has no say, or all of it"


CASES = [
    testing.Case("frequent", frequent, {"learning_rate": 0.1, "beta": 0.9, "period": 3, "keep": 0.1}, ("beta",),
                 exceptions={"missing_gradients_sit_out": "a restart is also for the leaves at rest"}),
    testing.Case("by_function", by_function, {"learning_rate": 0.1, "beta": 0.9}, ("beta",), exceptions=dict.fromkeys(
        ("missing_gradients_sit_out", "non_finite_is_seen_and_contained", "masks_and_partitions_work"), ONE_DECISION)),
    testing.Case("by_speed", by_speed, {"learning_rate": 0.1, "beta": 0.9, "min_steps": 2}, ("beta",),
                 exceptions=dict.fromkeys(
        ("missing_gradients_sit_out", "non_finite_is_seen_and_contained", "masks_and_partitions_work"), ONE_DECISION)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("case", "law"),
    [pytest.param(case, law, id=f"{case.name}-{law.name}") for case in CASES for law in testing.laws_of(case)],
)
def test_law_holds(case, law):
    law.holds(case)


# What is refused.
