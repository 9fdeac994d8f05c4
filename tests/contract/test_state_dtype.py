"""A memory is kept in a floating dtype, or nothing is."""

import jax.numpy as jnp
import pytest

import momentum_optax as mo
from momentum_optax.catalog import CATALOG

OPTIMIZERS = [row.name for row in CATALOG if row.kind == "optimizer"]


def public(name):
    return getattr(mo.compat, name.removeprefix("compat.")) if name.startswith("compat.") else getattr(mo, name)


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("state_dtype", ["int8", "flaot32", bool], ids=str)
def test_a_memory_that_cannot_hold_a_velocity_is_refused(name, state_dtype):
    first = [] if name == "polyak_heavy_ball" else [0.1]
    with pytest.raises((TypeError, ValueError), match="state_dtype"):
        public(name)(*first, state_dtype=state_dtype).init({"kernel": jnp.ones((3, 3)), "bias": jnp.ones(3)})


@pytest.mark.parametrize("name", ["trace", "ema", "difference", "root_mean_square"])
@pytest.mark.parametrize("state_dtype", ["int8", "flaot32", bool], ids=str)
def test_a_part_with_such_a_memory_is_refused_too(name, state_dtype):
    first = [] if name == "difference" else [0.9]
    with pytest.raises((TypeError, ValueError), match="state_dtype"):
        getattr(mo, name)(*first, state_dtype=state_dtype).init(jnp.ones(3))
