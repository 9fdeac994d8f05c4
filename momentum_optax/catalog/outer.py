"""Momentum around whole optimizers, and the optimizer that asks for the loss."""

import optax

from .. import _sums as sums
from .._method import Hyperparameter, Method
from ..optimizers.heavy_ball import heavy_ball
from ..optimizers.polyak_heavy_ball import polyak_heavy_ball
from ..wrappers.lookahead import lookahead
from ..wrappers.outer_momentum import outer_momentum
from ._shared import BETA, LEARNING_RATE

# So short that the laws, which take four steps, see a meeting.
_PERIOD = Hyperparameter("sync_period", 3, 1, 20, "log")
_SLOW = {
    "forgets": "the slow weights remember",
    "unused_memory_costs_nothing": "the slow weights are kept whatever the decays are",
}


def _lookahead(learning_rate, beta, sync_period, slow_step):
    return lookahead(heavy_ball(learning_rate, beta), sync_period, slow_step)


def _outer_momentum(learning_rate, beta, sync_period, outer_learning_rate, outer_beta):
    inner = heavy_ball(learning_rate, beta)
    return outer_momentum(inner, sync_period, outer_learning_rate=outer_learning_rate, outer_beta=outer_beta)


def _polyak_heavy_ball(f_star):
    """Where no loss is given, as under the laws, half the squared norm of the gradient stands for it."""
    tx = polyak_heavy_ball(f_star)

    def update(updates, state, params=None, *, value=None, **extra):
        if value is None:
            value = sums.inner_product(updates, updates) / 2
        return tx.update(updates, state, params, value=value, **extra)

    return optax.GradientTransformationExtraArgs(tx.init, update)


_POOLED = "one step and one momentum for all leaves together"

OUTER: tuple[Method, ...] = (
    Method(
        "lookahead", _lookahead, "wrapper", "slow weights that follow the params, and take them back every few updates",
        "params <- params + u; at meetings slow <- slow + slow_step * (params - slow); params <- slow",
        'Zhang, Lucas, Hinton and Ba (2019), "Lookahead Optimizer: k steps forward, 1 step back"',
        "https://arxiv.org/abs/1907.08610",
        hyperparameters=(LEARNING_RATE, BETA, _PERIOD, Hyperparameter("slow_step", 0.5, 0.1, 1.0)),
        decays=("beta",),
        exceptions=_SLOW,
    ),
    Method(
        "outer_momentum", _outer_momentum, "wrapper", "Nesterov on what an optimizer did in many steps, for replicas that rarely meet",
        "params <- params + u; at meetings g <- slow - params; velocity <- outer_beta * velocity + g; "
        "params <- slow <- slow - outer_learning_rate * (g + outer_beta * velocity)",
        'Douillard et al. (2023), "DiLoCo: Distributed Low-Communication Training of Language Models"',
        "https://arxiv.org/abs/2311.08105",
        hyperparameters=(
            LEARNING_RATE,
            BETA,
            _PERIOD,
            Hyperparameter("outer_learning_rate", 0.7, 0.1, 1.0),
            Hyperparameter("outer_beta", 0.9, 0.0, 0.95, "one-minus-log"),
        ),
        decays=("beta", "outer_beta"),
        exceptions={
            **_SLOW,
            "injected_hyperparameters_change_nothing": "the law looks at the fourth update, which is no meeting, so that "
            "outer_beta is not to be seen",
        },
    ),
    Method(
        "polyak_heavy_ball", _polyak_heavy_ball, "optimizer", "a step and a momentum from the loss and its minimum, optimal on quadratics; needs `value=`",
        "h <- 2 * (value - f_star) / |g|^2; m <- -r / (1 + r), r = <g, g_before> / |g|^2 * (value - f_star) / (value_before - f_star); "
        "velocity <- m * velocity - (1 + m) * h * g; params <- params + velocity",
        'Goujaud, Taylor and Dieuleveut (2022), "Quadratic minimization: from conjugate gradient to an adaptive Heavy-ball '
        'method with Polyak step-sizes"',
        "https://arxiv.org/abs/2210.06367",
        hyperparameters=(Hyperparameter("f_star", 0.0, 0.0, 1.0),),
        exceptions={
            "extra_arguments_are_accepted": "`value` is the loss, and asked for",
            "missing_gradients_sit_out": _POOLED,
            "masks_and_partitions_work": _POOLED,
            "non_finite_is_seen_and_contained": _POOLED,
        },
    ),
)  # fmt: skip
