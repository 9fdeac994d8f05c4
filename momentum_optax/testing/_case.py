"""A transformation under test, and the small data that the laws feed it."""

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

STEPS = 4


@dataclasses.dataclass(frozen=True)
class Case:
    """What the laws need to know about a transformation.

    Attributes:
      name: for messages.
      build: makes the transformation from the hyperparameters, by keyword.
      hyperparameters: the numbers that `build` takes, at values worth testing.
      decays: names of those that say how much of the past survives, in [0, 1); at 0 the method forgets.
      debiased: whether a constant gradient gives a constant update, whatever the decays do.
      exceptions: names of laws that do not hold, and why.
    """

    name: str
    build: Callable[..., optax.GradientTransformation]
    hyperparameters: Mapping[str, float] = dataclasses.field(default_factory=dict)
    decays: tuple[str, ...] = ()
    debiased: bool = False
    exceptions: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def make(self, **changes: Any) -> optax.GradientTransformationExtraArgs:
        """The transformation, with some hyperparameters changed."""
        return optax.with_extra_args_support(self.build(**{**self.hyperparameters, **changes}))


def make_params(dtype: Any = np.float32) -> dict[str, Any]:
    """A small tree: a matrix and a vector in a branch, a scalar, a leaf of size 0."""
    rng = np.random.default_rng(0)
    return {
        "dense": {
            "kernel": jnp.asarray(rng.normal(size=(3, 2)), dtype),
            "bias": jnp.asarray(rng.normal(size=2), dtype),
        },
        "empty": jnp.zeros((0, 3), dtype),
        "scale": jnp.asarray(0.5, dtype),
    }


def make_gradients(params: Any, steps: int = STEPS, seed: int = 1) -> Any:
    """Gradients shaped like the params with a leading axis of `steps`; no two alike."""
    rng = np.random.default_rng(seed)

    def leaf(p):
        g = rng.normal(size=(steps, *p.shape))
        if jnp.issubdtype(p.dtype, jnp.complexfloating):
            g = g + 1j * rng.normal(size=g.shape)
        return jnp.asarray(g, p.dtype)

    return jax.tree.map(leaf, params)


def at_step(gradients: Any, step: int) -> Any:
    """The gradients of one step."""
    return jax.tree.map(lambda g: g[step], gradients)


def run(tx: optax.GradientTransformation, params: Any, gradients: Any) -> tuple[Any, Any]:
    """Scans over the gradients at fixed params: the updates, stacked, and the last state."""

    def body(state, g):
        updates, state = tx.update(g, state, params)
        return state, updates

    state, updates = jax.lax.scan(body, tx.init(params), gradients)
    return updates, state


def loop(tx: optax.GradientTransformation, params: Any, gradients: Any, steps: int = STEPS) -> tuple[list[Any], Any]:
    """The same without compiling the whole: a list of the updates, and the last state."""
    state, updates = tx.init(params), []
    for step in range(steps):
        u, state = tx.update(at_step(gradients, step), state, params)
        updates.append(u)
    return updates, state


def compiled(tx: optax.GradientTransformation) -> Any:
    """The same with each update compiled, once for all of a `loop`."""
    return tx._replace(update=jax.jit(tx.update))


def types(tree: Any) -> Any:
    """Structure, shapes, dtypes and weak types of a tree, comparable by `==`."""
    leaves, structure = jax.tree.flatten(tree)
    return structure, [(leaf.shape, leaf.dtype, bool(getattr(leaf, "weak_type", False))) for leaf in leaves]


def leaves_under(tree: Any, *names: str) -> Iterator[tuple[str, Any]]:
    """The leaves of a state that belong to the params on a path through all the names."""
    for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
        entries = [getattr(k, "key", getattr(k, "name", None)) for k in path]
        # What belongs to a param may also be kept under its path, as in `values["beta[dense/kernel]"]`.
        keys = {*entries, *(name for k in entries if isinstance(k, str) for name in re.split(r"[\[\]/]", k))}
        if keys.issuperset(names):
            yield jax.tree_util.keystr(path), leaf


def same(actual: Any, expected: Any, what: str, tolerance: float = 1e-6) -> None:
    """Asserts equal structures, dtypes and, up to the tolerance (relative to the largest entry), values."""
    actual_leaves, actual_structure = jax.tree.flatten(actual)
    expected_leaves, expected_structure = jax.tree.flatten(expected)
    assert actual_structure == expected_structure, f"{what}: {actual_structure} instead of {expected_structure}"
    for a, e in zip(actual_leaves, expected_leaves, strict=True):
        assert a.dtype == e.dtype, f"{what}: dtype {a.dtype} instead of {e.dtype}"
        a, e = (np.asarray(x).astype(np.complex128) for x in (a, e))
        scale = np.max(np.abs(e[np.isfinite(e)]), initial=1e-30)
        np.testing.assert_allclose(a, e, rtol=tolerance, atol=tolerance * scale, err_msg=what)


def is_finite(leaf: Any) -> bool:
    """Whether all numbers are finite: asked of NumPy, for which JAX need not compile anything."""
    return bool(np.all(np.isfinite(leaf)))


def largest(tree: Any) -> float:
    """The largest magnitude in a tree."""
    return max((float(np.max(np.abs(leaf), initial=0)) for leaf in jax.tree.leaves(tree)), default=0.0)


def largest_difference(one: Any, other: Any) -> float:
    """The largest magnitude in the difference of two trees of one structure."""
    return largest(jax.tree.map(lambda a, b: np.asarray(a) - np.asarray(b), one, other))


def precision(dtype: Any) -> float:
    """A tolerance for results that differ by the order of a few operations in this dtype."""
    return 16 * float(jnp.finfo(dtype).eps)
