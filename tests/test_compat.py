"""Recorded runs of torch and Keras, replayed without either."""

import functools
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
# Of a learning rate, a momentum, and the other arguments; NAdam's momentum is its first beta.
QUOTIENTS = {
    "torch_nadam": lambda lr, m, *, beta2=0.999, **rest: mo.compat.torch_nadam(lr, (m, beta2), **rest),
    "torch_rmsprop": lambda lr, m, **rest: mo.compat.torch_rmsprop(lr, momentum=m, **rest),
    "keras_nadam": mo.compat.keras_nadam,
    "keras_rmsprop": lambda lr, m, **rest: mo.compat.keras_rmsprop(lr, momentum=m, **rest),
}
CASES = [(peer, case) for peer in PEERS for case in load.cases(peer)]
MORE_CASES = [(peer, case) for peer in QUOTIENTS for case in load.cases(peer)]


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


@functools.cache
def one_step(peer, flags):
    """One update for all runs of one structure: their numbers are inputs."""

    def step(rates, momenta, numbers, g, state, params):
        tx = QUOTIENTS[peer](table(rates), table(momenta), **numbers, **dict(flags))
        updates, state = tx.update(g, tx.init(params) if state is None else state, params)
        return params + updates, state

    return jax.jit(step)


@pytest.mark.parametrize(("peer", "case"), MORE_CASES, ids=[f"{peer}-{case.name}" for peer, case in MORE_CASES])
def test_a_recorded_quotient_is_replayed_step_by_step(peer, case):
    flags = tuple((name, value) for name, value in case.kwargs.items() if isinstance(value, bool))
    numbers = {name: value for name, value in case.kwargs.items() if not isinstance(value, bool)}
    step, rows, state = one_step(peer, flags), [case.trajectory[0]], None
    with jax.enable_x64(True):
        tables = jnp.asarray(case.learning_rates), jnp.asarray(case.momenta)
        params = jnp.asarray(case.trajectory[0])
        for _ in case.learning_rates:
            params, state = step(*tables, numbers, load.gradient(case.problem, params), state, params)
            rows.append(np.asarray(params))
    assert_close(rows, case.trajectory)


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


@pytest.mark.parametrize("peer", QUOTIENTS)
def test_the_records_cover_each_argument(peer):
    cases = list(load.cases(peer))
    assert len(cases) >= 24
    for kind in ("quadratic", "rosenbrock"):
        runs = [case for case in cases if case.problem["kind"] == kind]
        for name in {name for case in runs for name in case.kwargs} - {"beta_2", "beta2", "alpha", "rho"}:
            assert len({case.kwargs.get(name) for case in runs}) > 1, name
        assert any(len(set(case.learning_rates)) > 1 for case in runs)
        assert any(len(set(case.momenta)) > 1 for case in runs)
        ends = np.array([case.trajectory[-1] for case in runs])
        # Without a momentum, how fast it grows does not show.
        assert len(np.unique(ends.round(9), axis=0)) >= len(runs) - 1


def test_the_records_name_the_versions_that_made_them():
    for peer in PEERS | QUOTIENTS:
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


@pytest.mark.parametrize("peer", QUOTIENTS)
def test_the_defaults_of_quotients_are_those_of_the_frameworks(peer):
    """The first step from a gradient of 3: by hand, from the frameworks' equations and the defaults in their pages."""
    mu = [beta * (1 - 0.5 * 0.96 ** (t * decay)) for beta in (0.9,) for decay in (0.004, 1.0) for t in (1, 2)]

    def nadam(rate, mu, next_mu, eps):
        return -rate * (next_mu * 0.3 / (1 - mu * next_mu) + 3.0) / (3.0 + eps)

    expected = {
        "torch_nadam": nadam(2e-3, *mu[:2], 1e-8),
        "torch_rmsprop": -1e-2 * 3 / (0.3 + 1e-8),
        "keras_nadam": nadam(1e-3, *mu[2:], 1e-7),
        "keras_rmsprop": -1e-3 * 3 / np.sqrt(0.9 + 1e-7),
    }
    with jax.enable_x64(True):
        tx, g = getattr(mo.compat, peer)(), jnp.full(2, 3.0)
        np.testing.assert_allclose(tx.update(g, tx.init(g), g)[0], expected[peer], rtol=1e-12)


def test_nadam_without_a_schedule_of_momentum_is_optax():
    """torch with an endless momentum decay has a constant mu, and is `optax.nadam`."""
    numbers = {"learning_rate": 0.02, "eps": 1e-3}
    torchs = descend(lambda **n: mo.compat.torch_nadam(**n, momentum_decay=1e6), numbers).params
    assert_close(torchs, descend(optax.nadam, numbers).params)


def test_quotients_take_a_number_for_each_leaf_and_pauses():
    """A coefficient tree is torch's param groups; each leaf is the run of its own numbers."""
    gradients = split(noise(12, 5))
    betas = ({"w": 0.5, "b": moving(0.9)}, {"w": moving(0.9), "b": 0.99})
    ours, _ = feed(mo.compat.torch_nadam({"w": 0.1, "b": 0.2}, betas), gradients)
    for leaf, rate, pair, g in (
        (ours["w"], 0.1, (0.5, moving(0.9)), gradients["w"]),
        (ours["b"]["deep"], 0.2, (moving(0.9), 0.99), gradients["b"]["deep"]),
    ):
        assert_close(leaf, feed(mo.compat.torch_nadam(rate, pair), g)[0])


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: mo.compat.torch_nadam(betas=(0.9,)), "betas must be two coefficients; got 1 of them"),
        (lambda: mo.compat.torch_nadam(betas=(0.9, 1.0)), r"betas\[1\] must be in \[0, 1\); got 1.0"),
        (lambda: mo.compat.torch_nadam(momentum_decay=-1.0), "momentum_decay must be finite and at least 0; got -1.0"),
        (lambda: mo.compat.torch_rmsprop(alpha=1.0), r"alpha must be in \[0, 1\); got 1.0"),
        (lambda: mo.compat.torch_rmsprop(momentum=-0.1), r"momentum must be in \[0, 1\); got -0.1"),
        (lambda: mo.compat.keras_nadam(beta_2=2.0), r"beta_2 must be in \[0, 1\); got 2.0"),
        (lambda: mo.compat.keras_rmsprop(rho=-0.5), r"rho must be in \[0, 1\); got -0.5"),
        (lambda: mo.compat.keras_rmsprop(epsilon=-1e-7), "epsilon must be finite and at least 0; got -1e-07"),
    ],
)
def test_arguments_of_quotients_are_refused_by_the_names_of_the_frameworks(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_nadam_wants_a_sequence_of_betas():
    with pytest.raises(TypeError, match="betas must be a sequence"):
        mo.compat.torch_nadam(0.1, 0.9)
