"""Cosine annealing with warm restarts: three functions off one clock."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from momentum_optax import schedules


def reference(counts, period, t_mult=1.0, *, peak=1.0, low=0.0, peak_decay=1.0, beta=0.9, end_beta=0.9):
    """Loshchilov and Hutter's equation 5 along the cycles, one after the other: rows of lr, beta, restarts."""
    starts = [0.0]
    while starts[-1] <= counts[-1]:
        starts.append(starts[-1] + period * t_mult ** (len(starts) - 1))
    starts, rows = np.round(starts), []
    for count in counts:
        n = np.flatnonzero(starts <= count)[-1]
        high = low + (peak - low) * peak_decay**n
        left = (1 + np.cos(np.pi * (count - starts[n]) / (starts[n + 1] - starts[n]))) / 2
        rows.append((low + (high - low) * left, end_beta + (beta - end_beta) * left, count in starts[1:]))
    return np.array(rows).T


@jax.jit
def _all(counts, numbers):
    warm = schedules.warm_restarts(**numbers)
    return [jax.lax.map(f, counts) for f in (warm.learning_rate, warm.beta, warm.restarts)]


def all_three(counts, x64=True, **numbers):
    with jax.enable_x64(x64):
        return [np.asarray(x) for x in _all(jnp.asarray(counts), {k: jnp.asarray(v) for k, v in numbers.items()})]


def built(counts, **numbers):
    """The same with numbers that are known."""
    warm = schedules.warm_restarts(**numbers)
    with jax.enable_x64(True):
        return [np.asarray(jax.jit(jax.vmap(f))(counts)) for f in (warm.learning_rate, warm.beta, warm.restarts)]


CYCLES = [(10, 1.0), (10, 2), (7, 3), (10, 1.5), (100, 1.1), (1, 1), (1, 2), (2.5, 1.0), (3.3, 1.7), (2000, 2)]


@pytest.mark.parametrize(("period", "t_mult"), CYCLES)
@pytest.mark.parametrize("run", [all_three, built])
def test_cycles_follow_the_paper(period, t_mult, run):
    counts = np.arange(1500)
    found = run(counts, learning_rate=1.0, period=period, t_mult=t_mult)
    expected = reference(counts, period, t_mult)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


def test_all_numbers_together():
    counts = np.arange(800)
    found = all_three(
        counts,
        learning_rate=0.5,
        period=50,
        t_mult=1.5,
        min_learning_rate=0.01,
        peak_decay=0.7,
        beta=0.85,
        end_beta=0.95,
    )
    expected = reference(counts, 50, 1.5, peak=0.5, low=0.01, peak_decay=0.7, beta=0.85, end_beta=0.95)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


def test_the_learning_rate_is_that_of_optax():
    cycles = [{"init_value": 1.0, "peak_value": 1.0, "warmup_steps": 0, "decay_steps": 10 * 2**i} for i in range(5)]
    theirs = optax.sgdr_schedule(cycles)
    ours = schedules.warm_restarts(1.0, 10, t_mult=2).learning_rate
    counts = np.arange(300)
    np.testing.assert_allclose(jax.vmap(ours)(counts), jax.vmap(theirs)(counts), atol=1e-6)


@pytest.mark.parametrize(("period", "t_mult"), [(10, 2), (7, 1), (100, 1.1), (13, 3)])
def test_the_three_never_drift_apart(period, t_mult):
    """In float32 too, a restart is where the learning rate is at its peak again, and the beta with it."""
    lr, beta, restarts = all_three(
        np.arange(3000), False, learning_rate=1.0, period=period, t_mult=t_mult, end_beta=0.5
    )
    at_peak = np.flatnonzero(lr == 1.0)
    assert at_peak[0] == 0
    assert len(at_peak) > 3
    assert np.array_equal(at_peak[1:], np.flatnonzero(restarts))
    assert np.array_equal(at_peak, np.flatnonzero(beta == beta[0]))
    assert lr.dtype == beta.dtype == np.float32
    assert restarts.dtype == bool


def test_restarts_far_out_are_exact():
    """Where `log(count)` in float32 has long been off by one."""
    period, last = 10, 2**24
    starts = [period * (2**n - 1) for n in range(1, 30) if period * (2**n - 1) < last]
    counts = np.array([[s - 1, s, s + 1] for s in starts]).ravel()
    for x64 in (False, True):
        _, _, found = all_three(counts, x64, learning_rate=1.0, period=period, t_mult=2)
        assert np.array_equal(found.reshape(-1, 3), [[False, True, False]] * len(starts))
    multiples = np.array([1, 2, 3, 1234, 167772]) * 100
    warm = schedules.warm_restarts(1.0, 100)
    assert np.all(jax.vmap(warm.restarts)(multiples))
    assert not np.any(jax.vmap(warm.restarts)(np.concatenate([multiples - 1, multiples + 1])))


def test_each_cycle_restarts_once_at_any_count():
    """Under x64 to the last count; in float32 the clock still moves forward only."""
    counts = np.arange(2**31 - 5000, 2**31 - 1)
    for x64, period in ((True, 100), (False, 1000)):
        lr, _, restarts = all_three(counts, x64, learning_rate=1.0, period=period)
        assert np.all((lr >= 0) & (lr <= 1))
        assert np.sum(restarts) == pytest.approx(5000 / period, abs=1)
    assert np.array_equal(counts[all_three(counts, learning_rate=1.0, period=100)[2]] % 100, [0] * 50)


def test_count_zero_is_no_restart():
    warm = schedules.warm_restarts(1.0, 1)
    assert [bool(warm.restarts(c)) for c in (0, np.uint32(0), np.int64(1), 2.0)] == [False, False, True, True]


def test_a_constant_beta_is_just_that():
    warm = schedules.warm_restarts(1.0, 10, beta=0.7)
    assert np.all(jax.vmap(warm.beta)(np.arange(30)) == np.float32(0.7))


def test_cycles_can_be_swept():
    counts = np.arange(100)
    periods, factors = np.array([5.0, 8.0, 20.0]), np.array([1.0, 2.0, 1.5])

    @jax.jit
    @jax.vmap
    def run(period, t_mult):
        return jax.lax.map(schedules.warm_restarts(1.0, period, t_mult=t_mult).restarts, counts)

    for found, period, t_mult in zip(run(periods, factors), periods, factors, strict=True):
        assert np.array_equal(found, reference(counts, period, t_mult)[2])


@pytest.mark.parametrize("name", ["learning_rate", "period", "t_mult", "min_learning_rate", "peak_decay"])
def test_the_learning_rate_has_finite_derivatives(name):
    numbers = {"learning_rate": 1.0, "period": 10.0, "t_mult": 1.5, "min_learning_rate": 0.1, "peak_decay": 0.9}

    def lr(value, count):
        return schedules.warm_restarts(**(numbers | {name: value})).learning_rate(count)

    derivative = jax.jit(jax.vmap(jax.grad(lr), (None, 0)))(numbers[name], np.arange(60))
    assert np.all(np.isfinite(derivative))
    if name in ("learning_rate", "min_learning_rate"):
        assert np.any(derivative != 0)


def test_the_object_is_one_leaf_that_no_method_mistakes_for_a_coefficient():
    warm = schedules.warm_restarts(1.0, 10)
    assert jax.tree.leaves(warm) == [warm]
    with pytest.raises(dataclasses.FrozenInstanceError):
        warm.beta = None
    for one, other in itertools.combinations((warm.learning_rate, warm.beta, warm.restarts), 2):
        assert one is not other


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"learning_rate": -1.0}, r"learning_rate must be finite and at least 0; got -1.0"),
        ({"period": 0.5}, r"period must be finite and at least 1; got 0.5"),
        ({"t_mult": 0.9}, r"t_mult must be finite and at least 1; got 0.9"),
        ({"min_learning_rate": 2.0}, r"min_learning_rate must be at most learning_rate, 1; got 2"),
        ({"peak_decay": 0.0}, r"peak_decay must be above 0 and at most 1; got 0.0"),
        ({"peak_decay": 1.1}, r"peak_decay must be above 0 and at most 1; got 1.1"),
        ({"beta": 1.0}, r"beta must be in \[0, 1\); got 1.0. The schedule reaches it at count 0"),
        ({"end_beta": 1.0}, r"end_beta must be in \[0, 1\); got 1.0. The schedule reaches it at count 10"),
    ],
)
def test_what_cannot_be_right_is_refused(bad, message):
    with pytest.raises(ValueError, match=message):
        schedules.warm_restarts(**({"learning_rate": 1.0, "period": 10} | bad))
