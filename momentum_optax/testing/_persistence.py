"""Laws about checkpoints."""

import tempfile
from pathlib import Path
from typing import Any

import jax
import numpy as np

from ._case import Case, at_step, loop, make_gradients, make_params, types


def _continues(case: Case, restore: Any, how: str, params: Any) -> None:
    tx = case.make()
    gradients = make_gradients(params)
    _, state = loop(tx, params, gradients, 2)
    restored = restore(tx, params, state)
    assert jax.tree.structure(restored) == jax.tree.structure(state), f"{how} changes the structure"
    assert types(jax.tree.map(jax.numpy.asarray, restored)) == types(state), f"{how} changes the types"
    for step in (2, 3):
        expected, state = tx.update(at_step(gradients, step), state, params)
        updates, restored = tx.update(at_step(gradients, step), restored, params)
        for a, b in zip(jax.tree.leaves((updates, restored)), jax.tree.leaves((expected, state)), strict=True):
            np.testing.assert_array_equal(a, b, err_msg=f"a run restored by {how} is not the uninterrupted one")


def bytes_restore_the_run(case: Case) -> None:
    """A state restored from Flax's bytes continues bit for bit."""
    from flax import serialization

    def restore(tx, params, state):
        return serialization.from_bytes(tx.init(params), serialization.to_bytes(state))

    _continues(case, restore, "flax.serialization", make_params())


def checkpoints_restore_the_run(case: Case) -> None:
    """A state saved by Orbax as it is, and restored into the shapes of `init` only, continues bit for bit."""
    import orbax.checkpoint as ocp

    def restore(tx, params, state):
        if not jax.tree.leaves(state):
            return state  # Orbax refuses to save nothing
        with tempfile.TemporaryDirectory() as folder, ocp.StandardCheckpointer() as checkpointer:
            path = Path(folder).resolve() / "state"
            checkpointer.save(path, state)
            checkpointer.wait_until_finished()
            return checkpointer.restore(path, jax.eval_shape(tx.init, params))

    # Orbax refuses arrays of size 0.
    params = make_params()
    del params["empty"]
    _continues(case, restore, "Orbax", params)
