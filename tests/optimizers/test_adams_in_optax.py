"""`optax.adam` -> `mo.adam` is a change of module only, for each of its arguments; likewise its kin."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import noise, split

import momentum_optax as mo

RATE = 0.1
MASK = {"w": True, "b": {"deep": False}}
GRADIENTS, PARAMS = noise(50, 5), np.linspace(-1.0, 1.0, 5)


def falling(count):
    return RATE * 0.9**count


def only_w(params):
    return jax.tree.map(lambda p: p.shape == (3,), params)


ADAM = {
    "defaults": ((RATE,), {}),
    "learning_rate": ((falling,), {}),
    "b1": ((RATE,), {"b1": 0.5}),
    "no b1": ((RATE,), {"b1": 0.0}),
    "b2": ((RATE,), {"b2": 0.9}),
    "eps": ((RATE,), {"eps": 0.1}),
    "eps_root": ((RATE,), {"eps_root": 0.1}),
    "all in order": ((RATE, 0.8, 0.95, 1e-3, 1e-2), {}),
}
NESTEROV = {"nesterov": ((RATE,), {"nesterov": True}), "no nesterov": ((RATE,), {"nesterov": False})}
MU = {"mu_dtype": ((RATE,), {"mu_dtype": jnp.bfloat16}), "mu_dtype in order": ((RATE, 0.8, 0.95, 0, 0, "float32"), {})}
DECAY = {
    "weight_decay": ((RATE,), {"weight_decay": 0.3}),
    "falling decay": ((RATE,), {"weight_decay": falling}),
    "mask": ((RATE,), {"weight_decay": 0.3, "mask": MASK}),
    "mask as a function": ((RATE,), {"weight_decay": 0.3, "mask": only_w}),
    "decay and mask in order": ((RATE, 0.8, 0.95, 1e-3, 1e-2, None, 0.3, MASK), {}),
}
CORRECTIONS = {
    "bias_correction_mu": ((RATE,), {"bias_correction_mu": False}),
    "bias_correction_nu": ((RATE,), {"bias_correction_nu": False}),
    "corrections in order": ((RATE, 0.8, 0.95, 1e-3, 1e-2, None, False, False), {}),
}
# Optax's yogi has no eps_root; its scale_by_yogi does.
YOGI = {name: call for name, call in ADAM.items() if name not in ("eps_root", "all in order")}
CALLS = {
    "adam": ADAM | NESTEROV | MU,
    "adamw": ADAM | NESTEROV | MU | DECAY,
    "nadam": ADAM | NESTEROV | MU,
    "nadamw": ADAM | NESTEROV | MU | DECAY,
    "amsgrad": ADAM | MU | CORRECTIONS,
    "adabelief": ADAM | NESTEROV,
    "yogi": YOGI | {"in order": ((RATE, 0.8, 0.95, 1e-2), {})},
    "scale_by_adam": {"in order": ((0.8, 0.95, 1e-3, 1e-2, "float32"), {"nesterov": True})},
    "scale_by_amsgrad": {"in order": ((0.8, 0.95, 1e-3, 1e-2, "float32", True, False), {})},
    "scale_by_yogi": {"in order": ((0.8, 0.95, 1e-3, 1e-2, 0.1), {})},
}


@pytest.mark.parametrize("name", CALLS)
def test_the_arguments_are_those_of_optax(name):
    def positional(function):
        parameters = inspect.signature(function).parameters.values()
        return [(p.name, p.default) for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]

    theirs = getattr(optax, name)
    assert positional(getattr(mo, name)) == positional(theirs)
    assert set(inspect.signature(theirs).parameters) <= set(inspect.signature(getattr(mo, name)).parameters)
    tried = {key for _, kwargs in CALLS[name].values() for key in kwargs}
    filled = max(len(args) for args, _ in CALLS[name].values())
    assert tried.union(list(inspect.signature(theirs).parameters)[:filled]) == set(inspect.signature(theirs).parameters)


def trajectories(name, dtype):
    """The params after every step, for every call, from either library, in one compiled program."""

    def run(tx):
        def body(carry, g):
            params, state = carry
            updates, state = tx.update(g, state, params)
            params = jax.tree.map(lambda p, u: p + u, params, updates)
            return (params, state), params

        params = jax.tree.map(lambda p: jnp.asarray(p, dtype), split(PARAMS))
        gradients = jax.tree.map(lambda g: jnp.asarray(g, dtype), split(GRADIENTS))
        rows = jax.lax.scan(body, (params, tx.init(params)), gradients)[1]
        return jnp.concatenate([rows["w"], rows["b"]["deep"]], -1)

    def both():
        return {
            call: tuple(run(getattr(library, name)(*args, **kwargs)) for library in (mo, optax))
            for call, (args, kwargs) in CALLS[name].items()
        }

    return jax.jit(both)()


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_each_argument_does_what_it_does_in_optax(name, dtype):
    with jax.enable_x64(dtype == "float64"):
        runs = trajectories(name, dtype)
        for call, (ours, theirs) in runs.items():
            assert ours.dtype == theirs.dtype == dtype
            # Optax forms the update from a first moment that is not yet rounded to `mu_dtype`, and in float32 the
            # weight as `1 - b ** count`, which has lost three digits at first.
            tolerance = 1e-12 if dtype == "float64" else 2e-4
            if "mu_dtype" in call or name in ("scale_by_adam", "scale_by_amsgrad"):
                tolerance = 2e-2 if call == "mu_dtype" else 2e-4 if dtype == "float32" else 1e-6
            size = np.max(np.abs(theirs))
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance * size, err_msg=f"{name}, {call}")
        distinct = {np.asarray(ours).tobytes() for ours, _ in runs.values()}
        assert len(distinct) >= len(CALLS[name]) - 2, "some argument does nothing"


@pytest.mark.parametrize("name", ["adam", "adamw", "amsgrad", "nadam", "nadamw", "adabelief", "yogi"])
def test_bfloat16_params_with_coefficients_that_are_arrays(name):
    """Ours keeps the dtypes and stays near the run in float32; a scan over Optax's cannot be traced."""

    def final(library, dtype, gradients):
        coefficients = (jnp.float32(x) for x in (0.05, 0.8, 0.95, 1e-3))

        def body(carry, g):
            params, state = carry
            updates, state = tx.update(g, state, params)
            return (optax.apply_updates(params, updates), state), None

        tx, params = getattr(library, name)(*coefficients), jnp.asarray(PARAMS, dtype)
        return jax.lax.scan(body, (params, tx.init(params)), jnp.asarray(gradients, dtype))[0][0]

    wide, narrow = (
        jax.jit(lambda dtype=dtype: final(mo, dtype, GRADIENTS[:10]))() for dtype in ("float32", "bfloat16")
    )
    assert narrow.dtype == jnp.bfloat16
    np.testing.assert_allclose(narrow.astype("float32"), wide, atol=0.03)
    if optax.__version__ == "0.2.8":
        with pytest.raises(TypeError, match="carry input and carry output must have equal types"):
            final(optax, "bfloat16", GRADIENTS[:10])
