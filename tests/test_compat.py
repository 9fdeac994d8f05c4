"""Recorded runs of torch and Keras, replayed without either."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import oracles
import pytest
from helpers import START, STEPS, assert_close, curved, descend, feed, moving, noise, split, table
from peers import load

import momentum_optax as mo

PEERS = {"torch_sgd": mo.compat.torch_sgd, "keras_sgd": mo.compat.keras_sgd}
CASES = [(peer, case) for peer in PEERS for case in load.cases(peer)]


def constant_or_schedule(values):
    return values[0] if len(set(values)) == 1 else table(values)


def replay(build, case, learning_rate, momentum):
    """The library's params from the recorded start, with the gradients of the recorded problem."""
    with jax.enable_x64(True):
        tx = build(learning_rate, momentum, **case.kwargs)
        params, rows = jnp.asarray(case.trajectory[0]), [case.trajectory[0]]
        state, update = tx.init(params), jax.jit(tx.update)
        for _ in case.learning_rates:
            updates, state = update(load.gradient(case.problem, params), state, params)
            params = params + updates
            rows.append(np.asarray(params))
    return rows


@pytest.mark.parametrize(("peer", "case"), CASES, ids=[f"{peer}-{case.name}" for peer, case in CASES])
def test_a_recorded_run_is_replayed_step_by_step(peer, case):
    learning_rate, momentum = constant_or_schedule(case.learning_rates), constant_or_schedule(case.momenta)
    assert_close(replay(PEERS[peer], case, learning_rate, momentum), case.trajectory)


@pytest.mark.parametrize("peer", PEERS)
def test_the_records_cover_each_kind_of_run(peer):
    """Decay, lookahead, changing rates and changing momenta, on both problems; and they are not all alike."""
    cases = list(load.cases(peer))
    assert len(cases) > 20
    for kind in ("quadratic", "rosenbrock"):
        runs = [case for case in cases if case.problem["kind"] == kind]
        assert {case.kwargs.get("nesterov") for case in runs} == {False, True}
        assert any(case.kwargs.get("weight_decay") for case in runs)
        assert any(len(set(case.learning_rates)) > 1 for case in runs)
        assert any(len(set(case.momenta)) > 1 for case in runs)
        ends = np.array([case.trajectory[-1] for case in runs])
        assert len(np.unique(ends.round(9), axis=0)) == len(runs)


def test_the_records_name_the_versions_that_made_them():
    for peer in PEERS:
        head = (Path(load.__file__).parent / f"{peer}.json").read_text()[:200]
        assert '"version": "' in head
        assert '"dtype": "float64"' in head


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize(
    ("build", "reference"),
    [(mo.compat.torch_sgd, oracles.torch_sgd), (mo.compat.keras_sgd, oracles.keras_sgd)],
    ids=["torch", "keras"],
)
def test_traced_numbers_replay_the_peer(build, reference, nesterov):
    ours = descend(
        lambda **numbers: build(**numbers, nesterov=nesterov),
        {"learning_rate": 0.02, "momentum": 0.9, "weight_decay": 0.1},
        traced=True,
    )
    expected = reference(curved, START, STEPS, 0.02, 0.9, nesterov=nesterov, weight_decay=0.1)
    assert_close(ours.params, expected)


@pytest.mark.parametrize("dampening", [0.4, {"w": 0.4, "b": {"deep": 0.4}}])
def test_the_first_gradient_is_not_dampened(dampening):
    run = descend(mo.compat.torch_sgd, {"learning_rate": 0.02, "momentum": 0.9, "dampening": dampening})
    assert_close(run.params, oracles.torch_sgd(curved, START, STEPS, 0.02, 0.9, dampening=0.4))


def test_dampening_by_the_momentum_averages_from_the_first_gradient_on():
    """And so is not `ema_momentum`, which starts at 0."""
    gradients = noise(20, 5)
    ours = feed(mo.compat.torch_sgd(1.0, 0.9, dampening=0.9), gradients)[0]
    average, expected = gradients[0], []
    for count, g in enumerate(gradients):
        average = g if count == 0 else 0.9 * average + 0.1 * g
        expected.append(-average)
    assert_close(ours, expected)


def test_without_momentum_nothing_is_dampened():
    gradients = noise(5, 3)
    np.testing.assert_array_equal(feed(mo.compat.torch_sgd(0.5, 0.0, 0.9), gradients)[0], -0.5 * gradients)


def test_a_number_per_leaf_is_torchs_param_groups():
    gradients = split(noise(12, 5))
    numbers = {"learning_rate": {"w": 0.1, "b": moving(0.2)}, "momentum": {"w": 0.9, "b": 0.0}}
    ours, _ = feed(mo.compat.torch_sgd(**numbers), gradients)
    assert_close(ours["w"], -0.1 * oracles.trace(gradients["w"], 0.9))
    assert_close(ours["b"]["deep"], -moving(0.2)(np.arange(12))[:, None] * gradients["b"]["deep"])


def test_keras_remembers_the_learning_rate_and_torch_does_not():
    rates = moving(0.05)
    torch = descend(mo.compat.torch_sgd, {"learning_rate": rates, "momentum": 0.9}).params
    keras = descend(mo.compat.keras_sgd, {"learning_rate": rates, "momentum": 0.9}).params
    outside, inside = (
        descend(mo.heavy_ball, {"learning_rate": rates, "beta": 0.9, "lr_in_velocity": remembered}).params
        for remembered in (False, True)
    )
    assert_close(torch, outside)
    assert_close(keras, inside)
    assert np.max(np.abs(torch - keras)) > 1e-2


def test_with_constants_both_lookaheads_are_nesterovs_method():
    numbers = {"learning_rate": 0.02, "momentum": 0.9}
    _, ys = oracles.nesterov(curved, START, STEPS, 0.02, 0.9)
    for build in PEERS.values():
        assert_close(descend(lambda b=build, **n: b(**n, nesterov=True), numbers).params, ys)


def test_a_momentum_that_pauses_forgets_here_and_rests_in_torch():
    """The one exception that the docstrings name; it is meant, and shows from the step after the pause on."""
    momentum = [0.9] * 8 + [0.0] * 4 + [0.9] * 18
    ours = descend(mo.compat.torch_sgd, {"learning_rate": 0.02, "momentum": table(momentum)}).params
    torchs = oracles.torch_sgd(curved, START, STEPS, 0.02, lambda count: momentum[count])
    forgetful = oracles.heavy_ball(curved, START, STEPS, 0.02, lambda count: momentum[count])
    assert_close(ours, forgetful)
    assert_close(ours[:13], torchs[:13])
    assert np.max(np.abs(ours[13] - torchs[13])) > 1e-3


@pytest.mark.parametrize(
    "numbers",
    [
        {},
        {"momentum": 0},
        {"momentum": None},
        {"momentum": 0.9, "dampening": 0.1},
        {"momentum": 0.9, "dampening": moving(0.5)},
    ],
)
def test_nesterov_needs_a_momentum_and_no_dampening(numbers):
    with pytest.raises(ValueError, match="nesterov=True needs a momentum and zero dampening; got momentum="):
        mo.compat.torch_sgd(0.1, **numbers, nesterov=True)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: mo.compat.torch_sgd(0.1, 1.0), r"momentum must be in \[0, 1\); got 1.0"),
        (lambda: mo.compat.torch_sgd(0.1, 0.9, -0.1), r"dampening must be in \[0, 1\]; got -0.1"),
        (lambda: mo.compat.torch_sgd(-0.1), "learning_rate must be finite and at least 0; got -0.1"),
        (lambda: mo.compat.torch_sgd(0.1, weight_decay=np.nan), "weight_decay must be finite; got nan"),
        (lambda: mo.compat.keras_sgd(0.1, 1.0), r"momentum must be in \[0, 1\); got 1.0"),
        (lambda: mo.compat.keras_sgd(0.1, weight_decay=np.inf), "weight_decay must be finite; got inf"),
    ],
)
def test_numbers_out_of_range_are_refused_by_their_names(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_defaults_are_those_of_the_frameworks():
    g = jnp.full(2, 3.0)
    plain = mo.compat.torch_sgd(0.1)
    np.testing.assert_allclose(plain.update(g, plain.init(g), g)[0], -0.3, rtol=1e-6)
    keras = mo.compat.keras_sgd()
    np.testing.assert_allclose(keras.update(g, keras.init(g), g)[0], -0.03, rtol=1e-6)


def test_torch_with_constants_is_optax_sgd():
    numbers = {"learning_rate": 0.02, "momentum": 0.9}
    assert_close(descend(mo.compat.torch_sgd, numbers).params, descend(optax.sgd, numbers).params)
