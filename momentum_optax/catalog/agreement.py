"""Gradient, velocity and params: what is done where they agree, or do not."""

from .._method import Hyperparameter, Method
from ..directions.centralize import centralize
from ..directions.orthograd import orthograd
from ..optimizers.heavy_ball import heavy_ball
from ..wrappers.cautious import cautious
from ..wrappers.grams import grams
from ..wrappers.orthogonal_to_params import orthogonal_to_params
from ..wrappers.torque_aware import torque_aware
from ._shared import BETA, LEARNING_RATE


def _cautious(learning_rate, beta, eps):
    return cautious(heavy_ball(learning_rate, beta), eps)


def _grams(learning_rate, beta):
    return grams(heavy_ball(learning_rate, beta))


def _torque_aware(learning_rate, beta, decay):
    return torque_aware(heavy_ball(learning_rate, beta), decay)


def _orthogonal_to_params(learning_rate, beta, delta):
    return orthogonal_to_params(heavy_ball(learning_rate, beta), delta)


AGREEMENT: tuple[Method, ...] = (
    Method(
        "cautious", _cautious, "wrapper", "no number of a step goes against its gradient",
        "update <- u * mask / max(mean(mask), eps), mask = 1 where u goes down g, else 0",
        'Liang, Chen, Liu and Liu (2024), "Cautious Optimizers: Improving Training with One Line of Code"',
        "https://arxiv.org/abs/2411.16085",
        hyperparameters=(LEARNING_RATE, BETA, Hyperparameter("eps", 1e-3, 1e-4, 1.0, "log")), decays=("beta",),
    ),
    Method(
        "grams", _grams, "wrapper", "as far as the momentum goes, where the gradient points",
        "update <- -|u| * sign(g)",
        'Cao, Li and Song (2024), "Grams: Gradient Descent with Adaptive Momentum Scaling"',
        "https://arxiv.org/abs/2412.17107",
        hyperparameters=(LEARNING_RATE, BETA), decays=("beta",),
    ),
    Method(
        "torque_aware", _torque_aware, "wrapper", "gradients damped by their angle with the velocity",
        "alignment <- decay * alignment + (1 - decay) * cos(g, velocity); g <- (eps + (1 + alignment) / 2) * g",
        "Malviya, Mordido, Baratin, Babanezhad Harikandeh, Dziugaite, Pascanu and Chandar (2024), "
        '"Torque-Aware Momentum"',
        "https://arxiv.org/abs/2412.18790",
        hyperparameters=(LEARNING_RATE, BETA, Hyperparameter("decay", 0.9, 0.0, 0.99, "one-minus-log")), decays=("beta",),
        exceptions={
            "forgets": "the alignment is remembered, and at a traced beta of 0 the velocity is the last gradient",
        },
    ),
    Method(
        "orthogonal_to_params", _orthogonal_to_params, "wrapper", "steps across params whose length does nothing",
        "update <- u - <u, params> / <params, params> * params where |cos(g, params)| <= delta / sqrt(n), else u",
        'Heo, Chun, Oh, Han, Yun, Kim, Uh and Ha (2020), "AdamP: Slowing Down the Slowdown for Momentum Optimizers on '
        'Scale-invariant Weights"',
        "https://arxiv.org/abs/2006.08217",
        hyperparameters=(LEARNING_RATE, BETA, Hyperparameter("delta", 0.1, 0.01, 1.0, "log")), decays=("beta",),
    ),
    Method(
        "orthograd", orthograd, "direction", "gradients without the part along the params, as long as before",
        "across <- g - <g, params> / <params, params> * params; update <- across * |g| / |across|",
        'Prieto, Barsbey, Mediano and Birdal (2025), "Grokking at the Edge of Numerical Stability"',
        "https://arxiv.org/abs/2501.04697",
    ),
    Method(
        "centralize", centralize, "direction", "gradients without their mean over the inputs",
        "update <- g - mean(g) over all axes but that of the outputs",
        'Yong, Huang, Hua and Zhang (2020), "Gradient Centralization: A New Optimization Technique for Deep Neural '
        'Networks"',
        "https://arxiv.org/abs/2004.01461",
    ),
)  # fmt: skip
