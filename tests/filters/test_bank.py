"""A bank of averages: its kernel in closed form, its limits, and the betas and weights that are made for it."""

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
from helpers import assert_close, feed, moving, noise

import momentum_optax as mo

BETAS, WEIGHTS = (0.0, 0.5, 0.9, 0.99), (0.1, -0.4, 0.8, 0.5)
STREAM = noise(40, 5)


def kernel(tx, length=60):
    """How the gradient of k steps ago counts, for k = 0, 1, ...: the response to a single gradient of 1."""
    return feed(tx, np.eye(length, 1)[:, 0])[0]


def test_the_kernel_is_the_sum_of_exponentials():
    ages = np.arange(60)
    expected = sum(w * (1 - b) * b**ages for b, w in zip(BETAS, WEIGHTS, strict=True))
    np.testing.assert_allclose(kernel(mo.bank(BETAS, WEIGHTS, debias=False)), expected, rtol=1e-12, atol=1e-14)
    debiased = sum(w * (1 - b) * b**ages / (1 - b ** (ages + 1)) for b, w in zip(BETAS, WEIGHTS, strict=True))
    np.testing.assert_allclose(kernel(mo.bank(BETAS, WEIGHTS)), debiased, rtol=1e-12, atol=1e-14)


def test_a_bank_of_one_is_an_average():
    for debias in (True, False):
        one, average = mo.bank([0.9], debias=debias), mo.ema(0.9, debias=debias)
        np.testing.assert_array_equal(feed(one, STREAM)[0], feed(average, STREAM)[0])


def test_without_weights_it_is_the_mean():
    np.testing.assert_array_equal(feed(mo.bank(BETAS), STREAM)[0], feed(mo.bank(BETAS, (0.25,) * 4), STREAM)[0])


def test_betas_and_weights_may_be_scheduled_and_differ_by_leaf():
    stream = {"w": STREAM[:, :3], "b": {"deep": STREAM[:, 3:]}}
    tx = mo.bank([moving(0.9), {"w": 0.5, "b": moving(0.99)}], [{"w": 2.0, "b": moving(-1.0)}, moving(0.7)])
    updates, _ = feed(tx, stream)
    count = np.arange(40)[:, None]
    for out, g, beta, weight in (
        (updates["w"], stream["w"], 0.5, 2.0),
        (updates["b"]["deep"], stream["b"]["deep"], moving(0.99), moving(-1.0)(count)),
    ):
        assert_close(out, weight * oracles.ema(g, moving(0.9)) + moving(0.7)(count) * oracles.ema(g, beta))


def test_a_constant_gradient_gives_itself_while_weights_are_annealed():
    betas = mo.log_spaced_betas(5, 1, 100)
    updates, _ = feed(mo.bank(betas, mo.mean_age_weights(betas, 40, 3, 20, begin=5)), np.full(40, 1.5))
    np.testing.assert_allclose(updates, 1.5, rtol=1e-12)


def test_what_is_known_to_be_zero_is_not_kept():
    state = mo.bank((0.0, 0.9, 0.99), (1.0, 0.0, 2.0)).init(jnp.ones(7))
    assert sum(leaf.shape == (7,) for leaf in jax.tree.leaves(state)) == 1


def test_layers_may_have_their_own_betas_and_a_rule_may_decide():
    tx = mo.bank([mo.layerwise({"w": 0.5}, default=0.9), 0.99], [mo.rules.alignment(0.2, 0.4), 1.0])
    updates, _ = feed(tx, {"w": STREAM[:, :3], "b": STREAM[:, 3:]})
    assert np.all(np.isfinite(updates["w"]))
    bare, _ = feed(mo.bank([0.5, 0.99], [0.0, 1.0]), STREAM[:, :3])
    assert np.max(np.abs(updates["w"] - bare)) > 0.05


def test_velocities_can_be_reset():
    tx = mo.bank((0.5, 0.9))
    state = tx.init(jnp.zeros(3))
    _, state = tx.update(jnp.ones(3), state)
    fresh, _ = tx.update(jnp.full(3, 2.0), mo.reset(state))
    np.testing.assert_allclose(fresh, 2.0, rtol=1e-6)


@pytest.mark.parametrize(
    ("betas", "weights", "kind", "message"),
    [
        ((), (), ValueError, "betas must hold at least one"),
        (0.9, (), TypeError, "betas must be a sequence"),
        ((0.9, 1.0), (), ValueError, r"betas\[1\] must be in \[0, 1\); got 1.0"),
        ((0.9, 0.5), (1.0,), ValueError, "weights must be as many as betas, or none; got 1 weights and 2 betas"),
        ((0.9,), 1.0, TypeError, "weights must be a sequence"),
        ((0.9,), (np.inf,), ValueError, r"weights\[0\] must be finite"),
    ],
)
def test_bad_banks_are_refused(betas, weights, kind, message):
    with pytest.raises(kind, match=message):
        mo.bank(betas, weights)


def test_a_tree_that_does_not_fit_is_named():
    with pytest.raises(ValueError, match=r"betas\[1\] is a tree that does not fit"):
        mo.bank((0.9, {"nonsense": 0.5})).init({"w": jnp.ones(2)})


# Betas and weights.


def mean_age(betas, weights):
    return sum(w * b / (1 - b) for w, b in zip(weights, betas, strict=True)) / sum(weights)


def test_mean_ages_go_by_equal_factors():
    betas = np.array(mo.log_spaced_betas(7, 0.5, 500))
    ages = betas / (1 - betas)
    np.testing.assert_allclose(ages[[0, -1]], [0.5, 500], rtol=1e-12)
    np.testing.assert_allclose(ages[1:] / ages[:-1], 1000 ** (1 / 6), rtol=1e-11)


@pytest.mark.parametrize("age", [1, 2.5, 26, 58, 999, 1000])
def test_weights_have_the_mean_age_and_are_powers(age):
    betas = mo.log_spaced_betas(8, 1, 1000)
    weights = np.array(mo.mean_age_weights(betas, age))
    np.testing.assert_allclose([weights.sum(), mean_age(betas, weights)], [1, age], rtol=1e-9)
    if 1 < age < 1000:
        ratios = weights[1:] / weights[:-1]
        np.testing.assert_allclose(ratios, ratios[0], rtol=1e-9)


def test_the_mean_age_is_that_of_the_kernel():
    betas = mo.log_spaced_betas(4, 1, 10)
    response = kernel(mo.bank(betas, mo.mean_age_weights(betas, 4.2), debias=False), 600)
    np.testing.assert_allclose(response @ np.arange(600), 4.2, rtol=1e-9)


def test_a_bank_follows_a_power_law_that_no_average_follows():
    """age^-1.5 over two decades, within a tenth; an exponential is off by a factor of twenty."""
    betas = mo.log_spaced_betas(12, 0.5, 5000)
    ages = np.geomspace(10, 1000, 40)
    kernels = np.array([(1 - b) * b**ages for b in betas])
    weights = np.array([(b / (1 - b)) ** -0.5 for b in betas])
    ratio = (weights @ kernels) * ages**1.5
    assert ratio.max() / ratio.min() < 1.1
    single = kernels * ages**1.5
    assert np.min(single.max(1) / np.maximum(single.min(1), 1e-300)) > 20


def test_annealed_weights_go_along_a_line():
    betas = mo.log_spaced_betas(6, 1, 300)
    weights = mo.mean_age_weights(betas, 50, 22, 100, begin=10)
    with jax.enable_x64(True):
        ages = [mean_age(betas, [float(w(count)) for w in weights]) for count in (0, 10, 60, 110, 10**6)]
    np.testing.assert_allclose(ages, [50, 50, 36, 22, 22], rtol=1e-9)


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: mo.log_spaced_betas(1, 1, 10), ValueError, "number must be an integer of at least 2; got 1"),
        (lambda: mo.log_spaced_betas(2.0, 1, 10), TypeError, "number must be an integer"),
        (lambda: mo.log_spaced_betas(3, 0, 10), ValueError, "shortest must be finite and above 0; got 0"),
        (lambda: mo.log_spaced_betas(3, 10, 10), ValueError, "longest must be above shortest, 10; got 10"),
        (lambda: mo.mean_age_weights((0.5, 0.9), 20), ValueError, "age must be between .* 1 and 9; got 20"),
        (lambda: mo.mean_age_weights((0.5, 0.9), 2, 0.5, 10), ValueError, "end must be between"),
        (lambda: mo.mean_age_weights((0.5, 0.9), 2, 3), ValueError, "end and steps go together"),
        (lambda: mo.mean_age_weights(0.9, 2), TypeError, "betas must be a list or tuple"),
        (lambda: mo.mean_age_weights((0.0, 0.9), 2), ValueError, r"betas\[0\] must be in \(0, 1\); got 0.0"),
    ],
)
def test_bad_numbers_are_refused(call, kind, message):
    with pytest.raises(kind, match=message):
        call()
