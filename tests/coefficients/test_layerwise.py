"""One coefficient for each layer, against a loop in NumPy and against Optax's partitions."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from layers import (
    BETAS,
    LAYERWISE,
    SHAPES,
    STEPS,
    STREAMS,
    as_dict,
    assert_rows,
    by_path,
    gradients,
    run,
    trace_in_numpy,
    zeros,
)

import momentum_optax as mo


def test_schedules_may_stand_beside_numbers():
    def rising(count):
        return 0.9 * count / (count + 1)

    beta = mo.layerwise({"embed": None, "layers": rising}, default=0.95)
    betas = {p: rising if p.startswith("layers") else BETAS[p] for p in SHAPES}
    assert_rows(run(mo.trace(beta))[0], trace_in_numpy(betas))


def test_averages_are_debiased_group_by_group():
    rows, state = run(mo.ema(LAYERWISE))
    assert_rows(rows, trace_in_numpy(debias=True))
    weights = by_path(state.weight)
    assert set(weights) == {"embed", "head", "layers/0", "layers/1"}
    for path, beta in {"embed": 0.0, "head": 0.95, "layers/0": 0.5, "layers/1": 0.8}.items():
        np.testing.assert_allclose(weights[path], 1 - beta**STEPS, rtol=1e-5)


def test_a_partition_of_optimizers_gives_the_same_and_takes_a_pass_for_each():
    labels = jax.tree.map(str, as_dict(BETAS.get))
    twin = optax.partition({str(b): optax.sgd(0.1, b) for b in BETAS.values()}, labels)
    assert_rows(run(mo.heavy_ball(0.1, LAYERWISE))[0], run(twin)[0])


def test_a_tree_of_betas_gives_the_same():
    tree = as_dict(BETAS.get)
    assert_rows(run(mo.nesterov(0.1, LAYERWISE))[0], run(mo.nesterov(0.1, tree))[0], rtol=1e-6)


def test_other_coefficients_are_layerwise_too():
    rates = {p: 0.1 * (i + 1) for i, p in enumerate(SHAPES)}
    rate = mo.layerwise(rates)
    rows = run(mo.heavy_ball(rate, LAYERWISE))[0]
    expected = [{p: -rates[p] * v for p, v in row.items()} for row in trace_in_numpy()]
    assert_rows(rows, expected)

    nus = {p: i / 10 for i, p in enumerate(SHAPES)}
    rows = run(mo.qhm(0.1, 0.9, mo.layerwise(nus)))[0]
    average = trace_in_numpy(dict.fromkeys(SHAPES, 0.9), debias=False)
    expected = [
        {p: -0.1 * ((1 - nus[p]) * STREAMS[p][i] + nus[p] * row[p]) for p in SHAPES} for i, row in enumerate(average)
    ]
    assert_rows(rows, expected)


def test_weight_decay_is_layerwise_and_the_mask_is_kept():
    decay = mo.layerwise({"layers": 0.5, "head": 0.25}, default=0.0)
    params = as_dict(lambda path: jnp.ones(SHAPES[path]))
    mask = {"embed": True, "layers": [True, False], "head": True}
    rows = run(mo.heavy_ball(0.1, LAYERWISE, weight_decay=decay, mask=mask), params=params)[0]
    amounts = {"embed": 0.0, "layers/0/kernel": 0.5, "layers/0/bias": 0.5, "layers/1/kernel": 0.0, "head": 0.25}
    assert_rows(rows, [{p: -0.1 * (v + amounts[p]) for p, v in row.items()} for row in trace_in_numpy()])


def test_a_rule_decides_for_its_group_from_its_group():
    rule = mo.rules.alignment(low=0.2, high=0.8, decay=0.5)
    rows, state = run(mo.heavy_ball(0.1, mo.layerwise({"layers": rule}, default=0.95)))
    alone = as_dict(zeros)["layers"]
    tx = mo.heavy_ball(0.1, rule)
    alone_state, expected = tx.init(alone), []
    for step in range(STEPS):
        updates, alone_state = tx.update(gradients(step)["layers"], alone_state, alone)
        expected.append({f"layers/{p}": u for p, u in by_path(updates).items()})
    assert_rows([{p: u for p, u in row.items() if p.startswith("layers")} for row in rows], expected)
    rest = [{p: -0.1 * v for p, v in row.items() if p == "head"} for row in trace_in_numpy()]
    assert_rows([{"head": row["head"]} for row in rows], rest)
    assert list(state.values) == ["beta[layers]"]


def test_missing_gradients_sit_out():
    tx, params = mo.ema(LAYERWISE), as_dict(zeros)
    _, state = tx.update(gradients(0), tx.init(params), params)
    hole = gradients(1)
    hole["layers"][0] = None
    updates, after = tx.update(hole, state, params)
    assert updates["layers"][0] is None
    before, now = by_path(state.velocity), by_path(after.velocity)
    np.testing.assert_array_equal(now["layers/0/kernel"], before["layers/0/kernel"])
    assert np.all(now["layers/1/kernel"] != before["layers/1/kernel"])
    assert by_path(after.weight)["layers/0"] == 0.5
    leaf = gradients(1)
    leaf["layers"][0]["bias"] = None
    updates, after = tx.update(leaf, state)  # a leaf is known by its path, also without the params
    np.testing.assert_array_equal(by_path(after.velocity)["layers/0/bias"], before["layers/0/bias"])
    assert jax.tree.structure(after) == jax.tree.structure(state)


@pytest.mark.parametrize("build", [mo.trace, mo.ema])
def test_empty_trees_and_bare_arrays_work(build):
    tx = build(LAYERWISE)
    assert tx.update({}, tx.init({}))[0] == {}
    bare = build(mo.layerwise({"*": 0.5}))
    updates, _ = bare.update(jnp.ones(2), bare.init(jnp.ones(2)))
    np.testing.assert_array_equal(updates, 1)


@pytest.mark.parametrize(
    ("coefficients", "default", "message"),
    [
        ({"embed": 0.1, "decoder/*": 0.2}, 0.5, "beta: no leaf is named by 'decoder/*'. The leaves are 'embed', "),
        ({"*/kernel": 0.1, "layers/0": 0.2}, 0.5, "'layers/0/kernel' by '*/kernel' and 'layers/0'"),
        ({"layers": 0.1}, "error", "nothing is said about 'embed', 'head' (give a default)"),
    ],
)
def test_what_does_not_fit_is_refused_at_init(coefficients, default, message):
    tx = mo.heavy_ball(0.1, mo.layerwise(coefficients, default=default))
    with pytest.raises(ValueError, match=re.escape(message)):
        tx.init(as_dict(zeros))


@pytest.mark.parametrize(
    ("coefficients", "error", "message"),
    [
        ([("a", 0.1)], TypeError, "mapping from globs"),
        ({}, ValueError, "at least one glob"),
        ({3: 0.1}, TypeError, "a key of layerwise must name leaves .* got 3 of type int"),
        ({"a": {"b": 0.1}}, TypeError, "number, schedule or rule for 'a'; got {'b': 0.1}"),
        ({"a": mo.layerwise({"b": 0.1})}, TypeError, "for 'a'; got layerwise"),
    ],
)
def test_bad_tables_are_refused_at_once(coefficients, error, message):
    with pytest.raises(error, match=message):
        mo.layerwise(coefficients)


@pytest.mark.parametrize(
    ("coefficients", "default", "error", "message"),
    [
        # Values that go by one name would be taken for one value.
        ({"default": 0.0}, 0.9, ValueError, "another name for each group; got \\['default'\\] and 'default'"),
        ({"a": 0.1}, {"b": 0.1}, TypeError, "for 'default'; got {'b': 0.1}"),
        ({"a": 0.1}, mo.layerwise({"b": 0.1}), TypeError, "for 'default'; got layerwise"),
    ],
)
def test_bad_defaults_are_refused_at_once(coefficients, default, error, message):
    with pytest.raises(error, match=message):
        mo.layerwise(coefficients, default)


@pytest.mark.parametrize(
    ("beta", "error", "message"),
    [
        (mo.layerwise({"a": 1.5}, default=0.5), ValueError, r"beta\['a'\] must be in \[0, 1\); got 1.5"),
        (mo.layerwise({"a": 0.5}, default=1.0), ValueError, r"beta\['default'\] must be in \[0, 1\); got 1.0"),
        (mo.layerwise({"a": "b"}), TypeError, r"beta\['a'\] must be a number .* got 'b' of type str"),
        (
            mo.layerwise({"a": lambda count: 1.0 + count}),
            ValueError,
            r"beta\['a'\] is a schedule that gives 1 at count 0",
        ),
        ({"a": mo.layerwise({"b": 0.1})}, TypeError, "beta: layerwise and by_depth stand for a whole coefficient"),
    ],
)
def test_bad_coefficients_are_refused_where_they_are_used(beta, error, message):
    with pytest.raises(error, match=message):
        mo.heavy_ball(0.1, beta)
