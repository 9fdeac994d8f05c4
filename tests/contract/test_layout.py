"""The layout of every state is on record: whoever changes it has to say so, and to bring old checkpoints along.

`python tests/contract/test_layout.py` writes the record of the present version. A version that was released is never
rewritten: raise `momentum_optax.STATE_LAYOUT`, write the new record beside the old, and add the function that turns a
state of the old layout into one of the new.
"""

import json
from pathlib import Path

import jax
import jax.numpy as jnp

import momentum_optax as mo
from momentum_optax.catalog import CATALOG

RECORD = Path(__file__).with_name(f"layout_{mo.STATE_LAYOUT}.json")


def layout(method):
    params = {"kernel": jnp.ones((3, 2)), "bias": jnp.ones(2)}
    state = jax.eval_shape(method.build(**method.defaults).init, params)
    leaves, _ = jax.tree_util.tree_flatten_with_path(state)
    return {jax.tree_util.keystr(path): f"{leaf.dtype}{list(leaf.shape)}" for path, leaf in leaves}


def layouts():
    return {method.name: layout(method) for method in CATALOG}


def test_state_layouts_are_those_on_record():
    recorded = json.loads(RECORD.read_text())
    for name, found in layouts().items():
        assert recorded.get(name) == found, f"the state of {name} has changed its layout; see the top of {__file__}"
    assert set(recorded) == set(layouts())


if __name__ == "__main__":
    RECORD.write_text(json.dumps(layouts(), indent=1) + "\n")
