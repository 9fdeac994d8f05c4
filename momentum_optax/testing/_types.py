"""Laws about dtypes and shapes."""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ._case import Case, make_params, types

_PAIRS = [
    ("bfloat16", "bfloat16"),
    ("bfloat16", "float32"),
    ("float16", "float16"),
    ("float16", "float32"),
    ("float32", "float32"),
]


def _spellings(case: Case, dtype: Any) -> list[tuple[str, dict[str, Any], bool]]:
    """The hyperparameters as Python floats, NumPy scalars and traced arrays."""
    numbers = case.hyperparameters
    return [
        ("Python floats", dict(numbers), False),
        ("NumPy scalars", {k: np.float64(v) for k, v in numbers.items()}, False),
        ("traced arrays", {k: jax.ShapeDtypeStruct((), dtype) for k in numbers}, True),
    ]


def _check(case: Case, params: Any, gradients: Any, hyper_dtype: Any, where: str) -> None:
    for spelling, hyper, traced in _spellings(case, hyper_dtype):

        def step(traced_hyper, p, g, hyper=hyper, traced=traced):
            tx = case.make(**(traced_hyper if traced else hyper))
            state = tx.init(p)
            updates, after = tx.update(g, state, p)
            return state, updates, after

        before, updates, after = jax.eval_shape(step, hyper if traced else {}, params, gradients)
        assert types(after) == types(before), (
            f"{where}, hyperparameters as {spelling}: the state changes its types\nfrom {before}\nto   {after}"
        )
        assert [u.dtype for u in jax.tree.leaves(updates)] == [g.dtype for g in jax.tree.leaves(gradients)], (
            f"{where}, hyperparameters as {spelling}: the updates do not have the dtypes of the gradients: {updates}"
        )


def types_are_a_fixed_point(case: Case) -> None:
    """Updates keep the gradients' dtypes and states keep theirs, in every precision, with every kind of number."""
    for params_dtype, gradients_dtype in _PAIRS:
        params, gradients = make_params(params_dtype), make_params(gradients_dtype)
        _check(case, params, gradients, jnp.float32, f"params {params_dtype}, gradients {gradients_dtype}")
    names = itertools.cycle(["float32", "bfloat16", "float16"])
    mixed = jax.tree.map(lambda p: p.astype(next(names)), make_params())
    _check(case, mixed, mixed, jnp.float32, "params of mixed dtypes")


def types_are_a_fixed_point_in_x64(case: Case) -> None:
    """The same with 64-bit types on: nothing falls to 32 bits, nothing rises to 64."""
    with jax.enable_x64(True):
        for dtype, hyper in itertools.product(("float64", "float32"), ("float64", "float32")):
            params = jax.tree.map(lambda p, dtype=dtype: jnp.asarray(np.asarray(p), dtype), make_params())
            _check(case, params, params, hyper, f"x64, params {dtype}, traced hyperparameters {hyper}")


def init_needs_only_shapes(case: Case) -> None:
    """`init` takes `ShapeDtypeStruct`s, stores arrays only, and gives the same state under `eval_shape` and `jit`."""
    tx, params = case.make(), make_params()
    shapes = jax.tree.map(lambda p: jax.ShapeDtypeStruct(p.shape, p.dtype), params)
    state = tx.init(params)
    for path, leaf in jax.tree_util.tree_flatten_with_path(state, is_leaf=lambda x: x is None)[0]:
        assert isinstance(leaf, jax.Array), f"state{jax.tree_util.keystr(path)} is {leaf!r}, not an array"
    for how, other in (
        ("init of shapes", tx.init(shapes)),
        ("eval_shape(init)", jax.eval_shape(tx.init, shapes)),
        ("jit(init)", jax.jit(tx.init)(params)),
    ):
        assert types(other) == types(state), f"{how} gives {types(other)}, init gives {types(state)}"
