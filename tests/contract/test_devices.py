"""A state goes where its params go."""

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import momentum_optax as mo
from momentum_optax.catalog import CATALOG


@pytest.mark.parametrize("method", CATALOG, ids=lambda m: m.name)
def test_a_state_is_bound_to_a_device_only_if_the_params_are(method):
    """Params are bound to none before something puts them there; a compiled step then takes them to its data."""
    params = {"kernel": jnp.ones((3, 2)), "bias": jnp.ones(2)}
    tx = method.build(**method.defaults)
    assert not any(leaf.committed for leaf in jax.tree.leaves(tx.init(params)))


def test_fresh_params_and_their_state_train_on_data_that_is_spread_over_devices():
    mesh = jax.make_mesh((len(jax.devices()),), ("data",), axis_types=(AxisType.Auto,))
    batch = jax.device_put(jnp.ones((2 * mesh.size, 3)), NamedSharding(mesh, PartitionSpec("data")))
    tx, params = mo.heavy_ball(0.1), jnp.zeros(3)
    step = mo.make_step(lambda params, batch: jnp.mean((batch @ params - 1) ** 2), tx)
    params, _, metrics = step(params, tx.init(params), batch)
    assert mesh.size > 1
    assert metrics["loss"] == 1
    assert params.sharding.is_fully_replicated
