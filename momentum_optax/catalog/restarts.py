"""Methods that let momentum begin anew."""

from .._method import Hyperparameter, Method
from ..optimizers.heavy_ball import heavy_ball
from ..optimizers.nesterov import nesterov
from ..optimizers.srsgd import srsgd
from ..wrappers.restart_every import restart_every
from ..wrappers.restart_when import restart_when
from ._shared import BETA, LEARNING_RATE

_ODONOGHUE = (
    'O\'Donoghue and Candes (2015), "Adaptive Restart for Accelerated Gradient Schemes"',
    "https://arxiv.org/abs/1204.3982",
)


def _restart_every(learning_rate, beta, period):
    return restart_every(heavy_ball(learning_rate, beta), period)


def _restart_when(learning_rate, beta, min_steps):
    return restart_when(nesterov(learning_rate, beta), "gradient", min_steps=min_steps)


RESTARTS: tuple[Method, ...] = (
    Method(
        "wrappers.restart_every", _restart_every, "wrapper", "the velocity begins anew at fixed intervals",
        "after every period updates: velocity <- keep * velocity; weight <- keep * weight; count <- 0",
        *_ODONOGHUE,
        hyperparameters=(LEARNING_RATE, BETA, Hyperparameter("period", 50.0, 2.0, 1000.0, "log")), decays=("beta",),
    ),
    Method(
        "wrappers.restart_when", _restart_when, "wrapper", "the velocity begins anew when it does harm",
        "if <g, step> > 0 (or the value rose, or the step became shorter): velocity <- keep * velocity; count <- 0",
        *_ODONOGHUE,
        hyperparameters=(LEARNING_RATE, BETA, Hyperparameter("min_steps", 1.0, 1.0, 100.0, "log")), decays=("beta",),
        exceptions={
            "non_finite_is_seen_and_contained": "one decision for all leaves: an infinite gradient in one restarts, or "
            "keeps from restarting, the others",
        },
    ),
    Method(
        "srsgd", srsgd, "optimizer", "Nesterov's growing momentum, taken away at fixed intervals",
        "theta <- params - learning_rate * g; params <- theta + j / (j + 3) * (theta - previous theta), "
        "j = (t - 1) mod period",
        'Wang, Nguyen, Sun, Bertozzi, Baraniuk and Osher (2020), "Scheduled Restart Momentum for Accelerated Stochastic '
        'Gradient Descent"',
        "https://arxiv.org/abs/2002.10583",
        hyperparameters=(LEARNING_RATE, Hyperparameter("period", 40, 1, 1000, "log")),
    ),
)  # fmt: skip
