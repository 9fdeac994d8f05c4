"""One coefficient for each layer, by its depth."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import momentum_optax as mo


def betas(beta, params):
    """What a first gradient of 1, and then of 0, leaves of a trace: the beta of each leaf."""
    tx = mo.trace(beta)
    ones = jax.tree.map(jnp.ones_like, params)
    _, state = tx.update(ones, tx.init(params), params)
    updates, _ = tx.update(jax.tree.map(jnp.zeros_like, params), state, params)
    flat = jax.tree_util.tree_flatten_with_path(nnx.as_pure(updates))[0]
    name = lambda k: str(getattr(k, "key", getattr(k, "idx", None)))  # noqa: E731
    return {"/".join(map(name, path)): float(jnp.ravel(leaf)[0]) for path, leaf in flat}


def assert_betas(beta, params, expected):
    found = betas(beta, params)
    assert found.keys() == expected.keys()
    for path, value in expected.items():
        np.testing.assert_allclose(found[path], value, rtol=1e-6, err_msg=path)


def depth(at):
    return 0.5 * at


@pytest.mark.parametrize("number", [2, 3, 11])
def test_layers_are_in_the_order_of_their_numbers(number):
    params = {f"Dense_{i}": {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)} for i in range(number)}
    at = {f"Dense_{i}/{leaf}": 0.5 * i / (number - 1) for i in range(number) for leaf in ("kernel", "bias")}
    assert_betas(mo.by_depth(depth), params, at)


def test_numbers_count_where_layers_are_and_not_in_the_names_of_leaves():
    params = {"blocks": [{"w1": jnp.ones(1), "w2": jnp.ones(1)}, {"w1": jnp.ones(1)}]}
    assert_betas(mo.by_depth(depth), params, {"blocks/0/w1": 0, "blocks/0/w2": 0, "blocks/1/w1": 0.5})
    assert_betas(mo.by_depth(depth), [jnp.ones(1)] * 3, {"0": 0, "1": 0.25, "2": 0.5})
    assert_betas(mo.by_depth(depth), {"w1": jnp.ones(1), "w2": jnp.ones(1)}, {"w1": 0, "w2": 0.5})


def test_layers_inside_of_layers_are_ordered_by_all_numbers():
    params = {f"stage_{s}": {f"block_{b}": jnp.ones(1) for b in range(2)} for s in range(2)}
    params = {name: {"x": {k: {"w": v} for k, v in stage.items()}} for name, stage in params.items()}
    at = {f"stage_{s}/x/block_{b}/w": 0.5 * (2 * s + b) / 3 for s in range(2) for b in range(2)}
    assert_betas(mo.by_depth(depth), params, at)


def test_an_only_layer_is_the_last():
    assert_betas(mo.by_depth(depth), {"layer_0": {"w": jnp.ones(1)}}, {"layer_0/w": 0.5})
    assert_betas(mo.by_depth(depth, order=["*"]), {"w": jnp.ones(1)}, {"w": 0.5})


def test_order_names_the_parts_and_numbers_order_within():
    params = {"head": jnp.ones(1), "layers": [{"w": jnp.ones(1)} for _ in range(3)], "a": {"embed": jnp.ones(1)}}
    order = [re.compile("embed$"), "layers/*", "head"]
    at = {"a/embed": 0, "layers/0/w": 0.125, "layers/1/w": 0.25, "layers/2/w": 0.375, "head": 0.5}
    assert_betas(mo.by_depth(depth, order), params, at)


def test_nnx_layers():
    model = nnx.Sequential(*(nnx.Linear(2, 2, rngs=nnx.Rngs(0)) for _ in range(3)))
    at = {f"layers/{i}/{leaf}": i / 4 for i in range(3) for leaf in ("bias", "kernel")}
    assert_betas(mo.by_depth(depth), nnx.state(model, nnx.Param), at)


def test_masked_layers_keep_the_depth_of_the_others():
    params = {f"layer_{i}": {"w": jnp.ones(1)} for i in range(3)}
    tx = optax.masked(mo.trace(mo.by_depth(depth)), {"layer_0": {"w": False}, "layer_1": True, "layer_2": True})
    state = tx.init(params)
    for _ in range(2):
        updates, state = tx.update(jax.tree.map(jnp.ones_like, params), state, params)
    values = [float(updates[f"layer_{i}"]["w"][0]) for i in range(3)]
    np.testing.assert_allclose(values, [1, 1.25, 1.5])


def test_a_branch_that_is_masked_as_a_whole_is_no_layer():
    params = {"old": {"layer_0": {"w": jnp.ones(1)}}, "layer_1": {"w": jnp.ones(1)}, "layer_2": {"w": jnp.ones(1)}}
    tx = optax.masked(mo.trace(mo.by_depth(depth)), {"old": False, "layer_1": True, "layer_2": True})
    state = tx.init(params)
    for _ in range(2):
        updates, state = tx.update(jax.tree.map(jnp.ones_like, params), state, params)
    np.testing.assert_allclose([float(updates[f"layer_{i}"]["w"][0]) for i in (1, 2)], [1, 1.5])


def test_a_missing_branch_changes_no_depth_when_the_params_are_there():
    params = {"enc": {f"layer_{i}": {"w": jnp.ones(1)} for i in range(2)}, "layer_2": {"w": jnp.ones(1)}}
    tx = mo.trace(mo.by_depth(depth))
    _, state = tx.update(params, tx.init(params), params)
    updates, after = tx.update({"enc": None, "layer_2": {"w": jnp.zeros(1)}}, state, params)
    np.testing.assert_allclose(updates["layer_2"]["w"], 0.5)
    assert updates["enc"] is None
    assert after.velocity["enc"]["layer_1"]["w"] == 1


def test_schedules_by_depth_are_made_and_tried_once():
    made = []

    def schedule(at):
        made.append(at)
        return optax.linear_schedule(0.5 * at, 0.9, 10)

    params = {f"layer_{i}": {"w": jnp.ones(1)} for i in range(3)}
    tx = mo.heavy_ball(0.1, mo.by_depth(schedule))
    state = tx.init(params)
    velocity = np.zeros(3)
    for count in range(4):
        updates, state = tx.update(params, state)
        velocity = (np.array([0, 0.25, 0.5]) * (1 - count / 10) + 0.9 * count / 10) * velocity + 1
        np.testing.assert_allclose([updates[f"layer_{i}"]["w"][0] for i in range(3)], -0.1 * velocity, rtol=1e-6)
    assert sorted(made) == [0, 0.5, 1]


def test_what_jax_traces_inside_does_not_leak():
    params = {f"layer_{i}": {"w": jnp.ones(1)} for i in range(3)}
    tx = mo.trace(mo.by_depth(lambda at: jnp.sqrt(at) / 2))

    @jax.jit
    def start():
        return tx.init(params)

    _, state = jax.jit(tx.update)(params, start())
    updates, _ = jax.jit(tx.update)(jax.tree.map(jnp.zeros_like, params), state)
    np.testing.assert_allclose([updates[f"layer_{i}"]["w"][0] for i in range(3)], np.sqrt([0, 0.5, 1]) / 2, rtol=1e-6)


def test_betas_by_depth_are_mapped():
    params = {f"layer_{i}": {"w": jnp.ones(1)} for i in range(3)}

    @jax.jit
    @jax.vmap
    def second(last):
        tx = mo.trace(mo.by_depth(lambda at: last * at))
        _, state = tx.update(params, tx.init(params))
        return tx.update(params, state)[0]

    lasts = jnp.array([0.2, 0.8])
    for i, share in enumerate((0, 0.5, 1)):
        np.testing.assert_allclose(second(lasts)[f"layer_{i}"]["w"][:, 0], 1 + lasts * share, rtol=1e-6)


def test_rules_by_depth_have_a_state_for_each_layer():
    params = {f"layer_{i}": {"w": jnp.ones(1), "b": jnp.ones(1)} for i in range(2)}
    tx = mo.heavy_ball(0.1, mo.by_depth(lambda at: mo.rules.alignment(low=0.1 + at / 2, high=0.9)))
    state = tx.init(params)
    assert len(state.rules) == 2
    np.testing.assert_allclose(sorted(map(float, state.values.values())), [0.5, 0.75])
    _, after = tx.update(params, state, params)
    assert jax.tree.structure(after) == jax.tree.structure(state)


@pytest.mark.parametrize(
    ("order", "message"),
    [
        (None, "beta: by_depth finds no number of a layer in 'embed', 'head/w'. Name the layers from the first to the"),
        (["embed", "layer_*"], "nothing is said about 'head/w' (order must name all)"),
        (["embed", "layer_*", "head", "tail"], "no leaf is named by 'tail'"),
        (["embed", "*", "head"], "'embed' by 'embed' and '*'"),
        ([], "nothing is said about"),
    ],
)
def test_what_has_no_depth_is_named(order, message):
    params = {"embed": jnp.ones(1), "layer_0": {"w": jnp.ones(1)}, "head": {"w": jnp.ones(1)}}
    tx = mo.heavy_ball(0.1, mo.by_depth(depth, order))
    with pytest.raises(ValueError, match=re.escape(message)):
        tx.init(params)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.5,), "function must map the depth, from 0 to 1, to a coefficient; got 0.5"),
        ((depth, "layers/*"), "order must be a sequence of globs, from the first part to the last; got 'layers/"),
        ((depth, 3), "order must be a sequence of globs"),
        ((depth, ["a", 3]), "a part of order must name leaves by a glob .* got 3 of type int"),
    ],
)
def test_bad_arguments_are_refused_at_once(arguments, message):
    with pytest.raises(TypeError, match=message):
        mo.by_depth(*arguments)


def test_a_beta_out_of_range_is_refused():
    with pytest.raises(ValueError, match=r"beta\['last'\] must be in \[0, 1\); got 1.2"):
        mo.heavy_ball(0.1, mo.by_depth(lambda at: 1.2 * at))
    inside = mo.heavy_ball(0.1, mo.by_depth(lambda at: 1.2 if at == 0.5 else 0.5))
    with pytest.raises(ValueError, match=r"beta\['layer_1'\] must be in \[0, 1\); got 1.2"):
        inside.init({f"layer_{i}": {"w": jnp.ones(1)} for i in range(3)})


def test_schedules_over_traced_numbers_do_not_leak():
    params = {f"layer_{i}": {"w": jnp.ones(1)} for i in range(3)}

    @jax.jit
    @jax.vmap
    def last(start):
        tx = mo.trace(mo.by_depth(lambda at: lambda count: start * at * (1 + count) / (2 + count)))

        def body(state, _):
            updates, state = tx.update(params, state)
            return state, updates

        return jax.lax.scan(body, tx.init(params), length=2)[1]

    starts = jnp.array([0.3, 0.6])
    for i, share in enumerate((0, 0.5, 1)):
        np.testing.assert_allclose(last(starts)[f"layer_{i}"]["w"][:, 1, 0], 1 + starts * share * 2 / 3, rtol=1e-6)
