"""Rules in the places of coefficients: what they are shown, what becomes of what they decide, and where they go."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import STEPS, curved, join, split

import momentum_optax as mo
from momentum_optax import extend

START = np.array([2.0, 1.0, -1.5, 3.0, -0.5])


class CountState(NamedTuple):
    shown: jax.Array


class Probe(extend.Rule):
    """Decides on `1 / (1 + |g|)` and keeps a number of what it is shown."""

    hears_memory = True

    def __init__(self, show=lambda seen: 0.0, *, each_leaf=False, keeps="nothing", needs_learning_rate=False):
        self.show, self.each_leaf, self.start = show, each_leaf, {"beta": 0.25}
        self.keeps, self.needs_learning_rate = keeps, needs_learning_rate

    def __repr__(self):
        return "Probe()"

    def init(self):
        return CountState(jnp.zeros(()))

    def decide(self, state, seen):
        return {"beta": 1 / (1 + extend.norm(seen.gradients))}, CountState(jnp.asarray(self.show(seen)))


def run(tx, steps=STEPS, start=START, gradient=curved):
    """Params before each update, the states after it."""
    with jax.enable_x64(True):
        params, rows, states = split(jnp.asarray(start)), [], []
        state, update = tx.init(params), jax.jit(tx.update)
        for _ in range(steps):
            rows.append(np.asarray(join(params)))
            updates, state = update(split(gradient(join(params))), state, params)
            params = mo.apply_updates(params, updates)
            states.append(state)
        return np.array(rows), states


def reference(betas_of, steps=STEPS, lr=0.03, start=START):
    """Heavy ball with the beta that a function of the gradient gives for each entry: params, velocities, betas."""
    x, v, rows, velocities, betas = start.copy(), np.zeros(5), [], [], []
    for _ in range(steps):
        g = curved(x)
        beta = betas_of(g)
        rows.append(x)
        velocities.append(v)
        betas.append(beta)
        v = beta * v + g
        x = x - lr * v
    return np.array(rows), np.array(velocities), np.array(betas)


def whole(g):
    return np.full(5, 1 / (1 + np.linalg.norm(g)))


def by_leaf(g):
    return np.repeat([1 / (1 + np.linalg.norm(g[:3])), 1 / (1 + np.linalg.norm(g[3:]))], [3, 2])


def test_a_rule_decides_for_all_leaves_together():
    rows, states = run(mo.heavy_ball(0.03, Probe()))
    expected, _, betas = reference(whole)
    np.testing.assert_allclose(rows, expected, rtol=1e-12)
    np.testing.assert_allclose([s.values["beta"] for s in states], betas[:, 0], rtol=1e-12)


def test_or_for_each_leaf():
    rows, states = run(mo.heavy_ball(0.03, Probe(each_leaf=True)))
    expected, _, betas = reference(by_leaf)
    np.testing.assert_allclose(rows, expected, rtol=1e-12)
    np.testing.assert_allclose([s.values["beta[b/deep]"] for s in states], betas[:, 4], rtol=1e-12)


def test_or_for_a_part_of_the_params_beside_a_number_and_a_schedule():
    mixed = lambda g: np.array([1 / (1 + np.linalg.norm(g[:3]))] * 3 + [0.5] * 2)  # noqa: E731
    expected, _, _ = reference(mixed)
    for beta in ({"w": Probe(), "b": 0.5}, mo.layerwise({"w": Probe(), "b": lambda count: 0.5 + 0 * count})):
        rows, states = run(mo.heavy_ball(0.03, beta))
        np.testing.assert_allclose(rows, expected, rtol=1e-12)
        assert len(states[0].values) == 1


@pytest.mark.parametrize(
    ("tx", "scale"),
    [
        (lambda beta: mo.heavy_ball(0.03, beta), 0.03),
        (lambda beta: mo.heavy_ball(0.03, beta, weight_decay=0.7), 0.03),
        (lambda beta: mo.heavy_ball(0.03, beta, lr_in_velocity=True), 0.03),
        (lambda beta: optax.chain(mo.trace(beta), mo.scale_by_learning_rate(0.03)), 1.0),
    ],
)
def test_a_rule_hears_the_memory_uphill_whatever_the_convention(tx, scale):
    """What the velocity would do alone, by the beta of the last update: `scale * beta * velocity`."""
    gradient = lambda x: np.float64([1.0, -2.0, 3.0, 0.5, 1.0]) + 0 * x  # noqa: E731
    _, states = run(tx(Probe(lambda seen: seen.memory[1][1])), 4, gradient=gradient)
    state = states[-1] if hasattr(states[-1], "rules") else states[-1][0]
    beta = 1 / (1 + np.linalg.norm(gradient(0)))
    velocity = -2.0 * (1 + beta + beta**2)  # after three updates
    np.testing.assert_allclose(state.rules["beta"].shown, scale * beta * velocity, rtol=1e-12)


def test_a_rule_is_shown_the_sensitivity_of_the_last_step():
    """Heavy ball: the derivative of `-lr * (beta * velocity + g)` by beta is `-lr * velocity`."""
    show = lambda seen: seen.kept[1][1]  # noqa: E731
    _, velocities, _ = reference(whole)
    for tx, scale in ((mo.heavy_ball(0.03, Probe(show, keeps="sensitivity")), -0.03),):
        _, states = run(tx)
        shown = [s.rules["beta"].shown for s in states]
        np.testing.assert_allclose(shown[1:], scale * velocities[:-1, 1], rtol=1e-12)
    tx = optax.chain(mo.trace(Probe(show, keeps="sensitivity")), mo.scale_by_learning_rate(0.03))
    _, states = run(tx)  # a filter does not know the learning rate, but that the params go the other way
    np.testing.assert_allclose([s[0].rules["beta"].shown for s in states][1:], -velocities[:-1, 1], rtol=1e-12)


def test_a_rule_is_shown_the_gradients_that_it_keeps():
    _, states = run(mo.heavy_ball(0.03, Probe(lambda seen: seen.kept[1][1], keeps="gradients")))
    rows, _, _ = reference(whole)
    np.testing.assert_allclose([s.rules["beta"].shown for s in states][1:], curved(rows.T).T[:-1, 1], rtol=1e-12)


def test_a_rule_is_shown_the_learning_rate_of_each_leaf():
    schedule = lambda count: 0.01 / (count + 1)  # noqa: E731
    probe = Probe(lambda seen: seen.learning_rates[0], needs_learning_rate=True)
    _, states = run(mo.heavy_ball({"w": 0.02, "b": schedule}, probe), 3)
    np.testing.assert_allclose([s.rules["beta"].shown for s in states], [schedule(i) for i in range(3)], rtol=1e-12)
    with pytest.raises(TypeError, match=r"beta: Probe\(\) needs the learning rate.*trace"):
        mo.trace(probe)


def test_rules_go_into_every_argument_and_one_of_several():
    params = split(jnp.asarray(START))
    for tx, names in (
        (mo.aggmo(0.1, (0.0, 0.5, Probe())), ["betas[2]"]),
        (mo.blend((Probe(), mo.identity()), (1.0, mo.trace(0.5))), ["weights[0]"]),
        (mo.qhm(Probe(), Probe(), Probe(each_leaf=True)), ["beta", "learning_rate", "nu[b/deep]", "nu[w]"]),
        (mo.compat.torch_sgd(0.1, momentum=Probe()), ["momentum"]),
        (mo.rules.build(optax.adam, 0.1, b1=Probe()), ["b1"]),
        (mo.rules.build(optax.sgd, 0.1, Probe()), ["momentum"]),
    ):
        state = tx.init(params)
        updates, after = jax.jit(tx.update)(params, state, params)
        assert sorted(after.values) == names
        assert all(value == pytest.approx(0.25) for value in state.values.values())
        assert jax.tree.structure(updates) == jax.tree.structure(params)


def test_one_rule_in_two_arguments_is_one_rule():
    class Tuner(extend.Rule):
        start = {"learning_rate": 0.5, "beta": 0.0}  # noqa: RUF012

        def decide(self, state, seen):
            del state
            return {"learning_rate": 1 / (1 + seen.count), "beta": 1 - 1 / (1 + seen.count)}, ()

    tuner = Tuner()
    tx = mo.heavy_ball(extend.Output(tuner, "learning_rate"), tuner)
    state = tx.init(jnp.zeros(2))
    assert list(state.rules) == ["learning_rate"]
    for _ in range(4):
        _, state = tx.update(jnp.ones(2), state)
    assert {name: float(value) for name, value in state.values.items()} == {"beta": 0.75, "learning_rate": 0.25}


def test_what_is_not_finite_changes_neither_the_value_nor_the_rule():
    class Broken(Probe):
        def decide(self, state, seen):
            value, state = super().decide(state, seen)
            return jax.tree.map(lambda x: x / jnp.where(seen.count == 1, 0, 1), (value, state))

    tx = mo.heavy_ball(0.1, Broken(lambda seen: 1.0 + seen.count))
    state = tx.init(jnp.ones(2))
    _, first = tx.update(jnp.ones(2), state)
    _, second = tx.update(jnp.ones(2), first)
    assert second.values == first.values
    assert second.rules["beta"].shown == first.rules["beta"].shown == 1


def test_a_leaf_that_is_not_finite_does_not_decide():
    rows = {"a": jnp.array([3.0, jnp.nan]), "b": jnp.array([4.0])}
    tx = mo.heavy_ball(0.1, Probe())
    _, state = tx.update(rows, tx.init(rows))
    assert float(state.values["beta"]) == pytest.approx(1 / 5)


def test_a_rule_that_sees_no_gradient_rests():
    tx, params = mo.heavy_ball(0.1, {"a": Probe(lambda s: 1.0), "b": 0.5}), {"a": jnp.ones(2), "b": jnp.ones(2)}
    state = tx.init(params)
    _, after = tx.update({"a": None, "b": jnp.ones(2)}, state)
    assert after.rules["beta['a']"].shown == 0
    assert after.values == state.values


def test_layerwise_inside_a_tree_and_rules_where_nobody_asks_them_are_refused():
    with pytest.raises(TypeError, match="beta: layerwise and by_depth stand for a whole coefficient"):
        mo.trace({"a": mo.layerwise({"b": 0.5}), "c": 0.5})
    with pytest.raises(TypeError, match=r"beta: Probe\(\) has to see the params or the training first"):
        mo.convert(0.1, Probe(), source="trace", target="ema")
    with pytest.raises(ValueError, match=r"beta\['head'\] must be in \[0, 1\); got 1.5"):
        mo.heavy_ball(0.1, mo.layerwise({"head": 1.5}))


def test_the_hyperparameters_of_a_rule_can_be_swept():
    class Fixed(extend.Rule):
        def __init__(self, value):
            self.value, self.start = value, {"beta": value}

        def decide(self, state, seen):
            del seen
            return {"beta": self.value}, state

    def last(beta):
        tx = mo.heavy_ball(0.1, Fixed(beta))
        state = tx.init(jnp.zeros(2))
        for _ in range(3):
            updates, state = tx.update(jnp.ones(2), state)
        return updates[0]

    betas = np.float32([0.0, 0.5, 0.9])
    np.testing.assert_allclose(jax.jit(jax.vmap(last))(betas), -0.1 * (1 + betas + betas**2), rtol=1e-6)


def test_what_a_rule_keeps_does_not_stay_broken():
    tuner = mo.rules.yellowfin()
    tx, params = mo.heavy_ball(tuner.learning_rate, tuner.beta), jnp.ones(2)
    _, state = tx.update(jnp.array([1.0, jnp.nan]), tx.init(params))
    _, state = tx.update(jnp.array([1.0, 2.0]), state)
    np.testing.assert_allclose(state.kept["learning_rate"], 0.001 * np.array([1 + 0.999, 2.0]), rtol=1e-5)


def test_a_rule_is_no_answer_to_yes_or_no():
    with pytest.raises(TypeError, match="nesterov must be True or False"):
        mo.trace(0.9, nesterov=Probe())


def test_a_rule_in_a_method_of_optax_says_what_to_do_instead():
    tx, params = optax.sgd(0.1, momentum=mo.rules.alignment()), {"w": jnp.ones(2)}
    with pytest.raises(TypeError, match=r"alignment\(.*rules\.build"):
        tx.update(params, tx.init(params), params)


def test_a_misspelled_argument_beside_a_rule_is_named_with_the_method():
    with pytest.raises(TypeError, match=r"heavy_ball.*'bta'"):
        mo.heavy_ball(0.1, bta=mo.rules.alignment())
