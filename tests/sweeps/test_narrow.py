import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from momentum_optax.sweeps import Data, cross_entropy, supervised
from momentum_optax.sweeps.trials.narrow import NARROW, widened

RNG = np.random.default_rng(0)
KERNEL, INPUTS = RNG.normal(size=(64, 10)).astype(np.float32), RNG.normal(size=(8, 64)).astype(np.float32)


def shapes_that_xla_keeps(params):
    equations = jax.make_jaxpr(lambda params: widened(params))(params).eqns  # of its own, not what was traced before
    return [e.outvars[0].aval.shape for e in equations if e.primitive.name == "optimization_barrier"]


@pytest.mark.parametrize(
    ("shape", "kept"),
    [
        ((64, 10), [(10, 64)]),
        ((64, NARROW), [(NARROW, 64)]),
        ((64, NARROW + 1), []),  # wide enough
        ((10, 64), []),  # its rows are long
        ((10, 10), []),
        ((64,), []),
        ((), []),
        ((3, 3, 64, 10), []),  # the kernel of a convolution
        ((2, 64, 10), []),  # of layers that are scanned
    ],
)
def test_only_narrow_matrices_are_transposed(shape, kept):
    assert shapes_that_xla_keeps({"kernel": jnp.zeros(shape)}) == kept


def test_values_and_gradients_are_those_of_the_matrix():
    def objective(params, inputs):
        return jnp.sum(jnp.sin(inputs @ widened(params)["kernel"]))

    found = jax.jit(jax.value_and_grad(objective))({"kernel": KERNEL}, INPUTS)
    products = INPUTS.astype(np.float64) @ KERNEL
    np.testing.assert_allclose(found[0], np.sin(products).sum(), rtol=1e-5)
    np.testing.assert_allclose(found[1]["kernel"], INPUTS.T @ np.cos(products), rtol=1e-4, atol=1e-5)


def test_other_devices_are_left_to_their_compiler(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert shapes_that_xla_keeps({"kernel": KERNEL}) == []


def test_a_supervised_step_asks_for_it():
    data = Data(INPUTS, np.arange(8) % 10, INPUTS, np.arange(8) % 10)
    model = (lambda key: {"kernel": jnp.zeros((64, 10))}), (lambda params, inputs: inputs @ params["kernel"])
    trial = supervised(model, cross_entropy, data, optimizer=lambda hp: optax.sgd(0.1), batch_size=4)
    state = trial.init({}, trial.draw({}, jax.random.key(0)))
    batch = trial.fetch(trial.data, {"rows": np.arange(4)})
    assert "optimization_barrier" in str(jax.make_jaxpr(lambda s, b: trial.step({}, s, b))(state, batch))
