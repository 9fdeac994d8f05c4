"""Random trees, shapes, dtypes and coefficients against the recurrences in float64."""

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import momentum_optax as mo
from momentum_optax.testing import _case

SHAPES = [(), (0,), (2,), (3, 2), (0, 3), (1, 1)]
DTYPES = ["float32", "bfloat16", "float16"]
STEPS = 3
relaxed = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])

leaves = st.builds(lambda shape, dtype: jnp.ones(shape, dtype), st.sampled_from(SHAPES), st.sampled_from(DTYPES))
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


SPELLINGS = {
    "float": float,
    "numpy": np.float64,
    "array": lambda x: jnp.asarray(x, jnp.float32),
    "schedule": schedule,
}


@st.composite
def problems(draw):
    """A tree, a coefficient for it, and for each leaf the function of the count that its coefficient is."""
    tree = draw(trees)
    spelling = st.sampled_from(sorted(SPELLINGS))

    def one():
        kind, value = draw(spelling), draw(numbers)
        exact = schedule(value) if kind == "schedule" else lambda count: value
        return SPELLINGS[kind](value), exact

    if draw(st.booleans()):
        coefficient, exact = one()
        return tree, coefficient, [exact] * len(jax.tree.leaves(tree))
    pairs = [one() for _ in jax.tree.leaves(tree)]
    coefficient = jax.tree.unflatten(jax.tree.structure(tree), [pair[0] for pair in pairs])
    return tree, coefficient, [pair[1] for pair in pairs]


def check(tx, tree, exacts, reference):
    """Runs the transformation eagerly and compares each leaf of each update with the reference."""
    rng = np.random.default_rng(0)
    state = tx.init(tree)
    before = _case.types(state)
    histories = [[] for _ in exacts]
    for _ in range(STEPS):
        gradients = jax.tree.map(lambda p: jnp.asarray(rng.normal(size=p.shape), p.dtype), tree)
        updates, state = tx.update(gradients, state, tree)
        assert _case.types(state) == before
        assert _case.types(updates) == _case.types(gradients)
        for history, g, u, exact in zip(
            histories, jax.tree.leaves(gradients), jax.tree.leaves(updates), exacts, strict=True
        ):
            history.append(np.asarray(g, np.float64))
            expected = reference(history, exact)
            tolerance = 8 * float(jnp.finfo(g.dtype).eps)
            np.testing.assert_allclose(np.asarray(u, np.float64), expected, rtol=tolerance, atol=tolerance * 4)


@relaxed
@given(problems())
def test_trace_follows_its_recurrence(problem):
    tree, beta, exacts = problem

    def reference(history, exact):
        velocity = np.zeros_like(history[0])
        for count, g in enumerate(history):
            velocity = exact(count) * velocity + g
        return velocity

    check(mo.trace(beta), tree, exacts, reference)


@relaxed
@given(problems())
def test_debiased_average_is_the_weighted_mean(problem):
    tree, beta, exacts = problem

    def reference(history, exact):
        weights = [
            (1 - exact(i)) * np.prod([exact(j) for j in range(i + 1, len(history))]) for i in range(len(history))
        ]
        return sum(w * g for w, g in zip(weights, history, strict=True)) / sum(weights)

    check(mo.ema(beta), tree, exacts, reference)


@relaxed
@given(problems())
def test_blend_adds_up(problem):
    tree, weight, exacts = problem

    def reference(history, exact):
        return history[-1] + exact(len(history) - 1) * sum(history)

    total = mo.trace(jnp.asarray(1 - 2.0**-24, jnp.float32))  # as good as a plain sum over three steps
    check(mo.blend((1.0, mo.identity()), (weight, total)), tree, exacts, reference)
