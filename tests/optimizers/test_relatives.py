"""Adan, LaProp, both AdEMAMix and Adai: their papers, the peers that are right, and their limits."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import oracles_relatives as oracles
import pytest
from helpers import START, STEPS, assert_close, curved, descend, feed, join, moving, noise, per_leaf, split

import momentum_optax as mo


class Case(NamedTuple):
    """An optimizer, its reference, and numbers at which neither diverges."""

    build: Callable[..., Any]
    oracle: Callable[..., np.ndarray]
    numbers: dict[str, float]


CASES = {
    "adan": Case(
        mo.adan,
        oracles.adan,
        {"learning_rate": 0.05, "b1": 0.9, "b2": 0.8, "b3": 0.95, "eps": 1e-3, "eps_root": 1e-3, "weight_decay": 0.3},
    ),
    "laprop": Case(mo.laprop, oracles.laprop, {"learning_rate": 0.05, "b1": 0.9, "b2": 0.95, "eps": 1e-3}),
    "ademamix": Case(
        mo.ademamix,
        oracles.ademamix,
        {"learning_rate": 0.02, "b1": 0.8, "b2": 0.95, "b3": 0.98, "alpha": 4.0, "eps": 1e-3, "weight_decay": 0.1},
    ),
    "simplified_ademamix": Case(
        mo.simplified_ademamix,
        oracles.simplified_ademamix,
        {"learning_rate": 0.01, "b1": 0.9, "b2": 0.95, "alpha": 3.0, "eps": 1e-3, "weight_decay": 0.1},
    ),
    "adai": Case(mo.adai, oracles.adai, {"learning_rate": 0.05, "b0": 0.2, "b2": 0.9, "eps": 0.03}),
}
every_method = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


@every_method
def test_constants_known_and_traced_give_the_trajectory_of_the_paper(case):
    expected = case.oracle(curved, START, STEPS, **case.numbers)
    for traced in (False, True):
        assert_close(descend(case.build, case.numbers, traced=traced).params, expected)


@every_method
def test_schedules_of_every_number_give_the_trajectory_of_the_paper(case):
    numbers = {name: moving(value) for name, value in case.numbers.items()}
    assert_close(descend(case.build, numbers).params, case.oracle(curved, START, STEPS, **numbers))


@every_method
def test_a_number_per_leaf_gives_the_trajectory_of_the_paper(case):
    trees = {name: {"b": moving(value), "w": 0.8 * value} for name, value in case.numbers.items()}
    vectors = {
        name: (lambda count, value=value: per_leaf(0.8 * value, moving(value)(count)))
        for name, value in case.numbers.items()
    }
    assert_close(descend(case.build, trees).params, case.oracle(curved, START, STEPS, **vectors))


STREAM = {"w": noise(20, 3), "b": noise(20, 2, seed=1)}


def updates_of(tx, gradients=None):
    """The updates [20, 5] of a stream of gradients."""
    updates, _ = feed(tx, STREAM if gradients is None else gradients)
    return np.concatenate([updates["w"], updates["b"]], -1)


def peer_of(tx):
    """The same of a transformation of Optax."""
    return updates_of(optax.with_extra_args_support(tx))


# Adan.


def test_adan_is_optax_adan_where_b2_and_1_minus_b2_are_the_same():
    numbers = {"b1": 0.9, "b2": 0.5, "b3": 0.95, "eps": 1e-4, "eps_root": 1e-5}
    assert_close(updates_of(mo.scale_by_adan(**numbers)), peer_of(optax.scale_by_adan(**numbers)))
    there = peer_of(optax.scale_by_adan(**(numbers | {"b2": 0.92})))
    here = updates_of(mo.scale_by_adan(**(numbers | {"b2": 0.92})))
    assert_close(here[0], there[0])
    assert np.max(np.abs(here - there)) > 0.1  # google-deepmind/optax#1715


def test_adan_that_does_not_look_ahead_is_adam_and_keeps_as_little():
    adam = updates_of(mo.scale_by_adam(0.9, 0.95, 1e-4, 1e-5))
    tx = mo.scale_by_adan(0.9, 0.0, 0.95, 1e-4, 1e-5)
    np.testing.assert_array_equal(updates_of(tx), adam)
    assert jax.tree.structure(tx.init(STREAM)) == jax.tree.structure(mo.scale_by_adam().init(STREAM))
    with jax.enable_x64(True):
        traced = mo.scale_by_adan(0.9, jnp.zeros(()), 0.95, 1e-4, 1e-5)
    assert_close(updates_of(traced), adam)


def test_the_decay_of_adan_is_proximal_and_masked():
    rates, decays = {"w": 0.5, "b": 2.0}, {"w": 3.0, "b": 0.5}
    tx = mo.adan(rates, weight_decay=decays, mask={"w": True, "b": False})
    params = {"w": jnp.array([1.0, -2.0]), "b": jnp.ones(2)}
    updates, _ = tx.update(jax.tree.map(jnp.zeros_like, params), tx.init(params), params)
    np.testing.assert_allclose(params["w"] + updates["w"], params["w"] / (1 + 0.5 * 3.0), rtol=1e-6)
    np.testing.assert_array_equal(updates["b"], 0.0)


def test_the_decay_of_adan_needs_the_params_and_is_not_below_zero():
    with pytest.raises(ValueError, match="weight_decay needs the params"):
        mo.adan(0.1, weight_decay=0.1).update(jnp.ones(2), mo.adan(0.1, weight_decay=0.1).init(jnp.ones(2)))
    with pytest.raises(ValueError, match=r"weight_decay must be finite and at least 0; got -0.1"):
        mo.adan(0.1, weight_decay=-0.1)


# LaProp.


def test_laprop_without_an_average_is_adam_without_one():
    assert_close(updates_of(mo.scale_by_laprop(0.0, 0.9, 1e-8)), peer_of(optax.scale_by_adam(0.0, 0.9, 1e-8)))


def test_laprop_without_a_mean_square_averages_signs():
    signs = {name: np.sign(g) for name, g in STREAM.items()}
    assert_close(updates_of(mo.scale_by_laprop(0.8, 0.0, 0.0)), updates_of(mo.ema(0.8), signs))


def test_laprop_is_bounded_where_adam_is_not():
    """Section 3 of the paper: no update is above 1 / sqrt(1 - b2), at any b1; Adam's need b1 < sqrt(b2)."""
    fading = {"w": 10.0 ** -np.arange(20)[:, None] * np.ones(3), "b": np.ones((20, 2))}
    b1, b2 = 0.99, 0.5
    laprop, adam = (updates_of(f(b1, b2, 1e-100), fading) for f in (mo.scale_by_laprop, mo.scale_by_adam))
    assert np.max(laprop) <= 1 / np.sqrt(1 - b2)
    assert np.max(adam) > 3 / np.sqrt(1 - b2)
    spike = {"w": np.where(np.arange(20)[:, None] == 10, 1e6, 1.0) * np.ones(3), "b": np.ones((20, 2))}
    assert np.max(updates_of(mo.scale_by_laprop(0.0, b2, 0.0), spike)) <= 1 / np.sqrt(1 - b2)


# AdEMAMix.


def test_ademamix_without_the_slow_average_is_adam():
    tx = mo.scale_by_ademamix(0.9, 0.95, 0.99, 0.0, 1e-6, 1e-7)
    np.testing.assert_array_equal(updates_of(tx), updates_of(mo.scale_by_adam(0.9, 0.95, 1e-6, 1e-7)))
    kept = [leaf.shape for leaf in jax.tree.leaves(tx.init(jnp.ones(7))) if leaf.shape == (7,)]
    assert len(kept) == 2


def test_the_slow_average_of_ademamix_is_not_the_faster_one():
    for build in (lambda **n: mo.ademamix(1e-3, **n), mo.scale_by_ademamix):
        with pytest.raises(ValueError, match=r"b1 must be at most b3; got b1=0\.99 and b3=0\.9"):
            build(b1=0.99, b3=0.9)
    mo.ademamix(1e-3, b1=0.99, b3=0.99), mo.ademamix(1e-3, b1=0.99, b3=None)  # as long, and not there


@pytest.mark.parametrize(("name", "few", "many"), [("b1", 0.2, 0.8), ("b2", 0.2, 0.8), ("b3", 0.92, 0.98)])
def test_every_beta_of_ademamix_matters(name, few, many):
    one, other = (updates_of(mo.scale_by_ademamix(**{name: value})) for value in (few, many))
    assert np.max(np.abs(one[2] - other[2])) > 1e-2 * np.max(np.abs(one[2]))


def test_ademamix_is_that_of_optax_also_under_the_schedules():
    schedules = {"b3": mo.schedules.ademamix_b3(0.999, 15, 0.9), "alpha": mo.schedules.ademamix_alpha(5.0, 15)}
    for numbers in ({"b3": 0.999, "alpha": 5.0}, schedules):
        assert_close(
            updates_of(mo.scale_by_ademamix(0.9, 0.99, **numbers)),
            peer_of(optax.contrib.scale_by_ademamix(0.9, 0.99, **numbers)),
        )


def test_the_schedules_of_ademamix_are_those_of_its_authors():
    ours = mo.ademamix(
        0.02, 0.8, 0.95, mo.schedules.ademamix_b3(0.99, 20, 0.8), mo.schedules.ademamix_alpha(4.0, 20), eps=1e-3
    )
    expected = oracles.ademamix(
        curved, START, STEPS, 0.02, 0.8, 0.95,
        lambda count: oracles.ademamix_b3(count + 1, 0.99, 0.8, 20),
        lambda count: oracles.ademamix_alpha(count + 1, 4.0, 20),
        eps=1e-3,
    )  # fmt: skip
    assert_close(descend(lambda: ours, {}).params, expected)


def test_the_dtype_of_the_averages_is_mu_dtype_or_state_dtype():
    params = jnp.ones(3)
    dtypes = lambda **which: [  # noqa: E731
        leaf.dtype.name for leaf in jax.tree.leaves(mo.ademamix(0.1, **which).init(params)) if leaf.shape == (3,)
    ]
    assert dtypes(mu_dtype="bfloat16") == ["bfloat16", "bfloat16", "float32"]
    assert dtypes(state_dtype="bfloat16", mu_dtype="float32") == ["float32", "float32", "bfloat16"]


def test_simplified_ademamix_is_that_of_optax():
    for alpha in (0.0, 7.0):
        assert_close(
            updates_of(mo.scale_by_simplified_ademamix(0.95, 0.9, alpha, 1e-5, 1e-6)),
            peer_of(optax.contrib.scale_by_simplified_ademamix(0.95, 0.9, alpha, 1e-5, 1e-6)),
        )


def test_simplified_ademamix_reduces_to_an_average_and_to_the_gradient():
    average = mo.divide(mo.ema(0.95, debias=False), by=mo.root_mean_square(0.9, 1e-6))
    alone = updates_of(mo.scale_by_simplified_ademamix(0.95, 0.9, 0.0, 1e-6))
    assert_close(alone * (1 - 0.95), updates_of(average))
    gradient = updates_of(mo.scale_by_simplified_ademamix(0.0, 0.9, 4.0, 1e-6))
    assert_close(gradient, 5 * updates_of(mo.scale_by_adam(0.0, 0.9, 1e-6)))


# Adai.


def test_adai_is_an_average_where_all_gradients_have_one_size():
    signs = {name: np.sign(g) for name, g in STREAM.items()}
    assert_close(updates_of(mo.scale_by_adai(0.2, 0.9, 1e-3), signs), updates_of(mo.ema(0.8), signs))


def test_adai_remembers_longest_where_gradients_are_small():
    """A gradient of one sign and a last one of the other: the smaller the size, the less the average turns."""
    sizes = np.array([0.1, 1.0, 2.0])
    stream = np.where(np.arange(20)[:, None] == 19, -1.0, 1.0) * sizes
    updates, _ = feed(mo.scale_by_adai(0.3, 0.99, 1e-3), stream)
    assert np.all(np.diff(updates[-1] / sizes) < 0)
    assert_close(updates[:-1], stream[:-1])


def test_adai_starts_from_rest_at_gradients_of_zero():
    updates, _ = feed(mo.scale_by_adai(), np.array([[0.0, 0.0], [0.0, 0.0], [1.0, 0.0]]))
    np.testing.assert_array_equal(updates[:2], 0.0)
    assert updates[2, 0] > 0.3


def test_adai_takes_its_mean_over_the_leaves_that_have_a_gradient():
    g = {"w": jnp.array([1.0, 3.0]), "b": None}
    tx = mo.scale_by_adai(0.5, 0.9)
    params = {"w": jnp.zeros(2), "b": jnp.zeros(3)}
    state, alone = tx.init(params), tx.init({"w": params["w"]})
    for scale in (1.0, -2.0):
        both, state = tx.update({**g, "w": scale * g["w"]}, state)
        one, alone = tx.update({"w": scale * g["w"]}, alone)
        np.testing.assert_array_equal(both["w"], one["w"])
        assert both["b"] is None


@pytest.mark.parametrize("eps", [0.0, 1.5])
def test_adai_refuses_an_eps_that_is_no_share(eps):
    with pytest.raises(ValueError, match=rf"eps must be in \(0, 1\]; got {eps}"):
        mo.adai(1.0, eps=eps)


# All of them.


@every_method
def test_a_reset_state_begins_anew(case):
    """With the second moments and the counts; Adan alone knows the last gradient."""
    tx = case.build(**case.numbers)
    params = split(jnp.asarray(START, jnp.float32))
    gradients = jax.tree.map(jnp.ones_like, params)
    update = jax.jit(tx.update)
    first, state = update(gradients, tx.init(params), params)
    for _ in range(3):
        _, state = update(jax.tree.map(lambda p: -3 * p, params), state, params)
    if case.build is mo.adan:
        _, state = update(gradients, state, params)
    again, _ = update(gradients, mo.reset(state, second_moments=True, counts=True), params)
    np.testing.assert_allclose(join(again), join(first), rtol=1e-5)
