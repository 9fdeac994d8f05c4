"""Which leaves a coefficient is for."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from flax.core import FrozenDict
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import momentum_optax as mo
from momentum_optax import _coefficient as coefficient
from momentum_optax import _grouping as grouping


class Point(NamedTuple):
    """A container with names."""

    w: Any
    b: Any


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class Data:
    """Another one."""

    w: Any
    b: Any


CONTAINERS = {
    "dict": dict,
    "NamedTuple": Point,
    "dataclass": Data,
    "FrozenDict": lambda **leaves: FrozenDict(leaves),
    "nnx.State": lambda **leaves: nnx.State({k: nnx.Param(v) for k, v in leaves.items()}),
}
every_container = pytest.mark.parametrize("container", CONTAINERS.values(), ids=CONTAINERS)


@every_container
def test_a_plain_dict_fits_every_container_by_its_names(container):
    params = container(w=jnp.ones(2), b=jnp.ones(3))
    betas = {"b": 0.25, "w": 0.75}
    grouping.fit("beta", betas, params)
    leaves = jax.tree.leaves(params)
    by_shape = {leaf.shape: value for leaf, value in zip(leaves, grouping.spread(betas, params), strict=True)}
    assert by_shape == {(2,): 0.75, (3,): 0.25}


@pytest.mark.parametrize("betas", [Point(0.75, 0.25), Data(0.75, 0.25), FrozenDict(w=0.75, b=0.25)])
def test_a_tree_of_another_kind_fits_a_plain_dict(betas):
    params = {"w": jnp.ones(2), "b": jnp.ones(3)}
    grouping.fit("beta", betas, params)
    assert grouping.spread(betas, params) == [0.25, 0.75]  # a dict's leaves come sorted


@every_container
def test_the_method_sees_the_betas_of_a_plain_dict_in_every_container(container):
    tx = mo.trace({"w": 0.5, "b": 0.25})
    gradients = container(w=jnp.ones(2), b=jnp.ones(3))
    state = tx.init(gradients)
    for _ in range(2):
        updates, state = tx.update(gradients, state)
    shapes = {leaf.shape: float(leaf[0]) for leaf in jax.tree.leaves(updates)}
    assert shapes == {(2,): 1.5, (3,): 1.25}


def test_an_nnx_model_takes_a_dict_of_its_layers():
    class Model(nnx.Module):
        def __init__(self):
            self.first = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
            self.blocks = nnx.List([nnx.Linear(3, 3, rngs=nnx.Rngs(0)) for _ in range(2)])

    params = nnx.state(Model(), nnx.Param)
    grouping.fit("beta", {"first": 0.5, "blocks": {0: 0.7, 1: {"kernel": 0.8, "bias": 0.9}}}, params)
    with pytest.raises(ValueError, match=r"no value for params\['blocks'\]\[1\]\['bias'\]"):
        grouping.fit("beta", {"first": 0.5, "blocks": {0: 0.7, 1: {"kernel": 0.8}}}, params)


def test_a_tree_that_does_not_fit_names_what_is_missing_and_what_is_too_much():
    params = {"w": jnp.ones(2), "b": {"deep": jnp.ones(3), "wide": jnp.ones(1)}}
    with pytest.raises(ValueError) as error:  # noqa: PT011
        grouping.fit("beta", {"b": {"deep": 0.5}, "x": {"y": 0.5}}, params)
    message = str(error.value)
    assert message.startswith("beta is a tree that does not fit the params: ")
    assert "no value for params['b']['wide'], params['w']" in message
    assert "no such leaf for beta['x']['y']" in message
    assert "Accepted: one value for all, or a tree that has the params' structure or is a prefix of it" in message


@pytest.mark.parametrize("values", [0.5, {"w": 0.5, "b": 0.5}, {"w": 0.5, "b": {"deep": 0.5}}])
def test_one_value_a_prefix_and_a_full_tree_fit(values):
    grouping.fit("beta", values, {"w": jnp.ones(2), "b": {"deep": jnp.ones(3)}})


def test_a_tree_for_the_whole_model_fits_its_masked_parts():
    params = {"w": jnp.ones(2), "b": optax.MaskedNode()}
    grouping.fit("beta", {"w": 0.5, "b": 0.7}, params)
    grouping.fit("beta", {"w": 0.5, "b": 0.7}, {"w": optax.MaskedNode(), "b": optax.MaskedNode()})
    assert grouping.spread({"w": 0.5, "b": 0.7}, params) == [0.5]


def test_values_inside_a_branch_that_is_masked_out_are_not_missed():
    values = {"w": 0.5, "b": {"deep": 0.7, "wide": 0.9}}
    for absent in (optax.MaskedNode(), None):
        grouping.fit("beta", values, {"w": jnp.ones(2), "b": absent})
    with pytest.raises(ValueError, match=r"no such leaf for beta\['c'\]"):
        grouping.fit("beta", {"w": 0.5, "b": {"deep": 0.7}, "c": 0.1}, {"w": jnp.ones(2), "b": optax.MaskedNode()})


def test_a_leaf_without_gradient_keeps_its_place():
    tree = {"a": None, "b": jnp.ones(2)}
    assert grouping.spread(0.5, tree) == [0.5, 0.5]
    assert grouping.spread({"a": 0.1, "b": 0.2}, tree) == [0.1, 0.2]


trees = st.recursive(
    st.sampled_from([0.0, None]),
    lambda children: st.one_of(
        st.dictionaries(st.sampled_from("abcd"), children, min_size=1, max_size=3),
        st.dictionaries(st.integers(0, 12), children, min_size=1, max_size=3),
        st.lists(children, min_size=1, max_size=3),
        st.tuples(children, children),
        st.builds(Point, children, children),
    ),
    max_leaves=12,
)


def children(tree):
    """Names and parts of one level, in the order of the leaves; None for a leaf."""
    if isinstance(tree, dict):
        return sorted(tree.items())
    if isinstance(tree, Point):
        return list(tree._asdict().items())
    return list(enumerate(tree)) if isinstance(tree, list | tuple) else None


@st.composite
def trees_with_prefixes(draw):
    tree, numbers = draw(trees), iter(range(1000))

    def prefix(part):
        below = children(part)
        if below is None or draw(st.booleans()):
            return next(numbers) / 1000
        pairs = {name: prefix(child) for name, child in below}
        # By name where there are names: a dict for a NamedTuple, and for a list the indices.
        if isinstance(part, Point) and draw(st.booleans()):
            return Point(**pairs)
        if isinstance(part, list | tuple) and not isinstance(part, Point) and draw(st.booleans()):
            return type(part)(pairs.values())
        return pairs

    return tree, prefix(tree)


def expected_column(prefix, tree):
    """The naive reference: walk down both; a number goes to every leaf below."""
    below = children(tree)
    if not isinstance(prefix, dict | list | tuple):
        return [prefix] if below is None else [x for _, child in below for x in expected_column(prefix, child)]
    pairs = dict(children(prefix))
    return [x for name, child in below for x in expected_column(pairs[name], child)]


many = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)


@many
@given(trees_with_prefixes())
def test_a_prefix_gives_every_leaf_the_value_above_it(case):
    tree, prefix = case
    assert grouping.spread(prefix, tree) == expected_column(prefix, tree)
    grouping.fit("beta", prefix, tree)


@many
@given(trees_with_prefixes(), st.randoms(use_true_random=False))
def test_a_prefix_that_lacks_a_value_does_not_fit(case, random):
    tree, prefix = case
    tree = jax.tree.map(lambda _: 0.0, tree, is_leaf=grouping.is_none)  # what is absent needs no value
    node = prefix
    while children(node) is not None and any(children(child) for _, child in children(node)):
        name = random.choice([name for name, child in children(node) if children(child)])
        node = dict(children(node))[name]
    if not isinstance(node, dict):
        return  # only from a dict can a value be taken without moving the others
    node.pop(random.choice(list(node)))
    with pytest.raises(ValueError, match="no value for params"):
        grouping.fit("beta", prefix, tree)


@many
@given(trees_with_prefixes())
def test_a_memory_moves_where_a_leaf_it_covers_has_a_gradient(case):
    tree, prefix = case
    column = expected_column(prefix, tree)
    gradients = jax.tree.leaves(tree, is_leaf=grouping.is_none)
    moved = {value for value, g in zip(column, gradients, strict=True) if g is not None}
    memory = jax.tree.map(lambda _: np.float32(5), prefix)
    after = grouping.advance(lambda m, v: m + v, tree, memory, prefix)
    for value, new in zip(jax.tree.leaves(prefix), jax.tree.leaves(after), strict=True):
        np.testing.assert_allclose(new, 5 + value if value in moved else 5, rtol=1e-6)


def test_advance_keeps_the_dtype_of_the_memory():
    memory = coefficient.stored({"w": 0.5})
    after = grouping.advance(lambda m, v: m * v, {"w": jnp.ones(2)}, memory, {"w": np.float64(0.5)})
    assert after["w"].dtype == memory["w"].dtype
    assert float(after["w"]) == 0.25
