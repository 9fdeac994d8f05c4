"""What the tests share: a small problem, and the library run on it in float64, NumPy in and NumPy out."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import momentum_optax as mo

STEPS = 30
START = np.array([2.0, 1.0, -1.5, 3.0, -0.5])


def _reflected(eigenvalues: np.ndarray) -> np.ndarray:
    """A symmetric matrix with these eigenvalues and no zero entry."""
    normal = np.arange(1.0, len(eigenvalues) + 1)
    basis = np.eye(len(eigenvalues)) - 2 * np.outer(normal, normal) / (normal @ normal)
    matrix = basis @ np.diag(eigenvalues) @ basis
    return (matrix + matrix.T) / 2


MATRIX = _reflected(np.geomspace(1.0, 10.0, 5))


def linear(x):
    """Gradient of x A x / 2, for NumPy and JAX."""
    return MATRIX @ x


def curved(x):
    """Gradient of x A x / 2 + |x|_4^4 / 40: its curvature changes along the way."""
    return MATRIX @ x + 0.1 * x**3


def split(x) -> dict[str, Any]:
    """The last axis, of size 5, as a tree of two leaves."""
    return {"w": x[..., :3], "b": {"deep": x[..., 3:]}}


def join(tree: Mapping[str, Any]):
    """The inverse of `split`."""
    return jnp.concatenate([tree["w"], tree["b"]["deep"]], -1)


def per_leaf(w, b) -> np.ndarray:
    """What the tree `{"w": w, "b": b}` of coefficients means to a reference that works on vectors."""
    return np.array([w] * 3 + [b] * 2, np.float64)


def moving(value: float) -> Callable[[Any], Any]:
    """A schedule that starts at 3/4 of a value and approaches it; for NumPy and JAX."""
    return lambda count: value * (1 - 0.5 / (2 + count))


def table(values) -> Callable[[Any], Any]:
    """The schedule that reads its values off a list, for JAX; the last one stays."""
    return lambda count: jnp.asarray(values)[jnp.minimum(count, len(values) - 1)]


class Descent(NamedTuple):
    """Row t is after t updates; `answers` are the params to evaluate at, `gradients_at` where gradients were taken."""

    params: np.ndarray
    answers: np.ndarray
    gradients_at: np.ndarray


def _descend(tx, gradient_fn, x0, steps: int, look) -> Descent:
    def here(params, state):
        ahead = look(state, params)
        return Descent(join(params), join(mo.eval_params(state, params, missing="params")), join(ahead)), ahead

    def body(carry, _):
        params, state = carry
        row, ahead = here(params, state)
        updates, state = tx.update(split(gradient_fn(join(ahead))), state, params)
        return (mo.apply_updates(params, updates), state), row

    params = split(x0)
    (params, state), rows = jax.lax.scan(body, (params, tx.init(params)), None, steps)
    return jax.tree.map(lambda many, one: jnp.concatenate([many, one[None]]), rows, here(params, state)[0])


def descend(
    build: Callable[..., Any],
    hyperparameters: Mapping[str, Any],
    gradient_fn=curved,
    x0=START,
    steps: int = STEPS,
    *,
    look=lambda state, params: params,
    traced: bool = False,
) -> Descent:
    """Minimises with `build(**hyperparameters)`, which with `traced` are inputs of the compiled program."""
    with jax.enable_x64(True):

        def run(numbers):
            return _descend(build(**numbers), gradient_fn, jnp.asarray(x0), steps, look)

        out = jax.jit(run)(dict(hyperparameters)) if traced else jax.jit(lambda: run(hyperparameters))()
        return jax.tree.map(np.asarray, out)


def feed(tx, gradients, params=None) -> tuple[Any, Any]:
    """Feeds a stream of gradients (a tree, time first): all updates and all states, in NumPy.

    `params` are a stream too, or None where the transformation needs none.
    """
    with jax.enable_x64(True):

        def body(state, inputs):
            updates, state = tx.update(inputs[0], state, inputs[1])
            return state, (updates, state)

        def run(gradients, params):
            start = jax.tree.map(lambda g: jnp.zeros_like(g[0]), gradients)
            return jax.lax.scan(body, tx.init(start), (gradients, params))[1]

        as_arrays = jax.tree.map(jnp.asarray, (gradients, params))
        return jax.tree.map(np.asarray, jax.jit(run)(*as_arrays))


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    """Reproducible gradients."""
    return np.random.default_rng(seed).standard_normal(shape)


def assert_close(actual, expected, rtol: float = 1e-12) -> None:
    """Agreement at every step, relative to the largest entry of that step."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape
    assert np.all(np.isfinite(expected)), "the reference diverged; choose another problem"
    step = tuple(range(1, expected.ndim))
    error = np.max(np.abs(actual - expected), step) / np.maximum(np.max(np.abs(expected), step), 1e-300)
    assert np.all(error <= rtol), f"relative error {error.max():.2e} at step {error.argmax()}"
