"""Wrappers that keep bad gradients out of the velocity, and those that change when it sees a gradient."""

from .. import _coefficient as coefficient
from .._method import Hyperparameter, Method
from ..optimizers.heavy_ball import heavy_ball
from ..wrappers.accumulate_into import accumulate_into
from ..wrappers.clip_by_velocity import clip_by_velocity
from ..wrappers.guard_finite import guard_finite
from ..wrappers.lazy import lazy
from ..wrappers.skip_spikes import skip_spikes
from ._shared import BETA, LEARNING_RATE


def _clip_by_velocity(learning_rate, beta, ratio):
    return clip_by_velocity(heavy_ball(learning_rate, beta), ratio)


def _skip_spikes(learning_rate, beta, threshold):
    return skip_spikes(heavy_ball(learning_rate, beta), threshold)


def _guard_finite(learning_rate, beta):
    return guard_finite(heavy_ball(learning_rate, beta), per_leaf=True)


def _accumulate_into(learning_rate, beta):
    beta = coefficient.check("beta", beta, _ABOVE_ZERO)
    return accumulate_into(heavy_ball(learning_rate, beta), 2)


def _lazy(learning_rate, beta):
    return lazy(heavy_ball(learning_rate, beta))


# At a plain 0 there would be no velocity to accumulate into.
_ABOVE_ZERO = coefficient.Range("in (0, 1)", lambda x: (x > 0) & (x < 1))

DEFENCE: tuple[Method, ...] = (
    Method(
        "wrappers.clip_by_velocity", _clip_by_velocity, "wrapper", "no gradient larger than the velocity makes one expect",
        "g <- g * min(1, ratio * usual * |velocity| / |g|); usual <- average of |g| / |velocity|",
        'Beltagy (2023), "per-parameter gradient clipping if it x% larger than exp_avg"',
        "https://github.com/allenai/OLMo/issues/266",
        hyperparameters=(LEARNING_RATE, BETA, Hyperparameter("ratio", 1.2, 1.0, 10.0, "log")), decays=("beta",),
        exceptions={
            "forgets": "at a traced beta of 0 the velocity is the last gradient, and limits this one",
        },
    ),
    Method(
        "wrappers.skip_spikes", _skip_spikes, "wrapper", "a step with an outlier of a gradient is not taken",
        "update <- 0, state <- state where log|g| > mean + threshold * deviation, both of the log|g| of the last steps",
        'Kumar, Owen, Chowdhury and Güra (2025), "ZClip: Adaptive Spike Mitigation for LLM Pre-Training"',
        "https://arxiv.org/abs/2504.02507",
        hyperparameters=(LEARNING_RATE, BETA, Hyperparameter("threshold", 4.0, 2.0, 10.0, "log")), decays=("beta",),
        exceptions={
            "missing_gradients_sit_out": "the statistics are of the norm of the whole tree, of which a leaf is missing",
            "non_finite_is_seen_and_contained": "such a gradient is skipped, which is what the wrapper is for",
        },
    ),
    Method(
        "wrappers.guard_finite", _guard_finite, "wrapper", "gradients that are not finite leave no trace",
        "update <- 0, state <- state where g is not finite",
        'Optax, "optax.apply_if_finite"',
        "https://optax.readthedocs.io/en/latest/api/transformations.html#optax.apply_if_finite",
        hyperparameters=(LEARNING_RATE, BETA), decays=("beta",),
        exceptions={
            "non_finite_is_seen_and_contained": "such a gradient is left out, which is what the wrapper is for",
        },
    ),
    Method(
        "wrappers.accumulate_into", _accumulate_into, "wrapper", "micro-batches averaged inside the velocity",
        "velocity <- (beta * velocity at the first of k, else velocity) + g / k; update <- -learning_rate * velocity at "
        "the last of k, else 0",
        'Optax, "optax.MultiSteps"',
        "https://optax.readthedocs.io/en/latest/api/optimizer_wrappers.html#optax.MultiSteps",
        hyperparameters=(LEARNING_RATE, Hyperparameter("beta", 0.9, 0.5, 0.999, "one-minus-log")),
        exceptions={
            "non_finite_is_seen_and_contained": "updates are zero but for every second, whose velocity holds both gradients",
        },
    ),
    Method(
        "wrappers.lazy", _lazy, "wrapper", "rows without gradient stay where they are",
        "update <- tx's update if row is present else 0; its velocity freezes, decays, or catches up",
        'Honnibal (2016), "Sparse update for embedding matrix technically incorrect for momentum (but probably better)"',
        "https://github.com/clab/dynet/issues/70",
        hyperparameters=(LEARNING_RATE, BETA), decays=("beta",),
    ),
)  # fmt: skip
