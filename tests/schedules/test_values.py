"""The value of every schedule, against NumPy in float64 and the numbers of the papers."""

import functools
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import noise, table

import momentum_optax as mo
from momentum_optax import schedules

COUNTS = np.arange(1200)


@functools.partial(jax.jit, static_argnums=0)
def _table(schedule, counts):
    return jax.lax.map(schedule, counts)


def values(schedule, counts=COUNTS) -> np.ndarray:
    """The schedule in float64."""
    with jax.enable_x64(True):
        return np.asarray(_table(schedule, jnp.asarray(counts)))


def assert_follows(schedule, reference, counts=COUNTS):
    """`reference` takes a float."""
    expected = [reference(float(count)) for count in counts]
    np.testing.assert_allclose(values(schedule, counts), expected, rtol=1e-12, atol=1e-13)


def line(start, end, steps):
    return lambda t: start + (end - start) * min(t / steps, 1)


def wave(start, end, steps):
    return lambda t: end + (start - end) * (1 + math.cos(math.pi * min(t / steps, 1))) / 2


# From one value to another.


@pytest.mark.parametrize(("start", "end", "steps"), [(0.85, 0.95, 300), (0.99, 0.0, 1000), (0.5, 0.5, 7.5)])
def test_linear_and_cosine_go_from_start_to_end(start, end, steps):
    assert_follows(schedules.linear(start, end, steps), line(start, end, steps))
    assert_follows(schedules.cosine(start, end, steps), wave(start, end, steps))


def test_annealing_over_no_updates_is_at_its_end():
    for schedule in (schedules.linear(0.1, 0.9, 0), schedules.cosine(0.1, 0.9, 0), schedules.warmup(100, fraction=0)):
        assert values(schedule, [0, 1])[0] == values(schedule, [0, 1])[1] >= 0.9


def test_linear_and_cosine_are_those_of_optax():
    for ours, theirs in (
        (schedules.linear(0.9, 0.3, 1000), optax.linear_schedule(0.9, 0.3, 1000)),
        (schedules.cosine(0.9, 0.3, 1000), optax.cosine_decay_schedule(0.9, 1000, alpha=1 / 3)),
    ):
        np.testing.assert_allclose(values(ours), values(theirs), rtol=1e-12)


def test_warmup_is_the_first_part_of_a_run():
    assert_follows(schedules.warmup(300), line(0.85, 0.95, 300))
    assert_follows(schedules.warmup(1000, 0.2, 0.9, fraction=0.25), line(0.2, 0.9, 250))


def test_demon_has_the_numbers_of_the_paper():
    expected = [0.9, 0.890110, 0.878049, 0.863014, 0.84375, 9 / 11, 0.782609, 0.729730, 0.642857, 9 / 19, 0, 0, 0]
    np.testing.assert_allclose(values(schedules.demon(0.9, 10), np.arange(13)), expected, atol=5e-7)


@pytest.mark.parametrize(("beta", "steps"), [(0.9, 1000), (0.999, 777), (0.0, 10)])
def test_what_a_gradient_adds_up_to_under_demon_falls_on_a_line(beta, steps):
    found = values(schedules.demon(beta, steps))
    expected = beta / (1 - beta) * np.maximum(1 - COUNTS / steps, 0)
    np.testing.assert_allclose(found / (1 - found), expected, rtol=1e-11, atol=1e-13)


def test_the_last_values_of_demon_keep_their_digits_in_float32():
    """`1 - count / steps` would have lost all but one of them."""
    steps = 1_000_000
    found = float(jax.jit(schedules.demon(0.9, steps))(steps - 1))
    np.testing.assert_allclose(found, 0.9e-6 / (0.1 + 0.9e-6), rtol=1e-5)


# Towards 1.


def test_sutskever_grows_by_stages_of_250():
    counts = [0, 249, 250, 499, 500, 749, 750, 1000, 24_999, 10**7]
    stages = [1 / 2, 1 / 2, 3 / 4, 3 / 4, 5 / 6, 5 / 6, 7 / 8, 9 / 10, 0.99, 0.99]
    found = values(schedules.sutskever(0.99), counts)
    np.testing.assert_allclose(found, np.minimum(stages, 0.99), rtol=1e-15)


@pytest.mark.parametrize("limit", [0.0, 0.9, 0.999])
def test_sutskever_is_the_formula_of_the_paper(limit):
    counts = np.arange(0, 300_000, 83)
    assert_follows(schedules.sutskever(limit), lambda t: min(1 - 2 ** (-1 - math.log2(t // 250 + 1)), limit), counts)


def test_sutskever_changes_stage_at_the_right_count_wherever_it_is():
    counts = np.array([[250 * k - 1, 250 * k] for k in (1, 66_000, 8_000_000)])
    schedule = schedules.sutskever(0.9999999)
    with jax.enable_x64(True):
        below, at = values(schedule, counts.ravel()).reshape(-1, 2).T
    stages = counts[:, 1] / 250
    np.testing.assert_allclose(below, np.minimum(1 - 0.5 / stages, 0.9999999), rtol=1e-15)
    np.testing.assert_allclose(at, np.minimum(1 - 0.5 / (stages + 1), 0.9999999), rtol=1e-15)


def test_nesterov_sequence_extrapolates_from_the_second_update_on():
    assert_follows(schedules.nesterov_sequence(), lambda t: (t - 1) / (t + 2) if t >= 1 else 0.0)


def fista_reference(last: int) -> np.ndarray:
    """t_1 ... t_last, from the recurrence, in extended precision."""
    t = [np.longdouble(1)]
    for _ in range(last - 1):
        t.append((1 + np.sqrt(1 + 4 * t[-1] ** 2)) / 2)
    return np.array(t)


def test_fista_sequence_is_that_of_the_recurrence_at_every_count():
    last = 100_000
    t = fista_reference(last + 1)
    np.testing.assert_allclose(t[:6].astype(float), [1, 1.618034, 2.193527, 2.749791, 3.294880, 3.832601], atol=5e-7)
    expected = np.concatenate([[0.0], ((t[:-1] - 1) / t[1:]).astype(float)])
    with jax.enable_x64(True):
        found = np.asarray(jax.jit(jax.vmap(schedules.fista_sequence()))(np.arange(last + 1)))
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-14)
    assert found[0] == found[1] == 0


def test_fista_sequence_goes_on_at_counts_that_no_recurrence_reaches():
    """With u = t - 1/2, t_{k+1} = t_k + 1/2 + 1/(8 t_k) - ..., so that t_k = k/2 + log(k)/4 + C + o(1)."""
    counts = np.array([10**6, 10**7, 10**8, 2**31 - 1])
    found = values(schedules.fista_sequence(), counts)
    t = fista_reference(200_000)[-1]
    offset = float(t) - 200_000 / 2 - math.log(200_000) / 4
    t = counts / 2 + np.log(counts) / 4 + offset
    np.testing.assert_allclose((1 - found) * t, 1.5, rtol=1e-5)
    np.testing.assert_allclose(found, (t - 1) / (t + 0.5), rtol=0, atol=1e-11)


# Down and up.


@pytest.mark.parametrize(("steps", "pct"), [(1000, 0.3), (600, 0.5), (7, 0.4), (10, 0.0), (10, 1.0)])
@pytest.mark.parametrize("shape", ["linear", "cosine"])
def test_one_cycle_goes_down_and_up_and_stays(steps, pct, shape):
    turn, way = pct * steps, {"linear": line, "cosine": wave}[shape]

    def reference(t):
        if t < turn:
            return way(0.95, 0.8, turn)(t)
        return way(0.8, 0.95, steps - turn)(t - turn) if t < steps else 0.95

    assert_follows(schedules.one_cycle(steps, 0.95, 0.8, pct, shape=shape), reference)


def test_one_cycle_is_the_mirror_image_of_the_learning_rate():
    lr = values(optax.cosine_onecycle_schedule(1000, 1.0, pct_start=0.3, div_factor=25.0, final_div_factor=1.0))
    beta = values(schedules.one_cycle(1000, 0.95, 0.85, shape="cosine"))
    np.testing.assert_allclose((0.95 - beta) / 0.1, (lr - 1 / 25) / (1 - 1 / 25), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("period", "pct"), [(100, 0.5), (64, 0.25), (2.5, 0.5)])
def test_cyclic_repeats_the_cycle(period, pct):
    def reference(t):
        phase, turn = t % period, pct * period
        return line(0.9, 0.5, turn)(phase) if phase < turn else line(0.5, 0.9, period - turn)(phase - turn)

    assert_follows(schedules.cyclic(period, 0.9, 0.5, pct), reference)


# Parts.


def test_piecewise_is_one_after_the_other():
    parts = [schedules.linear(0.1, 0.5, 30), 0.7, table(noise(50) ** 2 % 1), schedules.cosine(0.9, 0.2, 100)]
    schedule = schedules.piecewise(parts, [40, 100, 137.5])
    single = [values(p, np.arange(1200)) if callable(p) else np.full(1200, p) for p in parts]
    edges = [0, 40, 100, 138, 1200]
    expected = [v[: b - a] for v, (a, b) in zip(single, itertools.pairwise(edges), strict=True)]
    np.testing.assert_allclose(values(schedule), np.concatenate(expected), rtol=1e-15)


def test_piecewise_of_fractions_is_that_of_counts():
    parts = [0.5, schedules.warmup(100), 0.9]
    of_run = schedules.piecewise(parts, [0.25, 0.5], steps=1000)
    assert np.array_equal(values(of_run), values(schedules.piecewise(parts, [250, 500])))


def test_piecewise_of_one_part_is_it():
    assert np.all(values(schedules.piecewise([0.4], [])) == 0.4)


def test_boundaries_far_away_are_never_reached():
    schedule = schedules.piecewise([0.1, 0.2, 0.3], [10, 10**15])
    assert np.array_equal(values(schedule, [9, 10, 2**31 - 200]), [0.1, 0.2, 0.2])
    assert np.array_equal([schedule(9), schedule(2**31 - 200)], np.float32([0.1, 0.2]))


# Half-lives.


def test_half_of_a_gradients_weight_is_left_after_the_half_life():
    beta = schedules.from_half_life(1e6, 1e4)
    assert isinstance(beta, float)
    assert beta**100 == pytest.approx(0.5, rel=1e-12)


def test_a_batch_ramp_keeps_the_memory_in_tokens():
    def batch(count):
        return jnp.where(count < 600, 1000, 4000)

    beta = schedules.from_half_life(64_000, batch)
    assert_follows(beta, lambda t: 0.5 ** ((1000 if t < 600 else 4000) / 64_000))
    ramp = schedules.rescale_beta(0.5 ** (1 / 64), lambda count: batch(count) // 1000)
    np.testing.assert_allclose(values(ramp), values(beta), rtol=1e-12)


def test_one_rescaled_step_forgets_as_much_as_k():
    assert schedules.rescale_beta(0.9, 3) == pytest.approx(0.729, rel=1e-15)
    assert schedules.rescale_beta(0.0, 0.5) == 0.0
    small = schedules.rescale_beta(schedules.demon(0.9, 1000), 0.25)
    np.testing.assert_allclose(values(small) ** 4, values(schedules.demon(0.9, 1000)), rtol=1e-11, atol=1e-15)


def test_trees_are_rescaled_leaf_by_leaf():
    tree = schedules.rescale_beta({"w": 0.9, "b": schedules.linear(0.1, 0.2, 10)}, 2)
    assert tree["w"] == pytest.approx(0.81)
    np.testing.assert_allclose(float(tree["b"](10)), 0.04, rtol=1e-6)


# In a method.


def test_nesterov_with_its_sequence_keeps_the_promise_of_the_proof():
    """f(x_j) - f* <= 2 L R^2 / (j + 1)^2 for the sequence of FISTA, and gradient descent does not."""
    curvatures, steps = np.geomspace(1e-6, 1, 50), 300
    distance = 1 / np.sqrt(curvatures)  # flat directions far away: the worst that the bound allows to be

    def run(beta):
        tx = mo.nesterov(1.0, beta)

        def body(carry, _):
            y, state = carry
            updates, state = tx.update(curvatures * y, state, y)
            y = optax.apply_updates(y, updates)
            x = mo.eval_params(state, y)
            return (y, state), 0.5 * jnp.sum(curvatures * x**2)

        with jax.enable_x64(True):
            start = jnp.asarray(distance)
            return np.asarray(jax.jit(lambda p: jax.lax.scan(body, (p, tx.init(p)), None, steps))(start)[1])

    bound = 2 * np.sum(distance**2) / (np.arange(1, steps + 1) + 1) ** 2
    descent, fista, simple = run(0.0), run(schedules.fista_sequence()), run(schedules.nesterov_sequence())
    assert np.all(fista <= bound)
    assert np.all(simple <= 1.01 * bound)
    assert fista[-1] < 0.5 * descent[-1]


@pytest.mark.parametrize("nesterov", [False, True])
def test_a_constant_gradient_adds_up_under_a_schedule(nesterov):
    beta, steps = schedules.demon(0.9, 20), 25
    tx = mo.trace(beta, nesterov=nesterov)
    with jax.enable_x64(True):
        g = jnp.ones(())
        _, found = jax.lax.scan(lambda s, _: tx.update(g, s)[::-1], tx.init(g), None, steps)
    f = np.maximum(1 - np.arange(steps + 1) / 20, 0)
    b, v, expected = 0.9 * f / (0.1 + 0.9 * f), 0.0, []
    for t in range(steps):
        v = b[t] * v + 1
        expected.append(1 + b[t + 1] * v if nesterov else v)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
