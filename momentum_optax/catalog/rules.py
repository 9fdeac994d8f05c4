"""The rules: coefficients that watch the training, each at work in heavy ball."""

import optax

from .. import rules
from .._method import Hyperparameter, Method
from .._sums import inner_product
from ..optimizers.heavy_ball import heavy_ball
from ._shared import LEARNING_RATE

_LOW = Hyperparameter("low", 0.5, 0.0, 0.9)
_HIGH = Hyperparameter("high", 0.99, 0.9, 0.999, "one-minus-log")
_START = Hyperparameter("start", 0.9, 0.0, 0.99, "one-minus-log")


# One beta for all leaves; with each_leaf=True these laws hold.
_TOGETHER: dict[str, str] = dict.fromkeys(
    ("missing_gradients_sit_out", "masks_and_partitions_work", "non_finite_is_seen_and_contained"),
    "there is one beta for all leaves, decided from every gradient that there is",
)


def _alignment(learning_rate, low, high, decay):
    return heavy_ball(learning_rate, rules.alignment(low, high, decay))


def _hypergradient(learning_rate, rate, start, high):
    return heavy_ball(learning_rate, rules.hypergradient(rate, start, high=high))


def _yellowfin(decay, eps):
    tuner = rules.yellowfin(decay=decay, eps=eps)
    return heavy_ball(tuner.learning_rate, tuner.beta)


def _lipschitz_ratio(learning_rate, delta):
    return heavy_ball(learning_rate, rules.lipschitz_ratio(delta))


def _plateau(learning_rate, start, high, factor, patience):
    """The loss is half the squared gradient norm, as for the loss `|params|^2 / 2`."""
    tx = heavy_ball(learning_rate, rules.plateau(start, high, factor, patience))

    def update(updates, state, params=None, **extra):
        value = inner_product(updates, updates) / 2
        return tx.update(updates, state, params, **{**extra, "value": value})

    return optax.GradientTransformationExtraArgs(tx.init, update)


RULES: tuple[Method, ...] = (
    Method(
        "rules.alignment", _alignment, "coefficient", "beta is high while gradients agree with the velocity",
        "agreement <- decay * agreement + (1 - decay) * cos(g, memory); "
        "beta <- low + (high - low) * (1 + agreement) / 2",
        'Malviya et al. (2024), "Torque-Aware Momentum"', "https://arxiv.org/abs/2412.18790",
        hyperparameters=(LEARNING_RATE, _LOW, _HIGH, Hyperparameter("decay", 0.9, 0.0, 0.999, "one-minus-log")),
        exceptions=_TOGETHER,
    ),
    Method(
        "rules.hypergradient", _hypergradient, "coefficient", "beta goes down its own gradient, one step back",
        "beta <- clip(beta - rate * <g, d step / d beta>, low, high)",
        'Baydin et al. (2017), "Online Learning Rate Adaptation with Hypergradient Descent"',
        "https://arxiv.org/abs/1703.04782",
        hyperparameters=(
            LEARNING_RATE,
            Hyperparameter("rate", 1e-2, 1e-6, 1.0, "log"),
            _START,
            Hyperparameter("high", 0.999, 0.9, 0.9999, "one-minus-log"),
        ),
        exceptions=_TOGETHER,
    ),
    Method(
        "rules.yellowfin", _yellowfin, "coefficient", "learning rate and beta of heavy ball, from the gradients alone",
        "beta <- max(x, (sqrt(h_max / h_min) - 1) / (sqrt(h_max / h_min) + 1))^2, "
        "distance^2 * h_min^2 / (2 * variance) * x = (1 - x)^3; learning_rate <- (1 - sqrt(beta))^2 / h_min",
        'Zhang and Mitliagkas (2017), "YellowFin and the Art of Momentum Tuning"', "https://arxiv.org/abs/1706.03471",
        hyperparameters=(
            Hyperparameter("decay", 0.999, 0.9, 0.9999, "one-minus-log"),
            Hyperparameter("eps", 1e-6, 1e-12, 1e-3, "log"),
        ),
        exceptions=_TOGETHER,
    ),
    Method(
        "rules.lipschitz_ratio", _lipschitz_ratio, "coefficient", "beta from how fast the gradient changes along the step",
        "beta <- clip((1 - sqrt(learning_rate * |g - g_before| / |step|))^2, 0, 1 - delta)",
        'Sun, Ling, Shi, Li and Wang (2021), "Training Deep Neural Networks with Adaptive Momentum Inspired by the '
        'Quadratic Optimization"',
        "https://arxiv.org/abs/2110.09057",
        hyperparameters=(LEARNING_RATE, Hyperparameter("delta", 1e-3, 1e-4, 0.2, "log")),
        exceptions=_TOGETHER,
    ),
    Method(
        "rules.plateau", _plateau, "coefficient", "beta rises when the loss has stopped falling",
        "if the loss has not improved for patience updates, 1 - beta <- max(factor * (1 - beta), 1 - high)",
        "Optax, optax.contrib.reduce_on_plateau",
        "https://optax.readthedocs.io/en/latest/api/contrib.html#optax.contrib.reduce_on_plateau",
        hyperparameters=(
            LEARNING_RATE,
            _START,
            Hyperparameter("high", 0.999, 0.9, 0.9999, "one-minus-log"),
            Hyperparameter("factor", 0.5, 0.1, 0.9),
            # So short that the laws, which take four updates, see it act.
            Hyperparameter("patience", 2.0, 1.0, 1000.0, "log"),
        ),
        exceptions=_TOGETHER,
    ),
)  # fmt: skip
