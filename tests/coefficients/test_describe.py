"""The table of leaves and coefficients."""

import re

import jax
import jax.numpy as jnp
import optax
import pytest
from flax import nnx

import momentum_optax as mo

PARAMS = {"embed": jnp.ones(2), "layers": [{"w": jnp.ones(2)}, {"w": jnp.ones(2)}], "scale": jnp.ones(())}


def rows(text):
    return dict(re.split(r"\s{2,}", line, maxsplit=1) for line in text.splitlines())


def test_every_leaf_has_its_value_in_a_column():
    beta = mo.layerwise({"embed": None, "layers/1": optax.linear_schedule(0.5, 0.9, 4), "scale": 0.125}, default=0.9)
    assert mo.describe(beta, PARAMS, count=2).splitlines() == [
        "embed       0",
        "layers/0/w  0.9",
        "layers/1/w  0.7 at count 2",
        "scale       0.125",
    ]


def test_every_kind_of_coefficient_is_described():
    paths = ["embed", "layers/0/w", "layers/1/w", "scale"]
    assert rows(mo.describe(0.9, PARAMS)) == dict.fromkeys(paths, "0.9")
    assert rows(mo.describe(None, PARAMS)) == dict.fromkeys(paths, "0")
    assert rows(mo.describe(jnp.asarray(0.25), PARAMS)) == dict.fromkeys(paths, "0.25")
    assert rows(mo.describe(lambda count: 0.5 * count / 2, PARAMS, count=1)) == dict.fromkeys(paths, "0.25 at count 1")
    tree = {"embed": 0.1, "layers": [0.2, {"w": 0.3}], "scale": 0.4}
    assert list(rows(mo.describe(tree, PARAMS)).values()) == ["0.1", "0.2", "0.3", "0.4"]
    depth = mo.by_depth(lambda at: at / 2, order=["embed", "layers", "scale"])
    assert list(rows(mo.describe(depth, PARAMS)).values()) == ["0", "0.166667", "0.333333", "0.5"]
    rule = mo.layerwise({"embed": mo.rules.alignment(low=0.5, high=0.9)}, default=0)
    assert rows(mo.describe(rule, PARAMS))["embed"] == "rules.alignment(low=0.5, high=0.9)"
    assert rows(mo.describe(mo.rules.alignment(), PARAMS)).keys() == set(paths)


def test_traced_values_are_not_looked_at():
    seen = []
    jax.jit(lambda b: seen.append(mo.describe(mo.layerwise({"embed": b}, default=0.5), PARAMS)) or b)(0.3)
    assert list(rows(seen[0]).values()) == ["traced", "0.5", "0.5", "0.5"]


def test_shapes_are_enough_and_models_of_flax_work():
    shapes = jax.eval_shape(lambda: PARAMS)
    assert mo.describe(0.5, shapes) == mo.describe(0.5, PARAMS)
    model = nnx.Linear(2, 1, rngs=nnx.Rngs(0))
    beta = mo.layerwise({"kernel": 0.5, "bias": 0.25})
    assert rows(mo.describe(beta, nnx.state(model, nnx.Param))) == {"bias": "0.25", "kernel": "0.5"}


def test_absent_leaves_are_left_out_and_a_bare_array_has_a_line():
    params = {"a": optax.MaskedNode(), "b": jnp.ones(1), "c": None}
    assert mo.describe(mo.layerwise({"b": 0.5}), params) == "b  0.5"
    assert mo.describe(0.5, jnp.ones(2)) == "(the params)  0.5"
    assert mo.describe(0.5, {}) == ""


def test_what_does_not_fit_is_named():
    with pytest.raises(ValueError, match=r"no leaf is named by 'decoder'\. The leaves are 'embed', 'layers/0/w'"):
        mo.describe(mo.layerwise({"decoder": 0.5}, default=0.1), PARAMS)
    with pytest.raises(ValueError, match="beta is a tree that does not fit the params: no value for params"):
        mo.describe({"embed": 0.5}, PARAMS)
