"""What a compiled, donated update costs beside its own arrays: nothing of the tree's size."""

from functools import partial

import jax
import jax.numpy as jnp
import optax
import pytest
from around_adam import WRAPPERS, around_adam
from compiling import AS_FOR_USERS

import momentum_optax as mo
from momentum_optax._compiled import compiler_options
from momentum_optax.catalog import CATALOG

SHAPES = {"kernel": (300, 400), "bias": (100_000,)}
# What they read is written over before; of all rows, only these keep a copy without `make_step`'s compiler options.
READS_THE_PAST = {"adan", "difference", "mars", "pid", "polyak_heavy_ball", "track"}
READS_THE_PAST |= {"rules.hypergradient", "rules.lipschitz_ratio"}
READS_THE_PAST |= {"wrappers.guard_finite", "wrappers.restart_every", "wrappers.skip_spikes"}
# Sums are taken in parts, in float32, one of which stands for 50 numbers or more; several sums at most for 25.
SUMS = {"adai", "adaptive_storm", "cautious", "centralize", "gradient_correction", "mars", "nigt", "orthograd", "tiger"}
SUMS |= {"orthogonal_to_params", "polyak_heavy_ball", "root_factored", "torque_aware", "track"}
SUMS |= {"rules.alignment", "rules.hypergradient", "rules.lipschitz_ratio", "rules.plateau", "rules.yellowfin"}
SUMS |= {"wrappers.clip_by_velocity", "wrappers.guard_finite", "wrappers.lazy", "wrappers.restart_when"}
SUMS |= {"wrappers.skip_spikes"}
PARTS = 0.04
# Arrays of the tree's size that remain, in units of the params; with float32 and with bfloat16 params.
# The products of matrices: two squares and a factor in float32, of one matrix after the other, which is half the tree.
REMAINS = {"orthogonal_factor": (2, 4), "scion": (2, 4), "muon": (2.4, 4.8), "normuon": (2.4, 4.8)}
# The velocity and the answer after the step, until an inner product of these tells whether the velocity begins anew.
REMAINS |= {"wrappers.restart_when": (4, 6)}
# In bfloat16 what is rounded and then used twice is kept: an update that a velocity takes in or that is measured.
REMAINS |= {"outer_momentum": (0, 1), "rules.lipschitz_ratio": (0, 1), "track": (0, 1)}
# So is a velocity of which it depends on the gradient whether it takes the place of the old one.
REMAINS |= {"wrappers.guard_finite": (0, 1), "wrappers.skip_spikes": (0, 1)}
# Newer compilers write out what is dear and used twice: a corrected gradient.
if jax.__version_info__ >= (0, 11):
    REMAINS |= {"mars": (0, 2)}
# The same around `adam`, whose update is not in its state as a velocity is: a wrapper that uses it twice needs a tree
# for it, of float32 (twice the params in bfloat16) unless it is rounded first; where vectors pass, for the matrices.
AROUND_ADAM = {
    "cautious": (1.02, 2.03),
    "clip_by_velocity": (0.03, 1.01),
    "ema_nesterov": (1, 2),
    "grams": (0, 0),
    "guard_finite": (0.02, 2),
    "lazy": (0, 0.01),
    "lookahead": (0, 0),
    "orthogonal_to_params": (0.58, 1.17),
    "outer_momentum": (1, 1),
    "restart_every": (0, 1),
    "restart_when": (1, 1.01),
    "schedule_free": (1, 2),
    "skip_spikes": (0.02, 2),
    "torque_aware": (0.02, 0.05),
    "track": (1.02, 1.05),
}

DTYPES = [jnp.float32, jnp.bfloat16]


def temporary_share(tx, options, dtype=jnp.float32):
    params = {name: jax.ShapeDtypeStruct(shape, dtype) for name, shape in SHAPES.items()}

    def step(params, state, gradient):
        updates, state = tx.update(gradient, state, params)
        return mo.apply_updates(params, updates), state

    jitted = jax.jit(step, donate_argnums=(0, 1), compiler_options=AS_FOR_USERS | options)
    compiled = jitted.lower(params, jax.eval_shape(tx.init, params), params).compile()
    size = sum(p.size * p.dtype.itemsize for p in params.values())
    return compiled.memory_analysis().temp_size_in_bytes / size


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: d.__name__)
@pytest.mark.parametrize("method", CATALOG, ids=lambda m: m.name)
def test_no_temporary_of_the_size_of_the_tree(method, dtype):
    low = dtype == jnp.bfloat16
    options = compiler_options() if low or method.name in READS_THE_PAST else {}
    parts = PARTS * (1 + low) if method.name in SUMS else 0
    remains = REMAINS.get(method.name, (0, 0))[low]
    assert temporary_share(method.build(**method.defaults), options, dtype) < remains + parts + 0.02


@pytest.mark.parametrize("name", sorted(READS_THE_PAST))
def test_who_reads_the_past_keeps_a_copy_without_the_option(name):
    (method,) = (method for method in CATALOG if method.name == name)
    assert temporary_share(method.build(**method.defaults), {}) > 0.9


@pytest.mark.parametrize(
    "direction", [mo.scale_by_lion(b2=0.0), mo.bank((0.5, 0.9, 0.99))], ids=["lion, b2 = 0", "bank before a rate"]
)
def test_so_do_two_that_are_no_rows(direction):
    tx = optax.chain(direction, mo.scale_by_learning_rate(0.1))
    assert temporary_share(tx, {}) > 0.9
    assert temporary_share(tx, compiler_options()) < 0.02


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: d.__name__)
@pytest.mark.parametrize("name", WRAPPERS)
def test_wrappers_around_adam_keep_what_is_on_record(name, dtype):
    """By `jit` alone. In both directions: whoever mends one changes the record, and what RESULTS.md says."""
    share = temporary_share(around_adam(name), compiler_options(), dtype)
    assert abs(share - AROUND_ADAM[name][dtype == jnp.bfloat16]) < 0.03


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: d.__name__)
@pytest.mark.parametrize("centered", [False, True])
@pytest.mark.parametrize("build", [partial(mo.rmsprop, 0.1), mo.scale_by_rmsprop], ids=["optimizer", "direction"])
def test_a_quotient_that_is_remembered_and_looked_ahead_along_is_not_kept(build, centered, dtype):
    tx = build(centered=centered, momentum=0.9, nesterov=True)
    assert temporary_share(tx, {}, dtype) < 0.01


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: d.__name__)
def test_no_temporary_for_a_gradient_that_is_corrected_by_the_last_one(dtype):
    """`mars` of the catalogue asks for a second gradient; the approximate one overwrites what it reads three times."""
    share = temporary_share(mo.mars(0.1, approximate=True), compiler_options(), dtype)
    assert share < REMAINS.get("mars", (0, 0))[dtype == jnp.bfloat16] + PARTS * (1 + (dtype == jnp.bfloat16)) + 0.02


def test_a_bfloat16_velocity_needs_no_temporary():
    assert temporary_share(mo.heavy_ball(0.1, state_dtype=jnp.bfloat16), {}) < 0.01


def test_a_copy_would_be_seen():
    assert temporary_share(mo.difference(), {}) > 0.9
