"""What all schedules share: any count, any number traced, a value in [0, 1), errors that name the argument."""

import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import momentum_optax as mo
from momentum_optax import _coefficient as coefficient
from momentum_optax import schedules


def _beta_of_warm_restarts(period, t_mult, beta, end_beta):
    return schedules.warm_restarts(0.1, period, t_mult=t_mult, beta=beta, end_beta=end_beta).beta


def _piecewise(first, last, boundary):
    return schedules.piecewise([first, schedules.linear(0.1, last, 20)], [boundary])


def _batch_ramp(tokens):
    return schedules.from_half_life(tokens, lambda count: 10 + 2 * count)


def _rescaled(k):
    return schedules.rescale_beta(schedules.demon(0.9, 50), k)


# A schedule of numbers, and two sets of numbers for it.
EVERY = {
    # A weight, here one below 1.
    "ademamix_alpha": (schedules.ademamix_alpha, {"alpha": (0.5, 0.9), "steps": (30.0, 50.0)}),
    "ademamix_b3": (
        schedules.ademamix_b3,
        {"b3": (0.999, 0.99), "steps": (30.0, 50.0), "b1": (0.9, 0.5)},
    ),
    "linear": (schedules.linear, {"start": (0.1, 0.8), "end": (0.9, 0.2), "steps": (30.0, 50.0)}),
    "cosine": (schedules.cosine, {"start": (0.1, 0.8), "end": (0.9, 0.2), "steps": (30.0, 50.0)}),
    "warmup": (
        schedules.warmup,
        {"steps": (30.0, 50.0), "start": (0.5, 0.1), "end": (0.9, 0.95), "fraction": (1, 0.5)},
    ),
    "demon": (schedules.demon, {"beta": (0.9, 0.99), "steps": (30.0, 50.0)}),
    "sutskever": (schedules.sutskever, {"max_beta": (0.3, 0.99)}),
    "nesterov_sequence": (schedules.nesterov_sequence, {}),
    "fista_sequence": (schedules.fista_sequence, {}),
    "one_cycle": (
        schedules.one_cycle,
        {"steps": (30.0, 50.0), "base": (0.95, 0.9), "low": (0.8, 0.1), "pct": (0.3, 0.5)},
    ),
    "cyclic": (
        schedules.cyclic,
        {"period": (13.0, 50.0), "base": (0.95, 0.9), "low": (0.8, 0.1), "pct": (0.3, 0.5)},
    ),
    "piecewise": (_piecewise, {"first": (0.3, 0.9), "last": (0.5, 0.99), "boundary": (10.0, 20.0)}),
    "from_half_life": (_batch_ramp, {"tokens": (100.0, 1000.0)}),
    "rescale_beta": (_rescaled, {"k": (0.5, 4.0)}),
    "warm_restarts": (
        _beta_of_warm_restarts,
        {"period": (10.0, 8.0), "t_mult": (1.0, 2.0), "beta": (0.9, 0.8), "end_beta": (0.95, 0.99)},
    ),
}
# The numbers of each at the limits of what they may be: betas next to 1, runs of one update and of all there are.
EXTREME = {
    "ademamix_alpha": {"alpha": 0.0, "steps": 1e9},
    "ademamix_b3": {"b3": 1 - 1e-15, "steps": 1, "b1": 1 - 1e-15},
    "linear": {"start": 0.0, "end": 1 - 1e-15, "steps": 1e9},
    "cosine": {"start": 1 - 1e-15, "end": 0.0, "steps": 2**31},
    "warmup": {"steps": 0, "start": 0.0, "end": 1 - 1e-15, "fraction": 0},
    "demon": {"beta": 1 - 1e-15, "steps": 1},
    "sutskever": {"max_beta": 1 - 1e-15},
    "nesterov_sequence": {},
    "fista_sequence": {},
    "one_cycle": {"steps": 3e9, "base": 1 - 1e-15, "low": 1 - 1e-15, "pct": 1.0},
    "cyclic": {"period": 1, "base": 1 - 1e-15, "low": 0.0, "pct": 0.0},
    "piecewise": {"first": 1 - 1e-15, "last": 1 - 1e-15, "boundary": 1e12},
    "from_half_life": {"tokens": 1e30},
    "rescale_beta": {"k": 1e-30},
    "warm_restarts": {"period": 1, "t_mult": 1, "beta": 1 - 1e-15, "end_beta": 1 - 1e-15},
}
EVERYWHERE = np.unique(np.concatenate([2 ** np.arange(31) - 1, 2 ** np.arange(31), [2**31 - 2, 2**31 - 1]]))
COUNTS = np.arange(60)

names = pytest.mark.parametrize("name", EVERY)


def numbers(name, i):
    return {argument: pair[i] for argument, pair in EVERY[name][1].items()}


@functools.cache
def known(name, i) -> np.ndarray:
    """The values in float32, of numbers that are known."""
    return np.asarray(jax.jit(jax.vmap(EVERY[name][0](**numbers(name, i))))(COUNTS))


def test_every_schedule_is_here():
    public = {name for name, value in vars(schedules).items() if inspect.isfunction(value)}
    assert public == set(EVERY) == set(EXTREME)


@pytest.mark.parametrize("name", [name for name, (_, pairs) in EVERY.items() if pairs])
def test_all_numbers_can_be_swept_in_one_program(name):
    build, pairs = EVERY[name]
    traces = []

    @jax.jit
    def run(values):
        traces.append(name)
        return jax.vmap(lambda v: jax.lax.map(build(**v), COUNTS))(values)

    for order in ((0, 1), (1, 0)):
        found = run({argument: jnp.array([pair[i] for i in order], jnp.float32) for argument, pair in pairs.items()})
        np.testing.assert_allclose(found, [known(name, i) for i in order], rtol=2e-6, atol=1e-7)
    assert len(traces) == 1
    assert not np.allclose(known(name, 0), known(name, 1))


@names
def test_any_count_will_do(name):
    schedule = EVERY[name][0](**numbers(name, 0))
    for count in (7, 29):
        kinds = [
            count,
            float(count),
            np.int64(count),
            np.uint8(count),
            np.float64(count),
            np.array(count),
            jnp.uint32(count),
        ]
        found = [schedule(kind) for kind in kinds]
        np.testing.assert_allclose(found, known(name, 0)[count], rtol=1e-6)
        assert all(value.shape == () and value.dtype == jnp.float32 for value in found)


@names
@pytest.mark.parametrize("x64", [False, True])
def test_the_value_is_a_decay_at_every_count(name, x64):
    build = EVERY[name][0]
    with jax.enable_x64(x64):
        for given in (numbers(name, 0), numbers(name, 1), EXTREME[name]):
            values = np.asarray(jax.jit(jax.vmap(build(**given)))(EVERYWHERE))
            assert values.dtype == (np.float64 if x64 else np.float32)
            assert np.all((values >= 0) & (values < 1)), given


def test_rounding_ends_at_the_largest_number_below_one():
    for schedule in (schedules.nesterov_sequence(), schedules.fista_sequence(), schedules.sutskever(1 - 1e-15)):
        assert float(schedule(2**31 - 1)) == 1 - 2.0**-24


@names
def test_methods_take_it(name):
    beta = EVERY[name][0](**numbers(name, 0))
    assert coefficient.check("beta", beta) is beta
    tx = mo.trace(beta, nesterov=True)
    g = jnp.ones(())
    _, found = jax.lax.scan(lambda s, _: tx.update(g, s)[::-1], tx.init(g), None, 50)
    b, v, expected = known(name, 0).astype(np.float64), 0.0, []
    for t in range(50):
        v = b[t] * v + 1
        expected.append(1 + b[t + 1] * v)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("name", [name for name, (_, pairs) in EVERY.items() if pairs])
def test_derivatives_by_the_numbers_are_finite(name):
    build, pairs = EVERY[name]

    def total(values):
        return jnp.sum(jax.vmap(build(**values))(COUNTS))

    derivatives = jax.jit(jax.grad(total))({argument: jnp.float32(pair[0]) for argument, pair in pairs.items()})
    assert all(np.isfinite(d) for d in derivatives.values()), derivatives
    assert any(d != 0 for d in derivatives.values())


IN = r"must be in \[0, 1\); got"
BAD = [
    (lambda: schedules.linear(1.0, 0.9, 10), rf"start {IN} 1.0. The schedule reaches it at count 0\."),
    (lambda: schedules.linear(0.9, 1.0, 300), rf"end {IN} 1.0. The schedule reaches it at count 300\."),
    (lambda: schedules.cosine(0.9, -0.1, 300), rf"end {IN} -0.1. The schedule reaches it at count 300\."),
    (lambda: schedules.cosine(0.9, 0.1, -1), r"steps must be finite and at least 0; got -1\."),
    (lambda: schedules.cosine(0.9, 0.1, np.nan), r"steps must be finite and at least 0; got nan\."),
    (lambda: schedules.warmup(1000, end=1.5, fraction=0.1), rf"end {IN} 1.5. The schedule reaches it at count 100\."),
    (lambda: schedules.warmup(1000, fraction=10), r"fraction must be in \[0, 1\]; got 10\."),
    (lambda: schedules.demon(1.0, 10), rf"beta {IN} 1.0. The schedule reaches it at count 0\."),
    (lambda: schedules.demon(0.9, 0), r"steps must be finite and above 0; got 0\."),
    (lambda: schedules.sutskever(1.0), rf"max_beta {IN} 1.0\."),
    (lambda: schedules.one_cycle(100, 0.95, -1.0), rf"low {IN} -1.0. The schedule reaches it at count 30\."),
    (lambda: schedules.one_cycle(100, pct=30), r"pct must be in \[0, 1\]; got 30\."),
    (lambda: schedules.one_cycle(0), r"steps must be finite and above 0; got 0\."),
    (lambda: schedules.cyclic(0), r"period must be finite and above 0; got 0\."),
    (lambda: schedules.cyclic(10, shape="sine"), r'shape must be "linear" or "cosine"; got \'sine\'\.'),
    (lambda: schedules.piecewise([0.5, 1.0], [70]), rf"values\[1\] {IN} 1.0. The schedule reaches it at count 70\."),
    (
        lambda: schedules.piecewise([0.5, lambda t: 1.0 + 0 * t], [70]),
        r"values\[1\] is a schedule that gives 1 at count 0",
    ),
    (lambda: schedules.piecewise([0.5], [70]), r"got 1 values and 1 boundaries\."),
    (lambda: schedules.piecewise([0.5, 0.6, 0.7], [70, 60]), r"boundaries must be in order; got 70 at 0 and 60 at 1\."),
    (lambda: schedules.piecewise([0.5, 0.6], [-1]), r"boundaries\[0\] must be finite and at least 0; got -1\."),
    (lambda: schedules.from_half_life(0, 1), r"tokens must be finite and above 0; got 0\."),
    (lambda: schedules.from_half_life(1, -2.0), r"tokens_per_step must be finite and above 0; got -2.0\."),
    (lambda: schedules.rescale_beta(1.0, 2), rf"beta {IN} 1.0\."),
    (lambda: schedules.rescale_beta(lambda t: 0.5 + t, 2), r"beta is a schedule that gives 1.5 at count 1;"),
    (lambda: schedules.rescale_beta(0.9, 0), r"k must be finite and above 0; got 0\."),
    (lambda: schedules.rescale_beta(0.9, lambda t: 3.0 - t), r"k is a schedule that gives 0 at count 3;"),
    (lambda: schedules.linear(0.9, np.full(3, 0.5), 10), r"end must be a number .*; got shape \(3,\)\..*jax.vmap"),
]


@pytest.mark.parametrize(("build", "message"), BAD)
def test_what_cannot_be_right_is_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize(
    "bad", [None, "0.9", True, 1j, {"w": 0.9}, [0.9], lambda count: 0.9], ids=lambda bad: type(bad).__name__
)
def test_what_is_no_number_is_refused_by_its_type(bad):
    for name in ("linear", "demon", "one_cycle", "sutskever"):
        build, pairs = EVERY[name]
        for argument in pairs:
            with pytest.raises(TypeError, match=rf"{argument} must be (one|a) number"):
                build(**(numbers(name, 0) | {argument: bad}))
    with pytest.raises(TypeError, match=r"boundaries\[0\] must be (one|a) number"):
        schedules.piecewise([0.1, 0.2], [bad])


def test_values_of_parts_are_numbers_or_functions():
    with pytest.raises(TypeError, match=r"values\[1\] must be one number"):
        schedules.piecewise([0.1, {"w": 0.9}], [10])
    with pytest.raises(TypeError, match="values and boundaries must be lists or tuples"):
        schedules.piecewise(0.1, [10])
