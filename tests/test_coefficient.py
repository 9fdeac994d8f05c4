"""What a hyperparameter may be, and how it becomes a number per leaf."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

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


@pytest.mark.parametrize("kind", [jnp.float16, jnp.bfloat16, np.float16, np.float64, jnp.float32, float])
def test_constants_of_every_kind_are_the_same_when_compiled(kind):
    tree = {"a": kind(0.5), "b": 0.25}
    compiled = jax.jit(lambda count: coefficient.at(tree, count))(jnp.int32(3))
    assert jax.tree.map(float, compiled) == {"a": 0.5, "b": 0.25}


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


def test_stored_values_are_copies():
    """A state may be donated, and the user's own array must survive that."""
    mine = jnp.float32(0.5)
    kept = coefficient.stored(mine)
    kept.delete()
    assert float(mine) == 0.5


@pytest.mark.parametrize("one", [np.uint8(1), np.array(1, np.int8), jnp.uint32(1), True + 0])
def test_an_integer_is_a_number_and_not_arithmetic_modulo_its_size(one):
    """The negative of an unsigned 1 is 255, and the square of a narrow 100 is 16."""
    tx = mo.heavy_ball(one, beta=0.5)
    update, _ = tx.update(jnp.ones(2), tx.init(jnp.ones(2)))
    np.testing.assert_array_equal(update, [-1.0, -1.0])
    tx = mo.pnm(1.0, beta=0.0, beta0=np.int8(100))
    update, _ = tx.update(jnp.ones(2), tx.init(jnp.ones(2)))
    np.testing.assert_allclose(update, -101 / np.sqrt(101.0**2 + 100.0**2), rtol=1e-6)
