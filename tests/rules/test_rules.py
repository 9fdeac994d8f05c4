"""Every rule in every method, wherever a coefficient may stand, and in every company."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from ruled import NAMES, PARAMS, decided, finite, rule, run

import momentum_optax as mo
from momentum_optax import testing
from momentum_optax._rule import dot

MAKERS = {
    "heavy_ball": lambda r: mo.heavy_ball(optax.linear_schedule(0.1, 0.01, 5), r, weight_decay=0.01),
    "nesterov": lambda r: mo.nesterov(0.05, r),
    "qhm": lambda r: mo.qhm(0.1, r, nu=0.7),
    "ema_momentum": lambda r: mo.ema_momentum({"a": 0.1, "c": 0.05}, r),
    "aggmo": lambda r: mo.aggmo(0.05, (0.0, r)),
    "adam": lambda r: mo.rules.build(optax.adam, 0.05, b1=r),
    "sgd": lambda r: mo.rules.build(optax.sgd, 0.05, momentum=r),
    "tree": lambda r: mo.heavy_ball(0.1, {"a": {"w": r, "b": 0.5}, "c": r}),
    "masked": lambda r: optax.masked(mo.heavy_ball(0.1, r), {"a": True, "c": False}),
    "partition": lambda r: optax.partition(
        {"x": mo.heavy_ball(0.1, r), "y": optax.sgd(0.1)}, {"a": {"w": "x", "b": "y"}, "c": "x"}
    ),
    "multi_steps": lambda r: optax.MultiSteps(mo.heavy_ball(0.1, r), 2),
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("maker", MAKERS)
def test_a_rule_decides_in_every_method_and_company(maker, name):
    params, state = run(MAKERS[maker](rule(name)), 6)
    values = np.array(decided(state))
    assert values.size
    assert finite((params, state))
    assert np.all((values >= 0) & (values < 1))
    start = rule(name)
    start = start.rule.start["beta"] if name == "yellowfin" else start.start["beta"]
    assert np.all(values != np.float32(start))
    assert all(v.dtype == jnp.float32 and v.shape == () for v in decided(state))


@pytest.mark.parametrize("name", NAMES)
def test_both_spellings_of_nesterov_are_one_method_under_every_rule(name):
    """Also where a rule looks at steps: the gradient is taken at a point that moves by more than the update."""
    curvatures = jnp.array([1.0, 10.0, 100.0])

    def train(make):
        tx, params = make(0.005, rule(name, **({"rate": 1e-5} if name == "hypergradient" else {}))), jnp.ones(3)

        @jax.jit
        def body(params, state):
            at = mo.lookahead_params(state, params)
            updates, state = tx.update(curvatures * at, state, params, value=curvatures @ at**2 / 2)
            return params + updates, state

        state = tx.init(params)
        for _ in range(20):
            params, state = body(params, state)
        return mo.eval_params(state, params, missing="params"), decided(state)

    with jax.enable_x64(True):
        (theta, betas), (looking, same) = train(mo.nesterov), train(mo.nesterov_lookahead)
        np.testing.assert_allclose(same, betas, rtol=1e-9)
        np.testing.assert_allclose(looking, theta, atol=1e-9)


def test_a_method_that_looks_ahead_lets_leaves_sit_out():
    tx = mo.nesterov_lookahead(0.1, mo.rules.hypergradient(0.1, 0.6))
    g = {"a": {"w": jnp.ones((2, 2)), "b": None}, "c": jnp.ones(())}
    for params in (PARAMS, None):
        state = tx.init(PARAMS)
        for _ in range(3):
            updates, state = tx.update(g, state, params)
        assert updates["a"]["b"] is None
        assert decided(state)[0] > 0.6


@pytest.mark.parametrize(
    "rule",
    [
        mo.rules.alignment(high=1 - 1e-9, decay=0.0),
        mo.rules.hypergradient(1e9, high=1 - 1e-9),
        mo.rules.plateau(high=1 - 1e-9, factor=1e-9, patience=1),
        mo.rules.lipschitz_ratio(1e-9),
    ],
    ids=repr,
)
def test_what_is_decided_stays_below_one_after_rounding(rule):
    tx = mo.heavy_ball(0.1, rule)
    state = tx.init(jnp.ones(2))
    for _ in range(4):
        _, state = tx.update(jnp.ones(2), state, value=1.0)
    assert decided(state)[0] == 1 - jnp.finfo(jnp.float32).epsneg


def test_updates_that_do_not_fit_are_refused_with_the_paths():
    tx = mo.trace(mo.rules.alignment(each_leaf=True))
    state = tx.init(PARAMS)
    with pytest.raises(ValueError, match="updates do not have the structure of the params: there is none for 'c'"):
        tx.update({"a": PARAMS["a"]}, state, PARAMS)
    with pytest.raises(ValueError, match=r"has nothing for 'beta\[a\]'.* pass the params as well"):
        tx.update({"a": None, "c": PARAMS["c"]}, state)
    tx.update({"a": None, "c": PARAMS["c"]}, state, PARAMS)
    with pytest.raises(TypeError, match=r"params\['n'\] has dtype int32"):
        mo.heavy_ball(0.1, mo.rules.hypergradient(0.1)).init({"n": jnp.arange(2)})


def test_inner_products_of_many_leaves_are_one_sum():
    """Added one after the other, those of a thousand leaves take minutes to compile."""
    many = [jnp.full(3, float(i)) for i in range(50)]
    numbers = jax.make_jaxpr(dot)(many, many).eqns
    assert sum(e.primitive.name == "add" for e in numbers) == 0
    np.testing.assert_allclose(dot(many, many), 3 * sum(i**2 for i in range(50)), rtol=1e-6)
    assert dot([], []) == 0
    spoiled = [*many, jnp.array([jnp.nan, 1.0]), jnp.array([jnp.inf])]
    np.testing.assert_allclose(dot(spoiled, spoiled), dot(many, many), rtol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_the_containers_of_flax_and_equinox_hold_the_same(name):
    linear = eqx.nn.Linear(2, 2, key=jax.random.key(0))
    flat = {"bias": linear.bias, "weight": linear.weight}
    as_nnx = nnx.State({k: nnx.Param(v) for k, v in flat.items()})

    tx = mo.heavy_ball(0.1, rule(name))
    plain, state = run(tx, 4, flat)
    module, of_module = run(tx, 4, linear)
    nnx_state, of_nnx = run(tx, 4, as_nnx)
    np.testing.assert_allclose(decided(of_nnx), decided(state), rtol=1e-6)
    np.testing.assert_allclose(jax.tree.leaves(nnx_state)[0], plain["bias"], rtol=1e-6)
    # The fields of a module come in their own order.
    np.testing.assert_allclose(decided(of_module), decided(state), rtol=1e-5)
    np.testing.assert_allclose(module.bias, plain["bias"], rtol=1e-5)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("bad", [jnp.nan, jnp.inf])
def test_a_leaf_gone_wrong_neither_freezes_nor_spoils_the_others(name, bad):
    """Once it has, the others go on as if they were alone, up to what was averaged before."""

    def spoil(g, t):
        return g | {"c": jnp.where(t == 1, bad, g["c"])}

    params, state = run(mo.heavy_ball(0.1, rule(name)), 4, spoil=spoil)
    later_params, later = run(mo.heavy_ball(0.1, rule(name)), 6, spoil=spoil)
    assert finite((params["a"], later_params["a"], state.values, state.rules))
    assert not np.isfinite(later_params["c"])
    assert decided(state) != decided(later)  # still deciding


@pytest.mark.parametrize("name", NAMES)
def test_leaves_without_gradients_sit_out(name):
    """A rule decides from the gradients that there are, and not at all if there are none."""

    def spoil(g, t):
        return g | {"c": None}

    without = {"a": PARAMS["a"]}
    params, state = run(mo.heavy_ball(0.1, rule(name)), 4, spoil=spoil)
    alone, of_alone = run(mo.heavy_ball(0.1, rule(name)), 4, params=without)
    np.testing.assert_allclose(decided(state), decided(of_alone), rtol=1e-6)
    np.testing.assert_allclose(params["a"]["w"], alone["a"]["w"], rtol=1e-6)
    np.testing.assert_array_equal(params["c"], PARAMS["c"])

    tx = mo.heavy_ball(0.1, rule(name))
    none = jax.tree.map(lambda _: None, PARAMS)
    _, after = tx.update(none, state, PARAMS)
    for before, now in zip(jax.tree.leaves(state.rules), jax.tree.leaves(after.rules), strict=True):
        np.testing.assert_array_equal(now, before)


@pytest.mark.parametrize("name", ["alignment", "hypergradient", "lipschitz_ratio"])
def test_groups_of_layerwise_decide_each_for_itself(name):
    """As two methods on the two halves would."""
    one = rule(name)
    tx = mo.heavy_ball(0.1, {"a": one, "c": one})
    params, state = run(tx)
    assert len(state.values) == 2
    for part in ("a", "c"):
        alone, of_alone = run(mo.heavy_ball(0.1, one), params={part: PARAMS[part]})
        np.testing.assert_allclose(state.values[f"beta['{part}']"], of_alone.values["beta"], rtol=1e-6)
        for x, y in zip(jax.tree.leaves(params[part]), jax.tree.leaves(alone), strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-6)


def test_injected_numbers_reach_the_rule():
    def build(rate, start):
        return mo.heavy_ball(0.1, mo.rules.hypergradient(rate, start))

    _, plain = run(build(0.01, 0.6))
    params, injected = run(optax.inject_hyperparams(build)(rate=0.01, start=0.6))
    np.testing.assert_allclose(decided(injected), decided(plain), rtol=1e-6)
    assert finite(params)


@pytest.mark.parametrize("name", NAMES)
def test_low_precision_params_have_exact_rules(name):
    """What is decided, and what that is made of, is in the default float dtype, whatever the params are."""
    low = jax.tree.map(lambda p: p.astype(jnp.bfloat16), PARAMS)
    params, state = run(mo.heavy_ball(0.1, rule(name)), params=low)
    assert {x.dtype for x in jax.tree.leaves((state.values, state.rules, state.kept))} == {jnp.dtype("float32")}
    assert {x.dtype for x in jax.tree.leaves(params)} == {jnp.dtype("bfloat16")}
    _, full = run(mo.heavy_ball(0.1, rule(name)))
    np.testing.assert_allclose(decided(state), decided(full), atol=0.05)


def alignment_of_leaves(low, high):
    return mo.heavy_ball(0.1, mo.rules.alignment(low, high, each_leaf=True))


def hypergradient_of_leaves(rate, start):
    rule = mo.rules.hypergradient(rate, start, each_leaf=True)
    return mo.nesterov(0.1, rule, weight_decay=0.1)


def lipschitz_ratio_of_leaves(learning_rate, delta):
    return mo.heavy_ball(learning_rate, mo.rules.lipschitz_ratio(delta, each_leaf=True))


CASES = [
    testing.Case("alignment", alignment_of_leaves, {"low": 0.5, "high": 0.9}),
    testing.Case("hypergradient", hypergradient_of_leaves, {"rate": 1.0, "start": 0.5}),
    testing.Case("lipschitz_ratio", lipschitz_ratio_of_leaves, {"learning_rate": 0.1, "delta": 0.1}),
]


@pytest.mark.parametrize(
    ("case", "law"),
    [
        pytest.param(case, testing.LAWS[law], id=f"{case.name}-{law}")
        for case in CASES
        for law in ("missing_gradients_sit_out", "masks_and_partitions_work", "non_finite_is_seen_and_contained")
    ],
)
def test_with_a_value_for_each_leaf_the_leaves_are_strangers(case, law):
    """The laws from which the rows of the catalogue, which share one beta, are excepted."""
    law.holds(case)
