"""Methods that answer with an average of the points they went through, and the one that trains ahead of its answer."""

from .._method import Hyperparameter, Method
from ..optimizers.heavy_ball import heavy_ball
from ..optimizers.nigt import nigt
from ..optimizers.schedule_free_adamw import schedule_free_adamw
from ..optimizers.schedule_free_sgd import schedule_free_sgd
from ..wrappers.schedule_free import schedule_free
from ._shared import BETA, LEARNING_RATE

_SOURCE = (
    'Defazio, Yang, Mehta, Mishchenko, Khaled and Cutkosky (2024), "The Road Less Scheduled"',
    "https://arxiv.org/abs/2405.15682",
)
_B1 = Hyperparameter("b1", 0.9, 0.5, 0.99, "one-minus-log")
_POWER = Hyperparameter("weight_lr_power", 2.0, 0.0, 4.0)
_AVERAGED = {"unused_memory_costs_nothing": "the average of all points; with b1 = 0 in the place of z"}


def _schedule_free(learning_rate, b1, weight_lr_power):
    return schedule_free(heavy_ball(learning_rate, 0.0), learning_rate, b1, weight_lr_power)


AVERAGING: tuple[Method, ...] = (
    Method(
        "schedule_free", _schedule_free, "wrapper", "an average in the place of a schedule, around any optimizer; trains between both",
        "z <- z + u; x <- x + max_lr^power / (sum of max_lr^power) * (z - x); params <- (1 - b1) * z + b1 * x",
        *_SOURCE,
        hyperparameters=(LEARNING_RATE, _B1, _POWER), decays=("b1",), exceptions=_AVERAGED,
    ),
    Method(
        "schedule_free_sgd", schedule_free_sgd, "optimizer", "gradient descent that needs no schedule",
        "z <- z - learning_rate * g; x <- x + max_lr^power / (sum of max_lr^power) * (z - x); params <- (1 - b1) * z + b1 * x",
        *_SOURCE,
        hyperparameters=(Hyperparameter("learning_rate", 1.0, 1e-3, 100.0, "log"), _B1, _POWER),
        decays=("b1",), exceptions=_AVERAGED,
    ),
    Method(
        "schedule_free_adamw", schedule_free_adamw, "optimizer", "AdamW that needs no schedule",
        "second_moment <- b2 * second_moment + (1 - b2) * |g|^2; z <- z - learning_rate * g / (sqrt(debiased second_moment) + eps); "
        "x <- x + max_lr^power / (sum of max_lr^power) * (z - x); params <- (1 - b1) * z + b1 * x",
        *_SOURCE,
        hyperparameters=(
            Hyperparameter("learning_rate", 0.0025, 1e-5, 1.0, "log"),
            _B1,
            Hyperparameter("b2", 0.999, 0.9, 0.99999, "one-minus-log"),
            Hyperparameter("eps", 1e-8, 1e-12, 1e-3, "log"),
            _POWER,
        ),
        decays=("b1", "b2"),
        exceptions={
            **_AVERAGED,
            "complex_leaves_work": "holds up to the rounding of z, which beside steps of .0025 is more than the law allows",
        },
    ),
    Method(
        "nigt", nigt, "optimizer", "steps of one length along an average whose gradients are taken ahead, where they fit",
        "velocity <- beta * velocity + (1 - beta) * g; theta <- theta - learning_rate * velocity / |velocity|; "
        "params = theta + beta / (1 - beta) * (theta - theta_before)",
        'Cutkosky and Mehta (2020), "Momentum Improves Normalized SGD"', "https://arxiv.org/abs/2002.03305",
        hyperparameters=(LEARNING_RATE, BETA), decays=("beta",),
        exceptions=dict.fromkeys(
            ("missing_gradients_sit_out", "masks_and_partitions_work", "non_finite_is_seen_and_contained"),
            "one norm for all leaves together",
        ),
    ),
)  # fmt: skip
