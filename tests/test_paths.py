"""The path of a leaf, and patterns over paths."""

import re
from typing import Any

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
import pytest
from flax import nnx
from flax.core import FrozenDict

from momentum_optax import _paths
from momentum_optax._grouping import is_absent


class Branch(eqx.Module):
    kernel: Any
    bias: Any


class Model(eqx.Module):
    layers: list[Branch]
    head: Any


class Linen(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(1)(nn.Dense(2)(x))


BRANCHES = [{"kernel": jnp.ones(2), "bias": jnp.ones(1)} for _ in range(2)]
EXPECTED = {"head", "layers/0/bias", "layers/0/kernel", "layers/1/bias", "layers/1/kernel"}
TREES = {
    "dict": {"layers": BRANCHES, "head": jnp.ones(())},
    "FrozenDict": FrozenDict({"layers": BRANCHES, "head": jnp.ones(())}),
    "nnx.State": nnx.State(
        {
            "layers": {i: {k: nnx.Param(v) for k, v in branch.items()} for i, branch in enumerate(BRANCHES)},
            "head": nnx.Param(jnp.ones(())),
        }
    ),
    "equinox": Model([Branch(**branch) for branch in BRANCHES], jnp.ones(())),
}


@pytest.mark.parametrize("tree", TREES.values(), ids=TREES)
def test_a_leaf_has_one_path_in_every_container(tree):
    names = _paths.paths(tree)
    assert set(names) == EXPECTED
    by_size = dict(zip(names, (leaf.size for leaf in jax.tree.leaves(tree)), strict=True))
    assert by_size["layers/1/kernel"] == 2
    assert by_size["layers/1/bias"] == by_size["head"] == 1


def test_linen_params_have_the_names_of_their_modules():
    params = Linen().init(jax.random.key(0), jnp.ones(3))["params"]
    assert _paths.paths(params) == ["Dense_0/bias", "Dense_0/kernel", "Dense_1/bias", "Dense_1/kernel"]


def test_a_bare_array_has_the_empty_path():
    assert _paths.paths(jnp.ones(2)) == [""]
    assert _paths.paths({}) == []


def test_what_is_absent_has_a_path_where_it_is_asked_for():
    tree = {"a": None, "b": {"c": optax.MaskedNode(), "d": jnp.ones(1)}}
    assert _paths.paths(tree) == ["b/d"]
    assert _paths.paths(tree, is_absent) == ["a", "b/c", "b/d"]


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("layers", "layers/0/bias", True),  # a branch
        ("layers/0", "layers/0/bias", True),
        ("layers/0", "layers/01/bias", False),
        ("layer", "layers/0/bias", False),
        ("bias", "layers/0/bias", False),  # from the root
        ("*/bias", "layers/0/bias", True),  # through any number of branches
        ("layers/*", "layers/0/bias", True),
        ("layers/?/bias", "layers/0/bias", True),
        ("layers/[12]", "layers/0/bias", False),
        ("LAYERS", "layers/0/bias", False),
        ("*", "", True),
        ("", "", True),
        ("", "head", False),
        ("mlp/~/linear_0", "mlp/~/linear_0/w", True),
        (re.compile("bias"), "layers/0/bias", True),
        (re.compile("^bias"), "layers/0/bias", False),
        (re.compile("layers/0$"), "layers/0/bias", False),  # the path is that of the leaf
        (re.compile("^$"), "", True),
    ],
)
def test_patterns_name_leaves_and_branches(pattern, path, expected):
    assert _paths.matches(pattern, path) is expected


def assign(patterns, paths=("a/w", "a/b", "c"), absent=(False, False, False), default=False):
    return _paths.assign("beta", patterns, paths, absent, default=default)


def test_each_leaf_goes_to_the_one_that_names_it():
    assert assign(["c", "a"]) == [1, 1, 0]
    assert assign(["a/w"], default=True) == [0, -1, -1]
    assert assign(["a", re.compile("^c")]) == [0, 0, 1]


def test_absent_leaves_need_no_pattern_and_excuse_patterns():
    assert assign(["c"], absent=(True, True, False)) == [-1, -1, 0]
    assert assign(["a/w", "a/b", "c"], paths=("a", "c"), absent=(True, False)) == [-1, 2]


@pytest.mark.parametrize(
    ("patterns", "default", "message"),
    [
        (["a", "c", "d"], False, "beta: no leaf is named by 'd'. The leaves are 'a/w', 'a/b', 'c'."),
        (["a", "c", "*/w"], False, "beta: named twice: 'a/w' by 'a' and '*/w'. The"),
        (["a/w"], False, "beta: nothing is said about 'a/b', 'c' (give a default). The"),
        (
            [re.compile("x"), "c", "*"],
            True,
            "no leaf is named by re.compile('x'); named twice: 'c' by 'c' and '*'. The",
        ),
    ],
)
def test_what_does_not_fit_is_named(patterns, default, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        assign(patterns, default=default)


def test_many_paths_are_not_all_listed():
    assert _paths.listed([f"p{i}" for i in range(20)]).endswith("'p11' and 8 more")


@pytest.mark.parametrize("pattern", [1, None, ("a", "b"), b"a"])
def test_only_globs_and_compiled_expressions_are_patterns(pattern):
    with pytest.raises(TypeError, match=r"key must name leaves by a glob .* compiled regular expression; got"):
        _paths.check_pattern("key", pattern)
