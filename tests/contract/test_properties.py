"""Random trees, shapes, dtypes, coefficients and missing gradients against the recurrences in float64."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import momentum_optax as mo
from momentum_optax.testing import _case

SHAPES = [(), (0,), (2,), (3, 2), (0, 3), (1, 1)]
DTYPES = ["float32", "bfloat16", "float16", "float64", "complex64"]
STEPS = 3
relaxed = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])

leaves = st.builds(jax.ShapeDtypeStruct, st.sampled_from(SHAPES), st.sampled_from(list(map(jnp.dtype, DTYPES))))
trees = st.recursive(
    leaves,
    lambda inner: (
        st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
        | st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
    ),
    max_leaves=5,
)
numbers = st.sampled_from([0.0, 0.5, 0.9, 0.99])


def schedule(start):
    return lambda count: start * 0.5 ** (count / 2)


# How a coefficient is written, and the function of the count that it is. A float32 array is .9 up to 2e-8 only.
SPELLINGS = {
    "float": (float, lambda x: lambda count: x),
    "numpy": (np.float64, lambda x: lambda count: x),
    "array": (lambda x: jnp.asarray(x, jnp.float32), lambda x: lambda count: float(np.float32(x))),
    "schedule": (schedule, schedule),
}


@dataclasses.dataclass
class Problem:
    """What to remember: shapes, a coefficient, what it is for each leaf, 64-bit types, and which gradients come."""

    tree: Any
    coefficient: Any
    exacts: list[Callable[[Any], Any]]
    x64: bool
    arrives: list[list[bool]]  # [step][leaf]


@st.composite
def problems(draw, weight_is_shared=False):
    """A problem; with `weight_is_shared` no two leaves that may rest have the same coefficient.

    (The weights that debias belong to the coefficient: of two leaves that share one, both must have seen the same steps
    for the weight to be right for both.)
    """
    tree = draw(trees)
    spelling = st.sampled_from(sorted(SPELLINGS))
    flat, structure = jax.tree.flatten(tree)

    def one():
        (write, exact), value = SPELLINGS[draw(spelling)], draw(numbers)
        return write(value), exact(value)

    x64 = any(leaf.dtype == "float64" for leaf in flat) or draw(st.booleans())
    some_rest = draw(st.booleans())
    arrives = [[not some_rest or draw(st.booleans()) for _ in flat] for _ in range(STEPS)]
    if draw(st.booleans()) and not (weight_is_shared and some_rest):
        coefficient, exact = one()
        return Problem(tree, coefficient, [exact] * len(flat), x64, arrives)
    pairs = [one() for _ in flat]
    return Problem(tree, structure.unflatten([p[0] for p in pairs]), [p[1] for p in pairs], x64, arrives)


def check(build, problem, reference):
    """Runs the transformation eagerly and compares each leaf of each update with the reference.

    `reference(history, exact)` gets one pair `(count, gradient)` for each gradient that the leaf had so far.
    """
    with jax.enable_x64(problem.x64):
        _check(build(problem.coefficient), problem, reference)


def _check(tx, problem, reference):
    rng = np.random.default_rng(0)
    flat, structure = jax.tree.flatten(problem.tree)
    params = jax.tree.map(lambda s: jnp.ones(s.shape, s.dtype), problem.tree)
    state = tx.init(params)
    before = _case.types(state)
    histories = [[] for _ in flat]
    for count, arrives in enumerate(problem.arrives):
        gradients = []
        for s, comes in zip(flat, arrives, strict=True):
            g = rng.normal(size=s.shape)
            if s.dtype == "complex64":
                g = g + 1j * rng.normal(size=s.shape)
            gradients.append(jnp.asarray(g, s.dtype) if comes else None)
        updates, state = tx.update(structure.unflatten(gradients), state, params)
        assert _case.types(state) == before
        assert _case.types(updates) == _case.types(structure.unflatten(gradients))
        for history, g, u, exact in zip(
            histories, gradients, structure.flatten_up_to(updates), problem.exacts, strict=True
        ):
            if g is None:
                continue
            history.append((count, np.asarray(g).astype(np.complex128)))
            expected = reference(history, exact)
            tolerance = 8 * float(jnp.finfo(g.dtype).eps)
            np.testing.assert_allclose(
                np.asarray(u).astype(np.complex128), expected, rtol=tolerance, atol=tolerance * 4
            )


def decaying_sum(history, beta):
    velocity = np.zeros_like(history[0][1])
    for count, g in history:
        velocity = beta(count) * velocity + g
    return velocity


@relaxed
@given(problems())
def test_trace_follows_its_recurrence(problem):
    check(mo.trace, problem, decaying_sum)


@relaxed
@given(problems(weight_is_shared=True))
def test_debiased_average_is_the_weighted_mean(problem):
    def reference(history, exact):
        betas = [exact(count) for count, _ in history]
        weights = [(1 - beta) * np.prod(betas[i + 1 :]) for i, beta in enumerate(betas)]
        return sum(w * g for w, (_, g) in zip(weights, history, strict=True)) / sum(weights)

    check(mo.ema, problem, reference)


@relaxed
@given(problems())
def test_blend_adds_up(problem):
    def reference(history, exact):
        count, g = history[-1]
        return g + exact(count) * decaying_sum(history, lambda _: 0.75)

    check(lambda weight: mo.blend((1.0, mo.identity()), (weight, mo.trace(0.75))), problem, reference)
