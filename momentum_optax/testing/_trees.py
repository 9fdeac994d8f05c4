"""Laws about trees: missing gradients, odd leaves, containers."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ._case import Case, at_step, is_finite, leaves_under, loop, make_gradients, make_params, same, types


def missing_gradients_sit_out(case: Case) -> None:
    """A gradient that is None, of a leaf or of a branch, at first or later, leaves that memory and all others alone.

    The clock goes on: counts and the weights that debias are shared by the leaves that share a coefficient. What a leaf
    is given when it comes back is therefore no more than finite.
    """
    tx, params = case.make(), make_params()
    gradients = make_gradients(params)
    start = tx.init(params)
    _, later = tx.update(at_step(gradients, 0), start, params)
    for when, state in (("the first", start), ("the second", later)):
        _sits_out(tx, params, state, at_step(gradients, 1), at_step(gradients, 2), when)


def _sits_out(tx: Any, params: Any, state: Any, g: Any, following: Any, when: str) -> None:
    complete, state_complete = tx.update(g, state, params)
    holes = {
        ("dense", "kernel"): {**g, "dense": {**g["dense"], "kernel": None}},
        ("dense",): {**g, "dense": None},
        ("scale",): {**g, "scale": None},
    }
    for names, with_hole in holes.items():
        updates, after = tx.update(with_hole, state, params)
        where = f"{when} gradient of {'/'.join(names)} is None"
        assert types(after) == types(state), f"{where}: the state changes its types"
        none = jax.tree.leaves(
            jax.tree.map(lambda u, g: (u is None) == (g is None), updates, with_hole, is_leaf=lambda x: x is None)
        )
        assert all(none), f"{where}: the updates are None elsewhere: {updates}"
        resting, before = dict(leaves_under(after, *names)), dict(leaves_under(state, *names))
        for path, leaf in resting.items():
            np.testing.assert_array_equal(leaf, before[path], err_msg=f"{where}: state{path} moved")
        expected = dict(leaves_under(complete))
        for path, leaf in leaves_under(updates):
            same(leaf, expected[path], f"{where}: update{path} differs")
        expected = dict(leaves_under(state_complete))
        for path, leaf in leaves_under(after):
            if path not in resting:
                same(leaf, expected[path], f"{where}: state{path} differs")
        for path, leaf in leaves_under(tx.update(following, after, params)):
            assert is_finite(leaf), f"{where}: after the next gradient {path} is {leaf}"
    updates, after = jax.jit(tx.update)(jax.tree.map(lambda _: None, g), state, params)
    assert not jax.tree.leaves(updates), "updates without any gradient"
    assert types(after) == types(state), "without any gradient the state changes its structure"
    for path, leaf in leaves_under(tx.update(following, after, params)):
        assert is_finite(leaf), f"{when} gradient is None everywhere: after the next one {path} is {leaf}"


def odd_trees_work(case: Case) -> None:
    """Empty trees, a bare array, a bare scalar, and trees that hold None from the start."""
    tx = case.make()
    for params in ({}, (), jnp.ones((2, 3)), jnp.ones(()), {"a": None, "b": jnp.ones(2)}, [jnp.ones(2), {}]):
        state = tx.init(params)
        updates, after = tx.update(params, state, params)
        assert types(updates) == types(params), f"updates of {params} are {updates}"
        assert types(after) == types(state), f"the state of {params} changes its types"


class _Pair(NamedTuple):
    dense: Any
    scale: Any


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class _Record:
    dense: Any
    scale: Any


def containers() -> dict[str, Any]:
    """The params of `make_params`, without the empty leaf, in every container that models use.

    Raises:
      ModuleNotFoundError: flax or equinox is missing; both come with `momentum_optax[test]`.
    """
    import equinox as eqx
    from flax import nnx
    from flax.core import FrozenDict

    class Model(eqx.Module):
        dense: dict[str, Any]
        scale: Any

    params = make_params()
    dense, scale = params["dense"], params["scale"]
    state = nnx.State({"dense": nnx.State({k: nnx.Param(v) for k, v in dense.items()}), "scale": nnx.Param(scale)})
    return {
        "dict": {"dense": dense, "scale": scale},
        "tuple": (tuple(dense[k] for k in sorted(dense)), scale),
        "list": [[dense[k] for k in sorted(dense)], scale],
        "NamedTuple": _Pair(dense, scale),
        "dataclass": _Record(dense, scale),
        "FrozenDict": FrozenDict({"dense": dense, "scale": scale}),
        "nnx.State": state,
        "equinox.Module": Model(dense, scale),
    }


def containers_do_not_matter(case: Case) -> None:
    """Dicts, tuples, dataclasses, Flax's and equinox's containers all get the same updates in their own structure."""
    tx = case.make()
    expected = None
    for name, params in containers().items():
        leaves, structure = jax.tree.flatten(params)
        gradients = structure.unflatten([jnp.asarray(leaf) for leaf in make_gradients(leaves)])
        updates, state = loop(tx, params, gradients, 2)
        assert jax.tree.structure(updates[-1]) == structure, f"updates in {name} are {updates[-1]}"
        assert types(state) == types(tx.init(params)), f"the state in {name} changes its types"
        flat = jax.tree.leaves(updates)
        expected = flat if expected is None else expected
        same(flat, expected, f"updates in {name} differ from those in a dict")
