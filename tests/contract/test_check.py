"""The laws can fail: what breaks one is told so, by the name of the law."""

import inspect

import jax
import jax.numpy as jnp
import optax
import pytest

import momentum_optax as mo
from momentum_optax import testing


def deaf(learning_rate, beta):
    """Takes numbers and goes its own way."""
    del learning_rate, beta
    return mo.heavy_ball(0.1, 0.9)


def half_deaf(learning_rate, beta):
    del learning_rate
    return mo.heavy_ball(0.1, beta)


def blind_at_first(beta):
    """Its first update is 0, whatever the gradient."""
    velocity = mo.trace(beta)

    def update(updates, state, params=None):
        velocities, new = velocity.update(updates, state, params)
        return jax.tree.map(lambda v: jnp.where(state.count == 0, 0.0, v), velocities), new

    return optax.GradientTransformation(velocity.init, update)


def optax_sgd(learning_rate, beta):
    """Checks no argument, and fails on a missing gradient."""
    return optax.sgd(learning_rate, beta)


def broken_by(build, law):
    """What a law says about a transformation that breaks it."""
    numbers = {name: {"learning_rate": 0.1, "beta": 0.9}[name] for name in inspect.signature(build).parameters}
    case = testing.Case(build.__name__, build, numbers, ("beta",))
    with pytest.raises(Exception) as error:  # noqa: PT011
        testing.LAWS[law].holds(case)
    return str(error.value)


@pytest.mark.parametrize(("build", "name"), [(deaf, "learning_rate"), (half_deaf, "learning_rate")])
def test_a_factory_that_ignores_its_arguments_is_found_out(build, name):
    message = broken_by(build, "injected_hyperparameters_change_nothing")
    assert f"{name} = 0.05 in the place of 0.1 changes nothing" in message


def test_a_decay_that_is_ignored_is_found_out():
    message = broken_by(lambda beta: mo.trace(0.9), "injected_hyperparameters_change_nothing")
    assert "beta = 0.45 in the place of 0.9 changes nothing" in message


def test_a_nan_hidden_at_the_first_step_is_found_out():
    assert "a gradient of nan at step 0" in broken_by(blind_at_first, "non_finite_is_seen_and_contained")


def test_a_missing_gradient_that_is_no_gradient_to_it_is_found_out():
    broken_by(optax_sgd, "missing_gradients_sit_out")


def test_arguments_that_pass_unseen_are_found_out():
    assert "is accepted" in broken_by(optax_sgd, "bad_arguments_are_refused")


def test_check_names_the_laws_that_hold_and_those_that_do_not():
    held = testing.check(mo.identity)
    assert {"finite_stays_finite", "state_is_sharded_as_the_params_are"} <= set(held)
    with pytest.raises(AssertionError, match=r"deaf breaks \d+ of \d+ laws:(.|\n)*beta_matters"):
        testing.check(deaf, {"learning_rate": 0.1, "beta": 0.9}, decays=("beta",))


def test_a_single_device_is_said_at_once_and_blamed_on_no_law(monkeypatch):
    one = jax.devices()[:1]
    monkeypatch.setattr(jax, "devices", lambda *_: one)
    with pytest.raises(RuntimeError, match="need two devices or more"):
        testing.check(mo.identity)
