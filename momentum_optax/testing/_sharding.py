"""Laws about devices and buffers."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from ._case import Case, leaves_under


def two_or_more_devices() -> list[Any]:
    """The devices of the default backend, or of the CPU where that has more.

    Raises:
      RuntimeError: there is one only.
    """
    devices = jax.devices()
    if len(devices) < 2:
        devices = jax.devices("cpu")
    if len(devices) < 2:
        raise RuntimeError(
            "the laws about sharding need two devices or more; set jax.config.update('jax_num_cpu_devices', 8) "
            "before JAX is used."
        )
    return devices


def _sharded(axis_type: AxisType) -> tuple[jax.sharding.Mesh, dict[str, jax.Array]]:
    devices = two_or_more_devices()
    mesh = jax.make_mesh((len(devices),), ("x",), axis_types=(axis_type,), devices=devices)
    rng = np.random.default_rng(0)
    params = {
        "rows": (rng.normal(size=(2 * len(devices), 4)), PartitionSpec("x")),
        "columns": (rng.normal(size=(3, len(devices))), PartitionSpec(None, "x")),
        "whole": (rng.normal(size=3), PartitionSpec()),
    }
    return mesh, {
        k: jax.device_put(jnp.asarray(v, jnp.float32), NamedSharding(mesh, spec)) for k, (v, spec) in params.items()
    }


def arrays_under(tree: Any, name: str) -> Iterator[tuple[str, Any]]:
    """The arrays of a state that belong to a param, without the numbers, such as a beta for each leaf."""
    return ((path, leaf) for path, leaf in leaves_under(tree, name) if leaf.ndim)


def state_is_sharded_as_the_params_are(case: Case) -> None:
    """With automatic axes: from `init`, from `jit(init)`, and after a step."""
    tx = case.make()
    _, params = _sharded(AxisType.Auto)
    step = jax.jit(tx.update)
    for how, state in (("init", tx.init(params)), ("jit(init)", jax.jit(tx.init)(params))):
        updates, after = step(params, state, params)
        for where, tree in ((how, state), (f"a step after {how}", after), (f"updates after {how}", updates)):
            for name, p in params.items():
                for path, leaf in arrays_under(tree, name):
                    assert leaf.sharding.is_equivalent_to(p.sharding, p.ndim), (
                        f"{where}: {path} is sharded as {leaf.sharding}, its param as {p.sharding}"
                    )


def explicit_shardings_are_kept(case: Case) -> None:
    """With explicit axes the types, shardings included, of the state are the params', inside `jit` and out."""
    tx = case.make()
    mesh, params = _sharded(AxisType.Explicit)

    def step(p):
        state = tx.init(p)
        updates, after = tx.update(p, state, p)
        return state, updates, after

    with jax.set_mesh(mesh):
        state, updates, after = jax.jit(step)(params)
        assert [jax.typeof(x) for x in jax.tree.leaves(state)] == [jax.typeof(x) for x in jax.tree.leaves(after)]
        for where, tree in (("init", tx.init(params)), ("jit(init)", state), ("updates", updates)):
            for name, p in params.items():
                for path, leaf in arrays_under(tree, name):
                    assert jax.typeof(leaf).sharding.spec == jax.typeof(p).sharding.spec, (
                        f"{where}: {path} is {jax.typeof(leaf)}, its param {jax.typeof(p)}"
                    )


def donation_never_aliases(case: Case) -> None:
    """Params and state share no buffer and can be donated together; the user's hyperparameters survive."""
    hyper = {name: jnp.asarray(value, jnp.float32) for name, value in case.hyperparameters.items()}
    tx = case.make(**hyper)
    params = {"kernel": jnp.ones((3, 2)), "bias": jnp.ones(2)}

    def step(p, state, g):
        updates, state = tx.update(g, state, p)
        return jax.tree.map(jnp.add, p, updates), state

    donated = jax.jit(step, donate_argnums=(0, 1))
    for how, state in (("init", tx.init(params)), ("jit(init)", jax.jit(tx.init)(params))):
        pointers = [leaf.unsafe_buffer_pointer() for leaf in jax.tree.leaves((params, state, hyper))]
        assert len(set(pointers)) == len(pointers), f"{how} gives a state that shares memory"
        p = jax.tree.map(jnp.copy, params)
        for _ in range(2):
            p, state = donated(p, state, params)
    assert not any(leaf.is_deleted() for leaf in jax.tree.leaves(hyper)), "a donated state held a hyperparameter"
