"""JAX's settings, which may change between two sweeps of one trial."""

import jax
import numpy as np
import problem
import pytest

from momentum_optax import sweeps
from momentum_optax.sweeps import grid


def init(hp, key):
    return jax.random.normal(key, (8,)) * hp["scale"]


TRIAL = sweeps.trial(init, lambda hp, state, key: (state, state[0]), lambda hp, state: {"sum": state.sum()})


def total(key):
    return float(jax.jit(init)({"scale": 1.0}, key).sum())


def sums(seeds):
    return sweeps.sweep(TRIAL, grid(scale=[1.0]), seeds=seeds, steps=1).final("sum")[0]


@pytest.mark.parametrize("seed", [0, 7, 2**31 - 1, 2**31, 2**32 - 1])
def test_a_seed_gives_the_key_of_jax(seed):
    np.testing.assert_allclose(sums([seed, 1]), [total(jax.random.key(seed)), total(jax.random.key(1))], rtol=1e-6)


def test_random_bits_are_those_that_are_set():
    found = {}
    for bits in ("threefry2x32", "rbg", "threefry2x32"):
        with jax.default_prng_impl(bits):
            found[bits] = sums([3])
            np.testing.assert_allclose(found[bits], total(jax.random.key(3)), rtol=1e-6)
    assert found["rbg"] != found["threefry2x32"]


def test_data_have_the_width_that_is_set():
    data = problem.make_data()
    data = data._replace(train_inputs=data.train_inputs.astype(np.float64) / 3)  # no float32

    def make():
        model = problem.init, problem.apply
        return sweeps.supervised(model, sweeps.cross_entropy, data, optimizer=problem.sgd, batch_size=6)

    def losses(trial, wide):
        with jax.enable_x64(wide):
            return sweeps.sweep(trial, grid(learning_rate=[0.1], beta=[0.9]), seeds=1, steps=4).final("test_loss")

    trial = make()
    for wide in (False, True, False):
        np.testing.assert_array_equal(losses(trial, wide), losses(make(), wide))


def test_what_is_traced_under_other_settings_is_another_program():
    def evaluate(hp, state):
        return {"traced": state.sum() * 0 + {None: 1.0, "highest": 2.0}[jax.config.jax_default_matmul_precision]}

    trial = sweeps.trial(init, lambda hp, state, key: (state, state[0]), evaluate)
    for precision, expected in ((None, 1), ("highest", 2), (None, 1)):
        with jax.default_matmul_precision(precision):
            found = sweeps.sweep(trial, grid(scale=[1.0]), seeds=1, steps=2)
        assert found.final("traced") == expected
