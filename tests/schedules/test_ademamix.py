"""The warm-ups of AdEMAMix against those of its authors, which begin at t = 1."""

import jax
import jax.numpy as jnp
import numpy as np
import oracles_relatives as oracles
import pytest

from momentum_optax import schedules

COUNTS = np.arange(150)


def values(schedule):
    with jax.enable_x64(True):
        return np.asarray(jax.jit(jax.vmap(schedule))(jnp.asarray(COUNTS)))


@pytest.mark.parametrize("steps", [1, 7.5, 100])
def test_they_are_those_of_the_authors_one_count_later(steps):
    alpha = [oracles.ademamix_alpha(count + 1, 5.0, steps) for count in COUNTS]
    b3 = [oracles.ademamix_b3(count + 1, 0.9999, 0.9, steps) for count in COUNTS]
    np.testing.assert_allclose(values(schedules.ademamix_alpha(5.0, steps)), alpha, rtol=1e-12)
    np.testing.assert_allclose(values(schedules.ademamix_b3(0.9999, steps, 0.9)), b3, rtol=1e-12)


def test_numbers_of_the_paper():
    found = values(schedules.ademamix_b3(0.9999, 100))[[0, 24, 49, 74, 99]]
    np.testing.assert_allclose(found, [0.99090016, 0.99960120, 0.99980020, 0.99986671, 0.9999], atol=5e-9)


def test_half_lives_grow_along_a_line():
    lives = np.log(0.5) / np.log(values(schedules.ademamix_b3(0.999, 100, 0.5)))
    np.testing.assert_allclose(np.diff(lives[:100], 2), 0, atol=1e-9)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: schedules.ademamix_alpha(np.inf, 10), "alpha must be finite; got inf"),
        (lambda: schedules.ademamix_alpha(5.0, 0), "steps must be finite and above 0; got 0"),
        (lambda: schedules.ademamix_b3(1.0, 10), r"b3 must be in \(0, 1\); got 1.0"),
        (lambda: schedules.ademamix_b3(0.99, 10, 0.0), r"b1 must be in \(0, 1\); got 0.0"),
        (lambda: schedules.ademamix_b3(0.9, 10, 0.99), "b1 must be at most b3; got b1=0.99 and b3=0.9"),
    ],
)
def test_bad_numbers_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
