"""What is known of a step before anything is compiled."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from momentum_optax.sweeps import trial
from momentum_optax.sweeps.engine.cost import Cost, cost


def of(step):
    """The cost of a step whose state is 40 x 50."""
    made = trial(lambda hp, key: jnp.zeros((40, 50)), step, lambda hp, x: {"x": x[0, 0]})
    return cost(made, {"width": 30}, ["rate"], jax.ShapeDtypeStruct((40, 50), np.float32), made.plan({}, 0, 1)[0])


def test_operations_are_those_of_the_matrix_products():
    def step(hp, x, key):
        return x - hp["rate"] * (x @ x.T @ x), x @ jnp.ones((50, hp["width"]))

    found = of(step)
    assert not found.convolutions
    assert found.state == 4 * 40 * 50
    assert found.operations == pytest.approx(2 * (2 * 40 * 40 * 50 + 40 * 50 * 30), rel=0.05)


def test_convolutions_are_seen_wherever_they_are():
    def step(hp, x, key):
        def body(x, _):
            image = x[None, :, :, None] * hp["rate"]
            return jax.lax.conv(image.transpose(0, 3, 1, 2), jnp.ones((1, 1, 3, 3)), (1, 1), "SAME")[0, 0], None

        return jax.lax.scan(body, x, None, 2)[0], x[0, 0]

    assert of(step).convolutions


@pytest.mark.parametrize(
    ("operations", "together"), [(0.0, 32), (2e6, 32), (2.1e6, 16), (8e6, 8), (2.8e7, 2), (6.4e7, 1), (1e12, 1)]
)
def test_many_small_steps_go_together_and_few_large_ones(operations, together):
    assert Cost(operations, 20_000, False).cpu_chunk == together


@pytest.mark.parametrize(
    ("state", "together"), [(0, 256), (2048, 256), (2049, 128), (8192, 64), (16_385, 32), (10**9, 32)]
)
def test_more_go_together_if_their_states_are_small(state, together):
    assert Cost(0.0, state, False).cpu_chunk == together
    assert Cost(8e6, state, False).cpu_chunk == 8
