"""Laws about extreme numbers, derivatives and complex leaves."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np

from ._case import Case, is_finite, leaves_under, loop, make_gradients, make_params, run, same

_EXTREMES = {
    "float32": (0.0, 1e-30, 1e15),
    "bfloat16": (0.0, 1e-30, 1e15),
    "float16": (0.0, 6e-8, 65504.0),
}


def finite_stays_finite(case: Case) -> None:
    """Zero, tiny and huge gradients give finite updates and states, in every precision.

    Huge is the largest number of float16. With 8 bits of exponent it is 1e15, for methods square the gradient in
    float32, where 1e30 would be squared to infinity.
    """
    for dtype, sizes in _EXTREMES.items():
        params, tx = make_params(dtype), case.make()
        signs = jax.tree.map(jnp.sign, make_gradients(params))
        compiled = jax.jit(lambda g, tx=tx, params=params: run(tx, params, g))
        for size in sizes:
            updates, state = compiled(jax.tree.map(lambda s, size=size: s * jnp.asarray(size, s.dtype), signs))
            for path, leaf in leaves_under((updates, state)):
                assert is_finite(leaf), f"{dtype} gradients of size {size} give {path} = {leaf}"


def non_finite_is_seen_and_contained(case: Case) -> None:
    """NaN and infinity in one leaf, at first or later, show in its update at once, and reach no other leaf."""
    params = make_params()
    gradients = make_gradients(params, 3)
    tx = case.make()
    expected, _ = loop(tx, params, gradients, 3)
    for bad, step in itertools.product((jnp.nan, jnp.inf), (0, 1)):
        spoiled = {**gradients, "scale": gradients["scale"].at[step].set(bad)}
        updates, _ = loop(tx, params, spoiled, 3)
        seen = updates[step]["scale"]
        assert not is_finite(seen), f"a gradient of {bad} at step {step} gives the update {seen}"
        for i in range(3):
            same(updates[i]["dense"], expected[i]["dense"], f"{bad} in one leaf at step {step} changes another")


def meta_gradients_are_finite(case: Case) -> None:
    """Derivatives of a run with respect to hyperparameters and gradients are finite, also where gradients are 0."""
    params = make_params()

    def objective(hyper, gradients):
        updates, _ = run(case.make(**hyper), params, gradients)
        return sum(jnp.sum(u**2) + jnp.sum(u) for u in jax.tree.leaves(updates))

    derivative = jax.jit(jax.grad(objective, argnums=(0, 1)))
    hyper = {name: jnp.asarray(value, jnp.float32) for name, value in case.hyperparameters.items()}
    gradients = make_gradients(params, 3)
    for where, g in (("random", gradients), ("zero", jax.tree.map(jnp.zeros_like, gradients))):
        for path, leaf in leaves_under(derivative(hyper, g)):
            assert is_finite(leaf), f"at {where} gradients the derivative {path} is {leaf}"


def complex_leaves_work(case: Case) -> None:
    """A real run in a complex leaf stays the same real run; turning everything by a phase turns the updates."""
    tx, params = case.make(), {"w": jnp.asarray([0.5, -1.0, 2.0])}
    gradients = make_gradients(params)
    expected, _ = loop(tx, params, gradients)
    for phase in (1.0, np.exp(0.7j)):
        turned_params, turned = jax.tree.map(lambda x, phase=phase: x * jnp.complex64(phase), (params, gradients))
        updates, state = loop(tx, turned_params, turned)
        for u, e in zip(updates, expected, strict=True):
            assert u["w"].dtype == jnp.complex64, f"updates of a complex64 leaf are {u['w'].dtype}"
            same(jnp.abs(u["w"]), jnp.abs(e["w"]), f"a complex run turned by {phase} has other magnitudes", 1e-5)
            if phase == 1.0:
                same(u["w"].real, e["w"], "a real run in a complex leaf differs", 1e-5)
        assert all(map(is_finite, jax.tree.leaves(state))), "the complex state is not finite"
