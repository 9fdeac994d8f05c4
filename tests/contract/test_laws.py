"""Every row of the catalogue, and a few expressions that are in none, under every law."""

import re

import jax
import jax.numpy as jnp
import optax
import pytest
from test_examples import load

import momentum_optax as mo
from momentum_optax import testing
from momentum_optax.catalog import CATALOG


def aggmo_adam(beta, b2):
    return mo.divide(mo.scale_by_aggmo((0.5, beta)), by=mo.root_mean_square(b2, 1e-6))


def blend_of_blends(beta, weight):
    inner = mo.blend((1.0, mo.identity()), (weight, mo.trace(beta, nesterov=True)))
    return mo.blend((0.5, inner), (weight, mo.blend((2.0, mo.ema(beta, nesterov=True)))))


def chain_in_mask(learning_rate, beta):
    chain = optax.chain(mo.ema(beta, debias=False), mo.scale_by_learning_rate(learning_rate))
    return optax.chain(optax.masked(chain, lambda p: jax.tree.map(lambda x: x.ndim > 0, p)), mo.identity())


def quotient_then_velocity(learning_rate, b2, beta):
    """LAPROP's order: divide first, remember then."""
    return optax.chain(
        mo.divide(mo.identity(), by=mo.root_mean_square(b2, 1e-6)),
        mo.ema(beta),
        mo.scale_by_learning_rate(learning_rate),
    )


def everything(learning_rate, beta):
    return mo.nesterov(
        learning_rate,
        beta,
        weight_decay=0.01,
        mask=lambda p: jax.tree.map(lambda x: x.ndim > 0, p),
        state_dtype="bfloat16",
    )


def rmsprop_ahead(learning_rate, decay, momentum):
    """The one that forms its update from its new state."""
    return mo.rmsprop(learning_rate, decay, 1e-6, centered=True, momentum=momentum, nesterov=True, weight_decay=0.01)


# Names something in every tree that the laws use.
SOME = re.compile("nel$|^$|0|^w|row")


def layers_and_a_rule(beta, low, high):
    """A rule for some of the leaves and a number for the others, in an average that is debiased by each alone."""
    return mo.ema(mo.layerwise({SOME: mo.rules.alignment(low, high)}, default=beta))


def rule_for_each_leaf(learning_rate, low, high):
    return mo.nesterov(learning_rate, mo.rules.alignment(low, high, each_leaf=True), weight_decay=0.01)


def methods_by_layer(learning_rate, beta):
    return mo.layerwise_chain({SOME: mo.heavy_ball(learning_rate, beta)}, default=mo.qhm(learning_rate, beta))


NAMES = "the leaves of a tuple have other names, and so other coefficients"
TOGETHER = "a rule decides for all its leaves by what it sees of all of them; with `each_leaf` the law holds"

CASES = [
    testing.Case(m.name, m.build, m.defaults, m.decays, m.debiased, m.exceptions) for m in CATALOG
] + [
    testing.Case("aggmo_adam", aggmo_adam, {"beta": 0.9, "b2": 0.99}, ("beta", "b2"), exceptions={
        "forgets": "one of the two velocities has a beta of .5",
        "unused_memory_costs_nothing": "one of the two velocities has a beta of .5",
    }),
    testing.Case("blend_of_blends", blend_of_blends, {"beta": 0.9, "weight": 0.3}, ("beta",)),
    testing.Case("chain_in_mask", chain_in_mask, {"learning_rate": 0.1, "beta": 0.9}, ("beta",), exceptions={
        "missing_gradients_sit_out": "optax.masked asks a mask that is a function about the updates, and then "
        "cuts the params by a mask that has None where they have an array",
    }),
    testing.Case("quotient_then_velocity", quotient_then_velocity, {"learning_rate": 0.1, "b2": 0.99, "beta": 0.9},
                 ("b2", "beta"), debiased=True),
    testing.Case("everything", everything, {"learning_rate": 0.1, "beta": 0.9}, ("beta",), exceptions={
        "complex_leaves_work": "there is no complex bfloat16: a complex velocity is not rounded as a real one is",
    }),
    testing.Case("rmsprop_ahead", rmsprop_ahead, {"learning_rate": 0.1, "decay": 0.9, "momentum": 0.9},
                 ("decay", "momentum")),
    testing.Case("layers_and_a_rule", layers_and_a_rule, {"beta": 0.9, "low": 0.5, "high": 0.95}, exceptions={
        "containers_do_not_matter": NAMES,
        "bad_arguments_are_refused": "layerwise says for which leaves, not for which argument",
        "missing_gradients_sit_out": TOGETHER,
        "masks_and_partitions_work": TOGETHER,
        "non_finite_is_seen_and_contained": TOGETHER,
    }),
    testing.Case("rule_for_each_leaf", rule_for_each_leaf, {"learning_rate": 0.1, "low": 0.5, "high": 0.95}),
    testing.Case("methods_by_layer", methods_by_layer, {"learning_rate": 0.1, "beta": 0.9}, ("beta",), exceptions={
        "containers_do_not_matter": NAMES,
    }),
] + [
    testing.Case(name, build, {"learning_rate": 0.01, "beta": 0.99})
    for name, build in load("14_three_new_optimizers").COMPOSED.items()
]  # fmt: skip


@pytest.mark.parametrize(
    ("case", "law"),
    [pytest.param(case, law, id=f"{case.name}-{law.name}") for case in CASES for law in testing.laws_of(case)],
)
def test_law_holds(case, law):
    law.holds(case)


# Arguments for which None is a choice.
OPTIONAL = {("wrappers.restart_when", "min_steps"), ("adamw", "weight_decay"), ("nadamw", "weight_decay")}


@pytest.mark.parametrize(
    ("method", "name"),
    [pytest.param(m, h.name, id=f"{m.name}-{h.name}") for m in CATALOG for h in m.hyperparameters],
)
def test_none_is_a_decay_of_zero_and_nothing_else(method, name):
    build = lambda: method.build(**{**method.defaults, name: None}).init(jnp.ones(2))  # noqa: E731
    if name in method.decays or (method.name, name) in OPTIONAL:
        build()
    else:
        elsewhere = "bad_arguments_are_refused" in method.exceptions
        with pytest.raises(TypeError, match="None" if elsewhere else f"{name}|weight"):
            build()
