"""The classical optimizers."""

from .._method import Hyperparameter, Method
from ..optimizers.acc_sgd import acc_sgd
from ..optimizers.aggmo import aggmo
from ..optimizers.ema_momentum import ema_momentum
from ..optimizers.heavy_ball import heavy_ball
from ..optimizers.nesterov import nesterov
from ..optimizers.nesterov_lookahead import nesterov_lookahead
from ..optimizers.pid import pid
from ..optimizers.pnm import pnm
from ..optimizers.qhm import qhm
from ._shared import ADAM, BETA, LEARNING_RATE, PID, POLYAK

_NESTEROV = (
    'Sutskever, Martens, Dahl and Hinton (2013), "On the importance of initialization and momentum in deep learning"',
    "https://proceedings.mlr.press/v28/sutskever13.html",
)


def _aggmo(learning_rate, beta):
    return aggmo(learning_rate, (0.0, 0.9, beta))


CLASSICAL: tuple[Method, ...] = (
    Method(
        "heavy_ball", heavy_ball, "optimizer", "the classic; the learning rate outside the velocity or inside",
        "velocity <- beta * velocity + g; params <- params - learning_rate * velocity",
        *POLYAK,
        hyperparameters=(LEARNING_RATE, BETA), decays=("beta",),
    ),
    Method(
        "ema_momentum", ema_momentum, "optimizer", "descent along the average, whose size does not grow with beta",
        "velocity <- beta * velocity + (1 - beta) * g; params <- params - learning_rate * velocity",
        *ADAM,
        hyperparameters=(LEARNING_RATE, BETA), decays=("beta",),
    ),
    Method(
        "nesterov", nesterov, "optimizer", "accelerated gradient, exact under every schedule; trains at the lookahead points",
        "velocity <- beta * velocity - learning_rate * g; theta <- theta + velocity; params = theta + next_beta * velocity",
        *_NESTEROV,
        hyperparameters=(LEARNING_RATE, BETA), decays=("beta",),
    ),
    Method(
        "nesterov_lookahead", nesterov_lookahead, "optimizer", "the same, with the gradient taken at `lookahead_params`",
        "velocity <- beta * velocity - learning_rate * gradient(params + beta * velocity); params <- params + velocity",
        *_NESTEROV,
        hyperparameters=(LEARNING_RATE, BETA), decays=("beta",), lookahead=True,
    ),
    Method(
        "qhm", qhm, "optimizer", "a step between gradient descent and momentum",
        "velocity <- beta * velocity + (1 - beta) * g; params <- params - learning_rate * ((1 - nu) * g + nu * velocity)",
        'Ma and Yarats (2018), "Quasi-hyperbolic momentum and Adam for deep learning"', "https://arxiv.org/abs/1810.06801",
        hyperparameters=(
            LEARNING_RATE,
            Hyperparameter("beta", 0.999, 0.0, 0.9999, "one-minus-log"),
            Hyperparameter("nu", 0.7, 0.0, 1.0),
        ),
        decays=("beta",),
    ),
    Method(
        "aggmo", _aggmo, "optimizer", "several velocities at once, the slow ones damped by the fast",
        "velocity_i <- beta_i * velocity_i + g; params <- params - learning_rate * mean of velocity_i",
        'Lucas, Sun, Zemel and Grosse (2018), "Aggregated Momentum: Stability Through Passive Damping"',
        "https://arxiv.org/abs/1804.00325",
        hyperparameters=(LEARNING_RATE, Hyperparameter("beta", 0.99, 0.0, 0.999, "one-minus-log")),
        decays=("beta",),
        exceptions={
            "forgets": "beta is the slowest of three; the velocity with .9 remembers",
            "unused_memory_costs_nothing": "beta is the slowest of three; the velocity with .9 is kept",
        },
    ),
    Method(
        "acc_sgd", acc_sgd, "optimizer", "a short and a long step, averaged",
        "w <- a * w + (1 - a) * (params - kappa / c * learning_rate * g); "
        "params <- (c * (params - learning_rate * g) + (1 - a) * w) / (c + 1 - a), "
        "a = 1 - c^2 * xi / kappa, c = small_const",
        'Kidambi, Netrapalli, Jain and Kakade (2018), "On the insufficiency of existing momentum schemes for Stochastic '
        'Optimization"',
        "https://arxiv.org/abs/1803.05591",
        hyperparameters=(
            LEARNING_RATE,
            Hyperparameter("kappa", 1000.0, 10.0, 1e5, "log"),
            Hyperparameter("xi", 10.0, 1.5, 100.0, "log"),
            Hyperparameter("small_const", 0.7, 0.1, 0.99),
        ),
    ),
    Method(
        "pid", pid, "optimizer", "a controller: present, past and trend of the gradient",
        "sum <- beta * sum + g; change <- beta * change + (1 - beta) * (g - previous); "
        "params <- params - learning_rate * (g + integral * sum + derivative * change)",
        *PID,
        hyperparameters=(
            LEARNING_RATE,
            BETA,
            Hyperparameter("integral", 5.0, 0.1, 100.0, "log"),
            Hyperparameter("derivative", 10.0, 0.1, 100.0, "log"),
        ),
        decays=("beta",),
        exceptions={
            "forgets": "the trend is the change since the last gradient",
            "unused_memory_costs_nothing": "the last gradient is kept for the trend",
        },
    ),
    Method(
        "pnm", pnm, "optimizer", "two averages in turn, the older one subtracted: more gradient noise",
        "now <- beta^2 * now + (1 - beta^2) * g; params <- params - learning_rate * "
        "((1 + beta0) * now - beta0 * other) / sqrt((1 + beta0)^2 + beta0^2)",
        'Xie, Yuan, Zhu and Sugiyama (2021), "Positive-Negative Momentum: Manipulating Stochastic Gradient Noise to Improve '
        'Generalization"',
        "https://arxiv.org/abs/2103.17182",
        hyperparameters=(LEARNING_RATE, BETA, Hyperparameter("beta0", 1.0, 0.0, 10.0)),
        decays=("beta",),
        exceptions={
            "forgets": "the other average holds the previous gradient",
            "unused_memory_costs_nothing": "the other average holds the previous gradient",
        },
    ),
)  # fmt: skip
