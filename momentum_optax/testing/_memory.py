"""Laws about what is remembered."""

import jax
import jax.numpy as jnp

from ._case import STEPS, Case, at_step, largest, largest_difference, loop, make_gradients, make_params, same


def beta_matters(case: Case) -> None:
    """Two values of a decay give two trajectories."""
    params = make_params()
    gradients = make_gradients(params)
    for name in case.decays:
        few, many = (loop(case.make(**{name: value}), params, gradients, 3)[0][-1] for value in (0.2, 0.8))
        assert largest_difference(few, many) > 1e-3 * largest(few), f"{name} = .2 and .8 give the same third update"


def forgets(case: Case) -> None:
    """With all decays at 0, written down or traced, an update depends on its own gradient only."""
    params = make_params()
    gradients, others = make_gradients(params), make_gradients(params, seed=2)
    others = jax.tree.map(lambda g, o: o.at[STEPS - 1].set(g[STEPS - 1]), gradients, others)
    results = []
    for zero in (0.0, jnp.zeros(())):
        tx = case.make(**dict.fromkeys(case.decays, zero))
        results += [loop(tx, params, history)[0][-1] for history in (gradients, others)]
    for result in results[1:]:
        same(result, results[0], "with decays at 0 the past still shows")


def debiasing_is_exact(case: Case) -> None:
    """Under a constant gradient the update is constant, also while the decays jump from .5 to .99."""
    params = make_params()
    g = at_step(make_gradients(params), 0)
    gradients = jax.tree.map(lambda x: jnp.broadcast_to(x, (8, *x.shape)), g)
    jump = dict.fromkeys(case.decays, lambda count: jnp.where(count < 4, 0.5, 0.99))
    updates, _ = loop(case.make(**jump), params, gradients, 8)
    for i, update in enumerate(updates):
        same(update, updates[0], f"update {i} of a constant gradient differs from the first", 1e-5)


def unused_memory_costs_nothing(case: Case) -> None:
    """With all decays a plain 0, or None, nothing of the params' size is kept."""
    params = {"kernel": jnp.ones((3, 2)), "bias": jnp.ones(5)}
    shapes = {(3, 2), (5,)}
    for zero in (0.0, 0, None):
        tx = case.make(**dict.fromkeys(case.decays, zero))
        state = tx.init(params)
        _, after = tx.update(params, state, params)
        for tree in (state, after):
            kept = [leaf.shape for leaf in jax.tree.leaves(tree) if leaf.shape in shapes]
            assert not kept, f"with decays {zero!r} the state keeps arrays of shapes {kept}"
