import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from momentum_optax import sweeps
from momentum_optax.sweeps import Data, cross_entropy, grid, supervised
from momentum_optax.sweeps.trials.narrow import LONG, NARROW, turned_products, turning

RNG = np.random.default_rng(0)
KERNEL, INPUTS = RNG.normal(size=(64, 10)).astype(np.float32), RNG.normal(size=(8, 64)).astype(np.float32)


def shapes_that_xla_keeps(params):
    # A function of its own: another one may have been traced for another device.
    equations = jax.make_jaxpr(lambda params: turned_products(params))(params).eqns
    return [e.outvars[0].aval.shape for e in equations if e.primitive.name == "optimization_barrier"]


@pytest.mark.parametrize(
    ("shape", "kept"),
    [
        ((64, 10), [(10, 64)]),
        ((64, NARROW), [(NARROW, 64)]),
        ((64, NARROW + 1), []),  # wide enough
        ((LONG, 1), [(1, LONG)]),
        ((LONG - 1, 10), []),  # its columns are short, too
        ((10, 64), []),  # its rows are long
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
        return jnp.sum(jnp.sin(inputs @ turned_products(params)["kernel"]))

    found = jax.jit(jax.value_and_grad(objective))({"kernel": KERNEL}, INPUTS)
    products = INPUTS.astype(np.float64) @ KERNEL
    np.testing.assert_allclose(found[0], np.sin(products).sum(), rtol=1e-5)
    np.testing.assert_allclose(found[1]["kernel"], INPUTS.T @ np.cos(products), rtol=1e-4, atol=1e-5)


def test_other_devices_are_left_to_their_compiler(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert shapes_that_xla_keeps({"kernel": KERNEL}) == []


def make_trial():
    data = Data(INPUTS, np.arange(8) % 10, INPUTS, np.arange(8) % 10)
    model = (lambda key: {"kernel": jnp.zeros((64, 10))}), (lambda params, inputs: inputs @ params["kernel"])
    return supervised(model, cross_entropy, data, optimizer=lambda hp: optax.sgd(hp["rate"]), batch_size=4)


def test_a_supervised_step_asks_for_it():
    trial = make_trial()
    state = trial.init({"rate": 0.1}, trial.draw({}, jax.random.key(0)))
    batch = trial.fetch(trial.data, {"rows": np.arange(4)})
    assert "optimization_barrier" in str(jax.make_jaxpr(lambda s, b: trial.step({"rate": 0.1}, s, b))(state, batch))


def test_turning_twice_is_turning_back():
    tree = {"narrow": np.arange(2 * 64 * 3.0).reshape(2, 64, 3), "wide": np.ones((2, 3, 64)), "step": np.zeros(2)}
    turn = turning(tree, axes=1)
    turned = turn(tree)
    np.testing.assert_array_equal(turned["narrow"], tree["narrow"].transpose(0, 2, 1))
    assert turned["wide"] is tree["wide"]
    assert turned["step"] is tree["step"]
    np.testing.assert_array_equal(turn(turned)["narrow"], tree["narrow"])


def test_a_compiled_loop_carries_narrow_matrices_turned():
    trial = make_trial()
    options = {"seeds": 1, "steps": 9, "evaluate_every": 9, "strategy": "vmap", "threads": 1, "lanes_per_chunk": 3}
    sweeps.sweep(trial, grid(rate=[0.5, 0.25, 0.1]), devices=jax.devices()[:1], **options)
    (functions,) = trial._batched.values()
    (program,) = functions.rung._compiled.values()
    loops = [line for line in program.as_text().splitlines() if " while(" in line]
    assert loops
    # In memory, too: the order of the axes is the plain one.
    assert all("f32[3,10,64]{2,1,0}" in line for line in loops)
