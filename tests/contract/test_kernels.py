"""Leaves of one shape share their kernels, whatever their coefficients are."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiling import AS_FOR_USERS

import momentum_optax as mo


def kernels(tx, leaves):
    """How many different fused computations the update of so many leaves of one shape compiles to."""
    params = {f"leaf{i}": jnp.ones(4096) for i in range(leaves)}

    def step(params, state, gradient):
        updates, state = tx.update(gradient, state, params)
        return mo.apply_updates(params, updates), state

    lowered = jax.jit(step, donate_argnums=(0, 1)).lower(params, tx.init(params), params)
    text = lowered.compile(AS_FOR_USERS).as_text()
    bodies = re.findall(r"^%?[\w.]*fused_computation[^\n]*\{\n(.*?)^\}", text, re.MULTILINE | re.DOTALL)
    return len({re.sub(r"(%?[\w.-]*\d[\w.-]* = |%[\w.-]+|metadata=\{[^}]*\})", "", body) for body in bodies})


def betas(leaves, kind=float):
    return {f"leaf{i}": kind(beta) for i, beta in enumerate(np.linspace(0.5, 0.95, leaves))}


@pytest.mark.parametrize("kind", [float, np.float64, jnp.float32], ids=["Python", "NumPy", "JAX"])
def test_a_beta_for_each_leaf_needs_the_kernels_of_one(kind):
    assert kernels(mo.heavy_ball(0.1, mo.layerwise(betas(6, kind))), 6) == kernels(mo.heavy_ball(0.1, 0.9), 6)


@pytest.mark.parametrize(
    "make",
    [
        lambda betas: mo.ema_momentum(0.1, betas, debias=True),
        lambda betas: mo.qhm(0.1, betas, 0.7, weight_decay=0.01),
        lambda betas: mo.heavy_ball(betas, 0.9),
        lambda betas: mo.divide(mo.ema(0.9), by=mo.root_mean_square(betas)),
    ],
    ids=["ema_momentum", "qhm", "learning rates", "root_mean_square"],
)
def test_the_number_of_kernels_does_not_grow_with_the_leaves(make):
    assert kernels(make(betas(9)), 9) == kernels(make(betas(5)), 5)


def test_a_schedule_for_each_leaf_has_its_own():
    """So that the count counts."""
    few, many = ({f"leaf{i}": mo.schedules.linear(i / 10, 0.9, 100) for i in range(n)} for n in (3, 6))
    assert kernels(mo.heavy_ball(0.1, many), 6) > kernels(mo.heavy_ball(0.1, few), 3)
