"""The library on quadratics: runs on several curvatures at once, and the matrix of one update."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

import momentum_optax as mo


class Run(NamedTuple):
    """Params and points to evaluate at, both [steps + 1, d]; row 0 is the start."""

    params: np.ndarray
    answers: np.ndarray


def descend(tx, curvatures, steps: int, start=1.0, gradient_fn=None) -> Run:
    """A run on the sum of `curvature * x^2 / 2`, or on what `gradient_fn` is the gradient of."""
    with jax.enable_x64(True):
        curvatures = jnp.asarray(curvatures, jnp.float64)
        gradient = gradient_fn or (lambda x: curvatures * x)

        def body(carry, _):
            x, state = carry
            updates, state = tx.update(gradient(x), state, x)
            x = mo.apply_updates(x, updates)
            return (x, state), (x, mo.eval_params(state, x, missing="params"))

        x = jnp.broadcast_to(jnp.asarray(start, jnp.float64), curvatures.shape)
        xs, answers = jax.jit(lambda x: jax.lax.scan(body, (x, tx.init(x)), None, steps)[1])(x)
        return Run(np.vstack([x[None], xs]), np.vstack([x[None], answers]))


def transition(build: Callable[..., Any], **numbers) -> np.ndarray:
    """The matrix by which one update of `build(curvature=..., **numbers)` maps (params, velocities).

    It is the derivative of the library's own update. Arrays of numbers (of one shape) give a stack of matrices.
    """

    def matrix(curvature, numbers):
        x = jnp.zeros(())
        tx = build(**numbers)
        paths, structure = jax.tree_util.tree_flatten_with_path(tx.init(x))
        is_velocity = [getattr(path[-1], "name", "") == "velocity" for path, _ in paths]
        flat, rebuild = ravel_pytree((x, [leaf for (_, leaf), v in zip(paths, is_velocity, strict=True) if v]))

        def step(vector):
            x, velocities = rebuild(vector)
            rest = iter(velocities)
            state = [next(rest) if v else leaf for (_, leaf), v in zip(paths, is_velocity, strict=True)]
            updates, state = tx.update(curvature * x, structure.unflatten(state), x)
            moved = [leaf for leaf, v in zip(jax.tree.leaves(state), is_velocity, strict=True) if v]
            return ravel_pytree((x + updates, moved))[0]

        return jax.jacobian(step)(flat)

    with jax.enable_x64(True):
        arrays = dict(zip(numbers, np.broadcast_arrays(*numbers.values()), strict=True))
        lanes = {name: jnp.asarray(array.ravel(), float) for name, array in arrays.items()}
        key = (build, *numbers)
        if key not in _programs:
            _programs[key] = jax.jit(
                jax.vmap(lambda n: matrix(n["curvature"], {k: n[k] for k in n if k != "curvature"}))
            )
        stack = np.asarray(_programs[key](lanes))
    return stack.reshape(*next(iter(arrays.values())).shape, *stack.shape[1:])


_programs: dict[Any, Any] = {}


def radius(matrices: np.ndarray) -> np.ndarray:
    """The largest magnitude of an eigenvalue."""
    return np.max(np.abs(np.linalg.eigvals(matrices)), -1)
