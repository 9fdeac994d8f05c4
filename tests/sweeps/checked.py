"""A good trial for the tests of checks, each of which spoils a part of it."""

import jax
import jax.numpy as jnp
import optax

from momentum_optax.sweeps.trials.checks import check
from momentum_optax.sweeps.trials.trial import trial as three

KEY = jax.random.key(0)
HYPER = ("learning_rate", "beta")


def sgd(hp):
    return optax.sgd(hp["learning_rate"], hp["beta"])


def init(hp, key):
    params = {"w": jax.random.normal(key, (3,)), "b": jnp.zeros(())}
    return {"params": params, "memory": sgd(hp).init(params), "seen": jnp.zeros((), jnp.int32)}


def step(hp, state, key):
    params = state["params"]
    noise = jax.random.normal(key, (3,))
    loss, gradients = jax.value_and_grad(lambda p: jnp.sum((p["w"] - noise) ** 2) + p["b"] ** 2)(params)
    updates, memory = sgd(hp).update(gradients, state["memory"], params)
    return {"params": optax.apply_updates(params, updates), "memory": memory, "seen": state["seen"] + 1}, loss


def evaluate(hp, state):
    return {"distance": jnp.linalg.norm(state["params"]["w"]), "seen": state["seen"], "done": state["seen"] > 5}


def run(structure=None, hyper=HYPER, **parts):
    parts = {"init": init, "step": step, "evaluate": evaluate} | parts
    trial = three(**parts)
    return check(trial, structure or {}, hyper, trial.draw({}, KEY), trial.plan({}, 0, 1)[0])


def stepping(change):
    """A step that ends with `change(state, loss)`."""
    return lambda hp, state, key: change(*step(hp, state, key))
