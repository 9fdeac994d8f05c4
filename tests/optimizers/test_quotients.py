"""RMSProp, MADGRAD and M-SVAG against their papers and Optax, and at their limits."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import oracles
import oracles_moments
import pytest
from helpers import START, STEPS, assert_close, curved, descend, feed, linear, moving, noise, per_leaf

import momentum_optax as mo

CASES = {
    "rmsprop": (
        mo.rmsprop,
        oracles_moments.rmsprop,
        {"learning_rate": 0.05, "decay": 0.9, "eps": 1e-3, "momentum": 0.8},
    ),
    "rmsprop, centred": (
        partial(mo.rmsprop, centered=True, initial_scale=0.5),
        partial(oracles_moments.rmsprop, centered=True, initial_scale=0.5),
        {"learning_rate": 0.02, "decay": 0.8, "eps": 0.1, "momentum": 0.5},
    ),
    "rmsprop, torch's eps and debiased": (
        partial(mo.rmsprop, eps_in_sqrt=False, bias_correction=True),
        partial(oracles_moments.rmsprop, eps_in_sqrt=False, bias_correction=True),
        {"learning_rate": 0.05, "decay": 0.9, "eps": 1e-3},
    ),
    "madgrad": (
        mo.madgrad,
        oracles_moments.madgrad,
        {"learning_rate": 0.05, "momentum": 0.9, "eps": 1e-3, "weight_decay": 0.1},
    ),
    "msvag": (mo.msvag, oracles_moments.msvag, {"learning_rate": 0.15, "beta": 0.8}),
}
every_method = pytest.mark.parametrize(("build", "oracle", "numbers"), CASES.values(), ids=CASES)


@every_method
def test_constants_give_the_trajectory_of_the_paper(build, oracle, numbers):
    assert_close(descend(build, numbers).params, oracle(curved, START, STEPS, **numbers))


@every_method
def test_schedules_and_traced_numbers_give_the_trajectory_of_the_paper(build, oracle, numbers):
    moved = {name: moving(value) for name, value in numbers.items()}
    assert_close(descend(build, moved).params, oracle(curved, START, STEPS, **moved))
    assert_close(descend(build, numbers, traced=True).params, oracle(curved, START, STEPS, **numbers))


@every_method
def test_a_number_per_leaf_gives_the_trajectory_of_the_paper(build, oracle, numbers):
    trees = {name: {"b": moving(value), "w": 0.8 * value} for name, value in numbers.items()}
    vectors = {
        name: (lambda count, value=value: per_leaf(0.8 * value, moving(value)(count)))
        for name, value in numbers.items()
    }
    assert_close(descend(build, trees).params, oracle(curved, START, STEPS, **vectors))


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"momentum": 0.9},
        {"momentum": 0.8, "nesterov": True, "centered": True},
        {"eps_in_sqrt": False, "initial_scale": 1.0, "momentum": 0.9, "bias_correction": True},
        {"centered": True, "bias_correction": True, "eps": 1.0},
    ],
)
def test_rmsprop_is_optax(arguments):
    """By position too; the learning rate, which changes, is inside the velocity."""
    ours, theirs = (
        descend(lambda b=build: b(moving(0.02), 0.95, **arguments), {}) for build in (mo.rmsprop, optax.rmsprop)
    )
    assert_close(ours.params, theirs.params, 1e-11)


AHEAD = {
    "all alike": {"decay": 0.9, "momentum": 0.8},
    "schedules": {"decay": moving(0.9), "momentum": moving(0.8)},
    "by leaf": {"decay": {"b": moving(0.9), "w": 0.8}, "momentum": {"b": 0.8, "w": moving(0.9)}},
    "no velocity for some": {"decay": 0.9, "momentum": {"b": 0.8, "w": 0.0}},
}


@pytest.mark.parametrize("numbers", AHEAD.values(), ids=AHEAD)
@pytest.mark.parametrize("centered", [False, True])
@pytest.mark.parametrize("eps_in_sqrt", [False, True])
@pytest.mark.parametrize("bias_correction", [False, True])
def test_rmsprop_that_looks_ahead_from_its_state_is_its_parts(numbers, centered, eps_in_sqrt, bias_correction):
    """`g -> quotient -> step -> velocity, looked ahead along -> decay`; the state is that of plain momentum."""
    options = {"centered": centered, "eps_in_sqrt": eps_in_sqrt, "bias_correction": bias_correction}
    numbers = {"learning_rate": moving(0.02), "eps": moving(1e-2), "weight_decay": moving(0.1), **numbers}

    def parts(learning_rate, decay, eps, momentum, weight_decay):
        return optax.chain(
            mo.scale_by_rmsprop(decay, eps, **options),
            mo.scale_by_learning_rate(learning_rate),
            mo.trace(momentum, nesterov=True),
            mo.add_decayed_weights(lambda count: -learning_rate(count) * weight_decay(count)),
        )

    build = partial(mo.rmsprop, nesterov=True, **options)
    assert_close(descend(build, numbers).params, descend(parts, numbers).params, 1e-11)
    plain = jax.eval_shape(partial(mo.rmsprop, **options)(**numbers).init, {"w": jnp.ones(3), "b": jnp.ones(2)})
    ahead = jax.eval_shape(build(**numbers).init, {"w": jnp.ones(3), "b": jnp.ones(2)})
    assert jax.tree.structure(plain) == jax.tree.structure(ahead)


@pytest.mark.parametrize("decay", [moving(0.9), {"b": 0.0, "w": 0.9}], ids=["schedule", "no memory for some"])
def test_the_direction_of_rmsprop_looks_ahead_too(decay):
    numbers = {"learning_rate": moving(0.02), "decay": decay, "momentum": moving(0.8)}

    def ours(learning_rate, decay, momentum):
        direction = mo.scale_by_rmsprop(decay, momentum=momentum, nesterov=True)
        return optax.chain(direction, mo.scale_by_learning_rate(learning_rate))

    def parts(learning_rate, decay, momentum):
        velocity = mo.trace(momentum, nesterov=True)
        return optax.chain(mo.scale_by_rmsprop(decay), velocity, mo.scale_by_learning_rate(learning_rate))

    assert_close(descend(ours, numbers).params, descend(parts, numbers).params, 1e-11)


def test_rmsprop_without_memory_is_the_sign():
    gradients = noise(5, 3)
    for nothing in (0.0, None):
        updates, states = feed(mo.rmsprop(0.1, nothing, 0.0), gradients)
        assert_close(updates, -0.1 * np.sign(gradients))
        assert all(leaf.shape == (5,) for leaf in jax.tree.leaves(states))


def test_the_direction_of_rmsprop_remembers_no_learning_rate():
    """It is torch's, and with a constant rate the optimizer's."""
    rate = lambda lr: optax.chain(mo.scale_by_rmsprop(momentum=0.9), mo.scale_by_learning_rate(lr))  # noqa: E731
    constant = descend(rate, {"lr": 0.02}).params
    assert_close(constant, descend(partial(mo.rmsprop, momentum=0.9), {"learning_rate": 0.02}).params)
    outside = descend(rate, {"lr": moving(0.02)}).params
    inside = descend(partial(mo.rmsprop, momentum=0.9), {"learning_rate": moving(0.02)}).params
    assert np.max(np.abs(outside - inside)) > 1e-3


@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_madgrad_is_optax_but_for_its_float32_root(momentum):
    numbers = {"learning_rate": 0.05, "momentum": momentum, "weight_decay": 0.1, "eps": 1e-4}
    assert_close(descend(mo.madgrad, numbers).params, descend(optax.contrib.madgrad, numbers).params, 1e-6)


def test_madgrad_is_parts_around_a_start():
    """Without momentum it is where the sum of gradients leads from the start, divided by `cube_root_sum`."""
    scale = lambda count: (0.1 + 1e-3) * (count + 1.0) ** 0.5  # noqa: E731
    params, gradients = START, noise(20, 5)
    ours, _ = feed(mo.madgrad(0.1, 0.0, eps=1e-3), gradients, np.broadcast_to(params * 0, gradients.shape))
    sizes, _ = feed(mo.cube_root_sum(scale, 1e-3), gradients)
    sums = np.cumsum([scale(t) * g for t, g in enumerate(gradients)], 0)
    assert_close(ours, -sums / sizes)


def test_madgrad_without_eps_leaves_what_had_no_gradient():
    updates, _ = feed(mo.madgrad(0.1, eps=0.0), np.zeros((3, 2)), np.zeros((3, 2)))
    np.testing.assert_array_equal(updates, 0.0)


def test_madgrad_has_no_velocity_to_lose():
    """Without its sums it would go back to where it started."""
    tx, params = mo.madgrad(0.1), jnp.ones(3)
    with pytest.raises(ValueError, match="holds no velocity"):
        mo.reset(tx.init(params))
    with pytest.raises(ValueError, match="madgrad needs the params"):
        tx.update(params, tx.init(params))


def test_msvag_is_the_average_where_gradients_agree_and_descent_without_memory():
    constant = np.broadcast_to(noise(5), (20, 5))
    assert_close(feed(mo.msvag(0.1, moving(0.99)), constant)[0], -0.1 * constant, 1e-11)
    gradients = noise(20, 5)
    for nothing in (0.0, None):
        updates, states = feed(mo.msvag(0.1, nothing), gradients)
        assert_close(updates, -0.1 * gradients)
        assert all(leaf.shape == (20,) for leaf in jax.tree.leaves(states))


def test_the_variance_of_an_average_is_that_of_the_authors_formula():
    """For a constant beta; the state keeps the norm of the weights, which holds for all."""
    beta, t = 0.9, np.arange(1, 31)
    _, states = feed(mo.scale_by_msvag(beta), noise(30, 2))
    rho = (1 - beta) * (1 + beta**t) / ((1 + beta) * (1 - beta**t))
    assert_close((states.norm / states.weight) ** 2, rho)


def test_msvag_is_close_to_the_best_multiple_of_its_average():
    """The promise: of all multiples of m, the one nearest to the mean gradient, here by 20,000 coordinates at once."""
    mean, deviation = 1.0, 3.0
    gradients = mean + deviation * noise(40, 20_000)
    shrunk = feed(mo.scale_by_msvag(0.9), gradients)[0][-1]
    average = oracles.ema(gradients, 0.9)[-1]
    rho = np.sum((0.1 * 0.9 ** np.arange(40)) ** 2)
    assert np.mean((shrunk - mean) ** 2) < np.mean((average - mean) ** 2)
    factor = np.mean(shrunk / average)
    assert abs(factor - mean**2 / (mean**2 + rho * deviation**2)) < 0.1


def test_msvag_begins_anew_as_a_whole():
    """Its second moment is of the average that it shrinks, and has the same weight."""
    tx, gradients = mo.scale_by_msvag(0.9), noise(8, 3)
    with jax.enable_x64(True):
        state = tx.init(jnp.zeros(3))
        for g in gradients[:4]:
            _, state = tx.update(jnp.asarray(g), state)
        state, fresh = mo.reset(state), tx.init(jnp.zeros(3))
        for g in gradients[4:]:
            (update, state), (expected, fresh) = (tx.update(jnp.asarray(g), s) for s in (state, fresh))
            np.testing.assert_array_equal(update, expected)


@every_method
def test_real_runs_in_complex_params_stay_real(build, oracle, numbers):
    run = descend(build, numbers, linear, START * np.exp(0.3j)).params
    assert_close(run * np.exp(-0.3j), oracle(linear, START, STEPS, **numbers) + 0j, 1e-11)
