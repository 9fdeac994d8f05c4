"""What a compiled, donated update costs beside its own arrays: nothing of the tree's size."""

import jax
import jax.numpy as jnp
import pytest

import momentum_optax as mo
from momentum_optax._step import compiler_options
from momentum_optax.catalog import CATALOG

SIZE = 100_000
# They read what they remember after they have written it; only `make_step`'s compiler options avoid a copy.
READS_THE_PAST = {
    "adan",
    "difference",
    "pid",
    "rules.hypergradient",
    "rules.yellowfin",
    "wrappers.restart_every",
    "wrappers.skip_spikes",
}
READS_THE_PAST |= {"wrappers.guard_finite", "wrappers.restart_when", "outer_momentum", "polyak_heavy_ball", "track"}
READS_THE_PAST |= {"mars"}
# Arrays of the tree's size that are used twice, once in a norm or an inner product; how many.
USED_TWICE = {"rules.alignment": 1, "rules.lipschitz_ratio": 1, "outer_momentum": 1, "wrappers.restart_when": 4}
USED_TWICE |= {"cautious": 1.04}  # the mask, to be counted and to be multiplied by
USED_TWICE |= {"mars": 1, "gradient_correction": 1}  # the second gradient, which the row makes from the first
USED_TWICE |= {"wrappers.guard_finite": 0.26}  # what is finite, one byte for each number


def temporary_share(tx, options, dtype=jnp.float32):
    params = jnp.ones(SIZE, dtype)

    def step(params, state, gradient):
        updates, state = tx.update(gradient, state, params)
        return mo.apply_updates(params, updates), state

    jitted = jax.jit(step, donate_argnums=(0, 1), compiler_options=options)
    return jitted.lower(params, tx.init(params), params).compile().memory_analysis().temp_size_in_bytes / params.nbytes


@pytest.mark.parametrize("method", CATALOG, ids=lambda m: m.name)
def test_no_temporary_of_the_size_of_the_tree(method):
    options = compiler_options() if method.name in READS_THE_PAST else {}
    assert temporary_share(method.build(**method.defaults), options) < USED_TWICE.get(method.name, 0) + 0.02


LOCAL = [
    m
    for m in CATALOG
    if m.kind == "optimizer" and m.name not in ("polyak_heavy_ball", "adai", "adaptive_storm", "mars", "nigt")
]  # whose step is a matter of norms


@pytest.mark.parametrize("method", LOCAL, ids=lambda m: m.name)
def test_no_temporary_in_bfloat16(method):
    tx = method.build(**method.defaults)
    assert temporary_share(tx, compiler_options(), jnp.bfloat16) < 0.01


def test_a_bfloat16_velocity_needs_no_temporary():
    assert temporary_share(mo.heavy_ball(0.1, state_dtype=jnp.bfloat16), {}) < 0.01


def test_a_copy_would_be_seen():
    assert temporary_share(mo.difference(), {}) > 0.9
