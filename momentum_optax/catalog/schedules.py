"""Schedules of the momentum coefficient, each at work in a trace."""

import functools
from collections.abc import Callable
from typing import Any

import optax

from .. import schedules
from .._method import Hyperparameter, Method
from .._types import Coefficient
from ..filters.trace import trace
from ..optimizers.nesterov import nesterov
from ..schedules.restarts import warm_restarts
from ._shared import BETA, LEARNING_RATE

_START = Hyperparameter("start", 0.95, 0.0, 0.999, "one-minus-log")
_END = Hyperparameter("end", 0.5, 0.0, 0.999, "one-minus-log")
_STEPS = Hyperparameter("steps", 1000, 1, 1e6, "log")
_BASE = Hyperparameter("base", 0.95, 0.0, 0.999, "one-minus-log")
_LOW = Hyperparameter("low", 0.85, 0.0, 0.999, "one-minus-log")

_SMITH = (
    'Smith (2018), "A disciplined approach to neural network hyper-parameters: Part 1"',
    "https://arxiv.org/abs/1803.09820",
)
_SGDR = (
    'Loshchilov and Hutter (2016), "SGDR: Stochastic Gradient Descent with Warm Restarts"',
    "https://arxiv.org/abs/1608.03983",
)
_SMALL_BATCH = (
    'Marek et al. (2025), "Small Batch Size Training for Language Models"',
    "https://arxiv.org/abs/2507.07101",
)


def _in_trace(schedule: Callable[..., Coefficient]) -> Callable[..., optax.GradientTransformationExtraArgs]:
    """The maker of a trace whose beta is the schedule."""

    @functools.wraps(schedule)
    def build(**hyperparameters: Any) -> optax.GradientTransformationExtraArgs:
        return trace(schedule(**hyperparameters))

    return build


def _piecewise(first, last, boundary):
    return trace(schedules.piecewise([first, last], [boundary]))


def _warm_restarts(learning_rate, period, t_mult, beta):
    both = warm_restarts(learning_rate, period, t_mult=t_mult, beta=beta)
    return nesterov(both.learning_rate, both.beta)


SCHEDULES: tuple[Method, ...] = (
    Method(
        "schedules.linear", _in_trace(schedules.linear), "coefficient", "from one beta to another along a line",
        "beta = start + (end - start) * min(count / steps, 1)",
        *_SMITH,
        hyperparameters=(_START, _END, _STEPS),
    ),
    Method(
        "schedules.cosine", _in_trace(schedules.cosine), "coefficient", "from one beta to another along half a wave",
        "beta = end + (start - end) * (1 + cos(pi * min(count / steps, 1))) / 2",
        *_SGDR,
        hyperparameters=(_START, _END, _STEPS),
    ),
    Method(
        "schedules.warmup", _in_trace(schedules.warmup), "coefficient", "a lower beta at first",
        "beta = start + (end - start) * min(count / (fraction * steps), 1)",
        'Jordan et al. (2024), "modded-nanogpt"', "https://github.com/KellerJordan/modded-nanogpt",
        hyperparameters=(
            Hyperparameter("steps", 300, 1, 1e5, "log"),
            Hyperparameter("start", 0.85, 0.0, 0.999, "one-minus-log"),
            Hyperparameter("end", 0.95, 0.0, 0.999, "one-minus-log"),
            Hyperparameter("fraction", 1.0, 0.0, 1.0),
        ),
    ),
    Method(
        "schedules.demon", _in_trace(schedules.demon), "coefficient", "the total weight of a gradient falls along a line to 0",
        "beta = beta * f / ((1 - beta) + beta * f), f = max(1 - count / steps, 0)",
        'Chen, Wolfe, Li and Kyrillidis (2019), "Demon: Improved Neural Network Training with Momentum Decay"',
        "https://arxiv.org/abs/1910.04952",
        hyperparameters=(BETA, _STEPS),
    ),
    Method(
        "schedules.sutskever", _in_trace(schedules.sutskever), "coefficient", "grows by stages of 250 updates",
        "beta = min(1 - 2^(-1 - log2(floor(count / 250) + 1)), max_beta)",
        'Sutskever, Martens, Dahl and Hinton (2013), "On the importance of initialization and momentum in deep learning"',
        "https://proceedings.mlr.press/v28/sutskever13.html",
        hyperparameters=(Hyperparameter("max_beta", 0.99, 0.0, 0.999, "one-minus-log"),),
    ),
    Method(
        "schedules.nesterov_sequence", _in_trace(schedules.nesterov_sequence), "coefficient",
        "for convex losses, in the simple form",
        "beta = max(count - 1, 0) / (count + 2)",
        'Su, Boyd and Candes (2014), "A Differential Equation for Modeling Nesterov\'s Accelerated Gradient Method"',
        "https://arxiv.org/abs/1503.01243",
    ),
    Method(
        "schedules.fista_sequence", _in_trace(schedules.fista_sequence), "coefficient",
        "for convex losses, in Nesterov's own form",
        "beta = (t_k - 1) / t_(k+1) at count k; t_(k+1) = (1 + sqrt(1 + 4 * t_k^2)) / 2, t_1 = 1",
        'Beck and Teboulle (2009), "A Fast Iterative Shrinkage-Thresholding Algorithm for Linear Inverse Problems"',
        "https://doi.org/10.1137/080716542",
    ),
    Method(
        "schedules.one_cycle", _in_trace(schedules.one_cycle), "coefficient",
        "down and up again, the mirror image of a one-cycle learning rate",
        "beta from base to low at pct * steps, and back to base at steps",
        *_SMITH,
        hyperparameters=(_STEPS, _BASE, _LOW, Hyperparameter("pct", 0.3, 0.0, 1.0)),
    ),
    Method(
        "schedules.cyclic", _in_trace(schedules.cyclic), "coefficient", "one cycle after the other",
        "beta = one_cycle(count mod period)",
        'Smith (2015), "Cyclical Learning Rates for Training Neural Networks"', "https://arxiv.org/abs/1506.01186",
        hyperparameters=(
            Hyperparameter("period", 200, 1, 1e5, "log"), _BASE, _LOW, Hyperparameter("pct", 0.5, 0.0, 1.0),
        ),
    ),
    Method(
        "schedules.piecewise", _piecewise, "coefficient", "numbers and schedules one after the other",
        "beta = values[i], i the number of boundaries that the count has reached",
        *_SMITH,
        hyperparameters=(
            Hyperparameter("first", 0.85, 0.0, 0.999, "one-minus-log"),
            Hyperparameter("last", 0.95, 0.0, 0.999, "one-minus-log"),
            Hyperparameter("boundary", 300, 1, 1e5, "log"),
        ),
        exceptions={"bad_arguments_are_refused": "the numbers are in lists, and the message names their places there"},
    ),
    Method(
        "schedules.from_half_life", _in_trace(schedules.from_half_life), "coefficient",
        "a gradient's weight halves after so many tokens",
        "beta = 2^(-tokens_per_step / tokens)",
        *_SMALL_BATCH,
        hyperparameters=(
            Hyperparameter("tokens", 1e7, 1e5, 1e9, "log"), Hyperparameter("tokens_per_step", 5e5, 1e3, 1e7, "log"),
        ),
        exceptions={"bad_arguments_are_refused": "a tree of half-lives is a tree of betas, and refused as such"},
    ),
    Method(
        "schedules.rescale_beta", _in_trace(schedules.rescale_beta), "coefficient", "k steps in one, as for a larger batch",
        "beta = beta^k",
        *_SMALL_BATCH,
        hyperparameters=(BETA, Hyperparameter("k", 4.0, 0.01, 100.0, "log")), decays=("beta",),
    ),
    Method(
        "schedules.warm_restarts", _warm_restarts, "coefficient",
        "a learning rate, a beta and the times to reset the velocity, by one clock",
        "learning_rate = min_learning_rate + (peak - min_learning_rate) * (1 + cos(pi * fraction of the cycle)) / 2",
        *_SGDR,
        hyperparameters=(
            LEARNING_RATE,
            Hyperparameter("period", 100, 1, 1e5, "log"),
            Hyperparameter("t_mult", 2.0, 1.0, 4.0),
            BETA,
        ),
    ),
)  # fmt: skip
