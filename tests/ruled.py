"""What the tests of rules share: each of them, quick to react, and a few updates under it."""

import jax
import jax.numpy as jnp
import optax

import momentum_optax as mo

NAMES = ["alignment", "hypergradient", "yellowfin", "plateau", "lipschitz_ratio"]


PARAMS = {"a": {"w": jnp.arange(4.0).reshape(2, 2) - 1, "b": jnp.ones(2)}, "c": jnp.asarray(0.5)}


def rule(name, **numbers):
    """Quick to react, so that a few updates show it."""
    return {
        "alignment": lambda: mo.rules.alignment(**{"low": 0.2, "high": 0.9, "decay": 0.5, **numbers}),
        "hypergradient": lambda: mo.rules.hypergradient(**{"rate": 0.01, "start": 0.6, **numbers}),
        "yellowfin": lambda: mo.rules.yellowfin(**{"decay": 0.8, "window": 3, **numbers}).beta,
        "plateau": lambda: mo.rules.plateau(**{"start": 0.5, "patience": 1, **numbers}),
        "lipschitz_ratio": lambda: mo.rules.lipschitz_ratio(**{"delta": 0.1, **numbers}),
    }[name]()


def gradients(t, params=PARAMS):
    """Different at every step and in every entry, and near to the params."""
    return jax.tree.map(lambda p: p + 0.3 * jnp.sin(3.0 * t + jnp.arange(p.size).reshape(p.shape)), params)


def run(tx, steps=5, params=PARAMS, spoil=lambda g, t: g):
    """The params and the state after some updates with a loss that does not fall."""

    @jax.jit
    def body(params, state, t):
        updates, state = tx.update(spoil(gradients(t, params), t), state, params, value=jnp.cos(2.0 * t) + 2)
        return mo.apply_updates(params, updates), state

    state = tx.init(params)
    for t in range(steps):
        params, state = body(params, state, jnp.asarray(float(t)))
    return params, state


def decided(state):
    """Everything that rules decided on, wherever in the state they are."""
    return [leaf for _, tree in optax.tree.get_all_with_path(state, "values") for leaf in jax.tree.leaves(tree)]


def finite(tree):
    return all(bool(jnp.all(jnp.isfinite(x))) for x in jax.tree.leaves(tree))
