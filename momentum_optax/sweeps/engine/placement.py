"""Between the host's memory and that of the devices."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec


class Placement:
    """Where batches of runs lie.

    Attributes:
      mesh: the devices, with axes `rows` and `points`.
      grid: how many of them share the rows and the points of a batch.
    """

    def __init__(self, devices: Sequence[Any], grid: tuple[int, int]):
        """Arranges the devices.

        Args:
          devices: as many as the grid has places, of this process.
          grid: how many share the rows and the points of a batch.
        """
        self.grid = grid
        self.mesh = Mesh(np.asarray(devices).reshape(grid), ("rows", "points"), axis_types=(AxisType.Auto,) * 2)

    @property
    def device(self) -> Any:
        """One of the devices."""
        return self.mesh.devices.flat[0]

    def put(self, tree: Any, *axes: str) -> Any:
        """Arrays of the host on the devices, their first axes cut over axes of the mesh."""
        return jax.device_put(tree, NamedSharding(self.mesh, PartitionSpec(*axes)))

    def get(self, tree: Any) -> Any:
        """Arrays of the devices as NumPy arrays; random keys as their data."""
        return jax.device_get(jax.tree.map(lambda x: jax.random.key_data(x) if _is_key(x) else x, tree))

    def put_states(self, tree: Any, keys: Any) -> Any:
        """What `get` gave of states of runs, back on the devices, with random keys where `key_kinds` found them."""
        placed = self.put(tree, "rows", "points")
        return jax.tree.map(lambda x, kind: jax.random.wrap_key_data(x, impl=kind) if kind else x, placed, keys)


def key_kinds(tree: Any) -> Any:
    """The implementation of each leaf that holds random keys, which NumPy does not know; an empty text for others."""
    return jax.tree.map(lambda x: str(jax.random.key_impl(x)) if _is_key(x) else "", tree)


def _is_key(x: Any) -> bool:
    return hasattr(x, "dtype") and jnp.issubdtype(x.dtype, jax.dtypes.prng_key)
