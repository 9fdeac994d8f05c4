"""Variance reduction with two gradients of one batch."""

from typing import Any

import jax
import optax

from .._method import Hyperparameter, Method
from ..directions.gradient_correction import gradient_correction
from ..filters.two_point_difference import two_point_difference
from ..optimizers.mars import mars
from ..optimizers.storm import adaptive_storm, storm
from ._shared import LEARNING_RATE

_STORM = (
    'Cutkosky and Orabona (2019), "Momentum-Based Variance Reduction in Non-Convex SGD"',
    "https://arxiv.org/abs/1905.10018",
)
_MARS = (
    'Yuan, Liu, Wu, Zhou and Gu (2024), "MARS: Unleashing the Power of Variance Reduction for Training Large Models"',
    "https://arxiv.org/abs/2411.10438",
)


def _supplied(tx: optax.GradientTransformationExtraArgs) -> optax.GradientTransformationExtraArgs:
    """Where no second gradient is given, as under the laws, half the first stands for it."""

    def update(updates, state, params=None, *, previous_gradient: Any = None, **extra):
        if previous_gradient is None:
            previous_gradient = jax.tree.map(lambda g: g / 2, updates)
        return tx.update(updates, state, params, previous_gradient=previous_gradient, **extra)

    return optax.GradientTransformationExtraArgs(tx.init, update)


def _two_point_difference():
    return _supplied(two_point_difference())


def _gradient_correction(beta, gamma):
    return _supplied(gradient_correction(beta, gamma))


def _mars(learning_rate, b1, b2, eps, gamma):
    return _supplied(mars(learning_rate, b1, b2, eps, gamma))


def _storm(learning_rate, a):
    return _supplied(storm(learning_rate, a))


def _adaptive_storm(k, w, c):
    return _supplied(adaptive_storm(k, w, c))


_GAMMA = Hyperparameter("gamma", 0.025, 0.0, 1.0)
_POOLED = "one norm for all leaves together"

TWO_POINT: tuple[Method, ...] = (
    Method(
        "two_point_difference", _two_point_difference, "filter", "change of the gradient since the last params, on one batch; needs `previous_gradient=`",
        "update <- g - previous_gradient",
        *_STORM,
    ),
    Method(
        "gradient_correction", _gradient_correction, "direction", "gradients that make up for the lag of an average to come; needs `previous_gradient=`",
        "update <- g + gamma * beta / (1 - beta) * (g - previous_gradient), of norm 1 at most",
        *_MARS,
        hyperparameters=(Hyperparameter("beta", 0.95, 0.0, 0.999, "one-minus-log"), _GAMMA),
        decays=("beta",),
    ),
    Method(
        "mars", _mars, "optimizer", "AdamW of corrected gradients; needs `previous_gradient=`, or approximates it",
        "c <- g + gamma * b1 / (1 - b1) * (g - previous_gradient), of norm 1 at most; "
        "params <- params - learning_rate * ema(c) / (root_mean_square(c) + eps)",
        *_MARS,
        hyperparameters=(
            LEARNING_RATE,
            Hyperparameter("b1", 0.95, 0.0, 0.999, "one-minus-log"),
            Hyperparameter("b2", 0.99, 0.9, 0.99999, "one-minus-log"),
            Hyperparameter("eps", 1e-8, 1e-12, 1e-3, "log"),
            _GAMMA,
        ),
        decays=("b1", "b2"),
    ),
    Method(
        "storm", _storm, "optimizer", "an average that a second gradient carries along; needs `previous_gradient=`",
        "velocity <- g + (1 - a) * (velocity - previous_gradient); params <- params - learning_rate * velocity",
        *_STORM,
        hyperparameters=(LEARNING_RATE, Hyperparameter("a", 0.1, 1e-3, 1.0, "log")),
    ),
    Method(
        "adaptive_storm", _adaptive_storm, "optimizer", "the same with both coefficients from the gradients; needs `previous_gradient=`",
        "learning_rate <- k / (w + sum of |g|^2)^(1/3); next_a <- c * learning_rate^2; "
        "velocity <- g + (1 - a) * (velocity - previous_gradient); params <- params - learning_rate * velocity",
        *_STORM,
        hyperparameters=(
            Hyperparameter("k", 0.1, 1e-3, 10.0, "log"),
            Hyperparameter("w", 0.1, 1e-3, 10.0, "log"),
            Hyperparameter("c", 10.0, 0.1, 1000.0, "log"),
        ),
        exceptions={
            "missing_gradients_sit_out": _POOLED,
            "masks_and_partitions_work": _POOLED,
            "non_finite_is_seen_and_contained": _POOLED,
        },
    ),
)  # fmt: skip
