"""What a hyperparameter may be, and how it becomes a number per leaf."""

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

RANGES = {
    "DECAY": (coefficient.DECAY, "in [0, 1)", [0, 0.0, 0.999, np.float32(0.5)], [-1e-9, 1, 1.0, 2]),
    "FRACTION": (coefficient.FRACTION, "in [0, 1]", [0, 1, 0.5], [-1e-9, 1.0000001]),
    "NON_NEGATIVE": (coefficient.NON_NEGATIVE, "finite and at least 0", [0, 1e300], [-1e-300]),
    "POSITIVE": (coefficient.POSITIVE, "finite and above 0", [1e-300, 7], [0, 0.0, -1]),
    "FINITE": (coefficient.FINITE, "finite", [-1e300, 0, 10**30], []),
}
INSIDE = [(r, x) for r, _, good, _ in RANGES.values() for x in good]
OUTSIDE = [(r, text, x) for r, text, _, bad in RANGES.values() for x in [*bad, np.nan, np.inf, -np.inf]]


# check


@pytest.mark.parametrize(("accepted", "value"), INSIDE)
def test_numbers_in_the_range_come_back_as_they_are(accepted, value):
    assert coefficient.check("beta", value, accepted) is value
    assert coefficient.check("beta", np.asarray(value, np.float64), accepted) == value


@pytest.mark.parametrize(("accepted", "text", "value"), OUTSIDE)
def test_numbers_out_of_range_are_refused_by_name_value_and_range(accepted, text, value):
    for given_as in (value, np.asarray(value, np.float64)):
        with pytest.raises(ValueError) as error:  # noqa: PT011
            coefficient.check("beta", given_as, accepted)
        assert str(error.value) == f"beta must be {text}; got {given_as!r}."


@pytest.mark.parametrize(
    "value",
    [True, np.True_, jnp.asarray(True), 1j, np.complex64(1j), jnp.asarray(1j), "0.9", np.array("0.9"), b"1", {1, 2}],
    ids=str,
)
def test_what_is_no_real_number_is_refused_with_its_type(value):
    with pytest.raises(TypeError, match=rf"got .* of type {type(value).__name__}\.") as error:
        coefficient.check("beta", value)
    accepted = "beta must be a number in [0, 1), a schedule (a function of the count), or a tree of these; got"
    assert str(error.value).startswith(accepted)


@pytest.mark.parametrize("value", [np.ones(1), jnp.full((2, 3), 0.5), np.zeros((0,))])
def test_an_array_that_is_not_scalar_is_refused_and_vmap_recommended(value):
    with pytest.raises(ValueError) as error:  # noqa: PT011
        coefficient.check("beta", value)
    assert f"an array of shape (); got shape {value.shape}" in str(error.value)
    assert "give a tree" in str(error.value)
    assert "jax.vmap" in str(error.value)


@pytest.mark.parametrize(
    ("schedule", "shown"),
    [
        (lambda count: 1.0 + 0 * count, "gives 1 at count 0"),
        (lambda count: 0.5 - count, "gives -0.5 at count 1"),
        (lambda count: jnp.where(count < 1000, 0.9, 1.0), "gives 1 at count 1[0-9]{3};"),
        (lambda count: jnp.where(count < 5, 0.9, jnp.nan), "gives nan at count 5"),
        (optax.linear_schedule(0.5, 1.0, 100_000), "gives 1 at count 1[0-9]{5};"),
        (lambda count: -1e-3 / (1 + count), "gives -0.001 at count 0"),
    ],
)
def test_a_schedule_that_leaves_the_range_is_refused_with_count_and_value(schedule, shown):
    with pytest.raises(ValueError, match=rf"beta is a schedule that {shown}.*must stay in \[0, 1\)"):
        coefficient.check("beta", schedule)


@pytest.mark.parametrize("steps", [7, 10, 77, 1000])
def test_a_schedule_that_ends_at_zero_up_to_rounding_is_accepted(steps):
    """Compiled in float32, a linear descent to 0 ends at some -1e-9."""
    schedule = optax.linear_schedule(0.3, 0.0, steps)
    for accepted in (coefficient.DECAY, coefficient.NON_NEGATIVE, coefficient.FRACTION):
        assert coefficient.check("learning_rate", schedule, accepted) is schedule


def test_a_schedule_is_a_function_of_one_count_to_one_number():
    with pytest.raises(ValueError, match=r"beta is a function that returns shape \(2,\); a schedule maps a count"):
        coefficient.check("beta", lambda count: jnp.full(2, 0.5))


@pytest.mark.parametrize("returned", [{"a": 0.5}, None, 0.5j, True], ids=["dict", "None", "complex", "bool"])
def test_a_schedule_that_returns_no_real_number_is_refused(returned):
    with pytest.raises(
        (TypeError, ValueError), match=r"beta is a function that returns .*; a schedule maps a count to a"
    ):
        coefficient.check("beta", lambda count: returned)


def test_a_wrong_leaf_of_a_tree_is_named_by_its_path():
    tree = {"w": 0.9, "layers": [0.5, {"deep": 1.5}]}
    with pytest.raises(ValueError, match=r"beta\['layers'\]\[1\]\['deep'\] must be in \[0, 1\); got 1.5"):
        coefficient.check("beta", tree)
    with pytest.raises(TypeError, match=r"beta\['w'\] must be a number .* got 'x' of type str"):
        coefficient.check("beta", {"w": "x"})
    with pytest.raises(ValueError, match=r"beta\['w'\] is a schedule that gives"):
        coefficient.check("beta", {"w": lambda count: 0.0 * count + 2})


def test_none_stands_for_zero_at_every_leaf():
    assert coefficient.check("beta", None) == 0.0
    assert coefficient.check("beta", {"w": None, "b": 0.9}) == {"w": 0.0, "b": 0.9}


def test_the_value_of_a_traced_number_is_never_looked_at():
    @jax.jit
    def build(beta):
        coefficient.check("beta", beta)
        coefficient.check("beta", {"w": beta, "b": lambda count: beta * jnp.minimum(count, 1)})
        return beta

    assert float(build(2.0)) == 2.0  # out of range; only its shape is known
    with pytest.raises(ValueError, match=r"got shape \(2,\)"):
        build(jnp.ones(2))


def test_a_sequence_is_a_list_or_tuple_of_at_least_one():
    assert coefficient.sequence("betas", [0.5, None]) == (0.5, 0.0)
    with pytest.raises(TypeError, match=r"betas must be a sequence of coefficients; got 0\.5"):
        coefficient.sequence("betas", 0.5)
    with pytest.raises(ValueError, match=r"betas must hold at least one coefficient; got \(\)"):
        coefficient.sequence("betas", ())
    with pytest.raises(ValueError, match=r"betas\[1\] must be in \[0, 1\); got 1"):
        coefficient.sequence("betas", (0, 1))


# at, combine, varies, is_zero


def test_schedules_are_called_with_the_count_and_numbers_stay():
    tree = {"w": lambda count: count / 10, "b": 0.5}
    now = coefficient.at(tree, jnp.int32(3))
    assert now["b"] == 0.5
    np.testing.assert_allclose(now["w"], 0.3)


def test_schedules_count_in_float64_under_x64():
    with jax.enable_x64(True):
        value = coefficient.at(lambda count: count / 10, jnp.int32(3))
        assert value.dtype == jnp.float64
        assert float(value) == 0.3


def test_a_schedule_shared_by_leaves_is_called_once():
    calls = []

    def schedule(count):
        calls.append(count)
        return 0.5

    coefficient.at({"w": schedule, "b": [schedule, schedule]}, 0)
    assert len(calls) == 1


def test_combine_computes_with_numbers_schedules_and_trees_alike():
    minus = coefficient.combine(lambda a, b: a - b, 0.75, 0.5)
    assert minus == 0.25
    moving = coefficient.combine(lambda a, b: a - b, lambda count: 1.0 * count, 0.5)
    assert float(coefficient.at(moving, 3)) == 2.5
    tree = coefficient.combine(lambda a, b: a * b, {"w": 2.0, "b": lambda count: 3.0 * count}, 10.0)
    assert tree["w"] == 20.0
    assert float(coefficient.at(tree, 2)["b"]) == 60.0


def test_varies_finds_a_schedule_anywhere():
    assert not coefficient.varies({"w": 0.5, "b": jnp.ones(())})
    assert coefficient.varies({"w": 0.5, "b": [lambda count: count]})


def test_only_what_is_known_to_be_zero_is_zero():
    for value in (0, 0.0, -0.0, np.float32(0), np.array(0.0)):
        assert coefficient.is_zero(value)
    for value in (0.1, jnp.zeros(()), lambda count: 0.0, {"w": 0.0}):
        assert not coefficient.is_zero(value)


# fit and spread


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
    coefficient.fit("beta", betas, params)
    leaves = jax.tree.leaves(params)
    by_shape = {leaf.shape: value for leaf, value in zip(leaves, coefficient.spread(betas, params), strict=True)}
    assert by_shape == {(2,): 0.75, (3,): 0.25}


@pytest.mark.parametrize("betas", [Point(0.75, 0.25), Data(0.75, 0.25), FrozenDict(w=0.75, b=0.25)])
def test_a_tree_of_another_kind_fits_a_plain_dict(betas):
    params = {"w": jnp.ones(2), "b": jnp.ones(3)}
    coefficient.fit("beta", betas, params)
    assert coefficient.spread(betas, params) == [0.25, 0.75]  # a dict's leaves come sorted


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
    coefficient.fit("beta", {"first": 0.5, "blocks": {0: 0.7, 1: {"kernel": 0.8, "bias": 0.9}}}, params)
    with pytest.raises(ValueError, match=r"no value for params\['blocks'\]\[1\]\['bias'\]"):
        coefficient.fit("beta", {"first": 0.5, "blocks": {0: 0.7, 1: {"kernel": 0.8}}}, params)


def test_a_tree_that_does_not_fit_names_what_is_missing_and_what_is_too_much():
    params = {"w": jnp.ones(2), "b": {"deep": jnp.ones(3), "wide": jnp.ones(1)}}
    with pytest.raises(ValueError) as error:  # noqa: PT011
        coefficient.fit("beta", {"b": {"deep": 0.5}, "x": {"y": 0.5}}, params)
    message = str(error.value)
    assert message.startswith("beta is a tree that does not fit the params: ")
    assert "no value for params['b']['wide'], params['w']" in message
    assert "no such leaf for beta['x']['y']" in message
    assert "Accepted: one value for all, or a tree that has the params' structure or is a prefix of it" in message


@pytest.mark.parametrize("values", [0.5, {"w": 0.5, "b": 0.5}, {"w": 0.5, "b": {"deep": 0.5}}])
def test_one_value_a_prefix_and_a_full_tree_fit(values):
    coefficient.fit("beta", values, {"w": jnp.ones(2), "b": {"deep": jnp.ones(3)}})


def test_a_tree_for_the_whole_model_fits_its_masked_parts():
    params = {"w": jnp.ones(2), "b": optax.MaskedNode()}
    coefficient.fit("beta", {"w": 0.5, "b": 0.7}, params)
    coefficient.fit("beta", {"w": 0.5, "b": 0.7}, {"w": optax.MaskedNode(), "b": optax.MaskedNode()})
    assert coefficient.spread({"w": 0.5, "b": 0.7}, params) == [0.5]


def test_a_leaf_without_gradient_keeps_its_place():
    tree = {"a": None, "b": jnp.ones(2)}
    assert coefficient.spread(0.5, tree) == [0.5, 0.5]
    assert coefficient.spread({"a": 0.1, "b": 0.2}, tree) == [0.1, 0.2]


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
    assert coefficient.spread(prefix, tree) == expected_column(prefix, tree)
    coefficient.fit("beta", prefix, tree)


@many
@given(trees_with_prefixes(), st.randoms(use_true_random=False))
def test_a_prefix_that_lacks_a_value_does_not_fit(case, random):
    tree, prefix = case
    tree = jax.tree.map(lambda _: 0.0, tree, is_leaf=coefficient.is_none)  # what is absent needs no value
    node = prefix
    while children(node) is not None and any(children(child) for _, child in children(node)):
        name = random.choice([name for name, child in children(node) if children(child)])
        node = dict(children(node))[name]
    if not isinstance(node, dict):
        return  # only from a dict can a value be taken without moving the others
    node.pop(random.choice(list(node)))
    with pytest.raises(ValueError, match="no value for params"):
        coefficient.fit("beta", prefix, tree)


@many
@given(trees_with_prefixes())
def test_a_memory_moves_where_a_leaf_it_covers_has_a_gradient(case):
    tree, prefix = case
    column = expected_column(prefix, tree)
    gradients = jax.tree.leaves(tree, is_leaf=coefficient.is_none)
    moved = {value for value, g in zip(column, gradients, strict=True) if g is not None}
    memory = jax.tree.map(lambda _: np.float32(5), prefix)
    after = coefficient.advance(lambda m, v: m + v, tree, memory, prefix)
    for value, new in zip(jax.tree.leaves(prefix), jax.tree.leaves(after), strict=True):
        np.testing.assert_allclose(new, 5 + value if value in moved else 5, rtol=1e-6)


def test_advance_keeps_the_dtype_of_the_memory():
    memory = coefficient.stored({"w": 0.5})
    after = coefficient.advance(lambda m, v: m * v, {"w": jnp.ones(2)}, memory, {"w": np.float64(0.5)})
    assert after["w"].dtype == memory["w"].dtype
    assert float(after["w"]) == 0.25


def test_stored_values_are_copies():
    """A state may be donated, and the user's own array must survive that."""
    mine = jnp.float32(0.5)
    kept = coefficient.stored(mine)
    kept.delete()
    assert float(mine) == 0.5
