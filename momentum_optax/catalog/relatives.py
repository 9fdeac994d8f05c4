"""Relatives of Adam whose first moment is another, mixtures of averages, and a lookahead along an average."""

from .._method import Hyperparameter, Method
from ..filters.bank import bank
from ..filters.blend import blend
from ..filters.ema import ema
from ..filters.identity import identity
from ..filters.trace import trace
from ..optimizers.adai import adai
from ..optimizers.adan import adan
from ..optimizers.ademamix import ademamix
from ..optimizers.heavy_ball import heavy_ball
from ..optimizers.laprop import laprop
from ..optimizers.simplified_ademamix import simplified_ademamix
from ..schedules.ademamix import ademamix_alpha, ademamix_b3
from ..schedules.half_life import rescale_beta
from ..wrappers.ema_nesterov import ema_nesterov
from ._shared import BETA, LEARNING_RATE

_RATE = Hyperparameter("learning_rate", 1e-3, 1e-5, 1.0, "log")
_B1 = Hyperparameter("b1", 0.9, 0.0, 0.999, "one-minus-log")
_B2 = Hyperparameter("b2", 0.999, 0.9, 0.99999, "one-minus-log")
_EPS = Hyperparameter("eps", 1e-8, 1e-12, 1e-3, "log")
_ADEMAMIX = (
    'Pagliardini, Ablin and Grangier (2024), "The AdEMAMix Optimizer: Better, Faster, Older"',
    "https://arxiv.org/abs/2409.03137",
)


def _bank(beta, weight):
    return bank((rescale_beta(beta, 10), beta), (1.0, weight))


def _ema_nesterov(learning_rate, beta, gamma):
    return ema_nesterov(heavy_ball(learning_rate, beta), beta, gamma)


def _ademamix_alpha(alpha, steps):
    return blend((1.0, identity()), (ademamix_alpha(alpha, steps), ema(0.99, debias=False)))


def _ademamix_b3(b3, steps, b1):
    return trace(ademamix_b3(b3, steps, b1))


RELATIVES: tuple[Method, ...] = (
    Method(
        "adan", adan, "optimizer", "Adam on gradients that look ahead along their change; the paper's coefficients",
        "direction <- (hat mean of g + b2 * hat mean of (g - previous)) / sqrt(hat mean of |g + b2 * (g - previous)|^2); "
        "params <- (params - learning_rate * direction) / (1 + learning_rate * weight_decay)",
        'Xie, Zhou, Li, Lin and Yan (2022), "Adan: Adaptive Nesterov Momentum Algorithm for Faster Optimizing Deep Models"',
        "https://arxiv.org/abs/2208.06677",
        hyperparameters=(
            _RATE,
            Hyperparameter("b1", 0.98, 0.0, 0.999, "one-minus-log"),
            Hyperparameter("b2", 0.92, 0.0, 0.999, "one-minus-log"),
            Hyperparameter("b3", 0.99, 0.9, 0.99999, "one-minus-log"),
            _EPS,
        ),
        decays=("b1", "b2", "b3"), debiased=True,
    ),
    Method(
        "laprop", laprop, "optimizer", "divides first and averages then, so that no pair of betas diverges",
        "velocity <- b1 * velocity + (1 - b1) * g / (sqrt(hat second_moment) + eps); params <- params - learning_rate * hat velocity",
        'Ziyin, Wang and Ueda (2020), "LaProp: Separating Momentum and Adaptivity in Adam"',
        "https://arxiv.org/abs/2002.04839",
        hyperparameters=(_RATE, _B1, _B2, Hyperparameter("eps", 1e-15, 1e-20, 1e-3, "log")),
        decays=("b1", "b2"), debiased=True,
    ),
    Method(
        "ademamix", ademamix, "optimizer", "a fast and a very slow average under Adam's denominator",
        "params <- params - learning_rate * (hat fast + alpha * slow) / (sqrt(hat second_moment) + eps)",
        *_ADEMAMIX,
        hyperparameters=(
            _RATE, _B1, _B2,
            Hyperparameter("b3", 0.9999, 0.99, 0.99999, "one-minus-log"),
            Hyperparameter("alpha", 5.0, 0.0, 20.0),
            _EPS,
        ),
        decays=("b1", "b2", "b3"),
        exceptions={
            "beta_matters": "it takes b3 = .2, and the slow average is not to be faster than the fast one",
            "injected_hyperparameters_change_nothing": "it halves b3, outside of jit; test_order_of_betas.py does not",
        },
    ),
    Method(
        "simplified_ademamix", simplified_ademamix, "optimizer", "a decaying sum and the gradient under Adam's denominator",
        "velocity <- b1 * velocity + g; params <- params - learning_rate * (velocity + alpha * g) / (sqrt(hat second_moment) + eps)",
        'Morwani, Vyas, Zhang and Kakade (2025), "Connections between Schedule-Free Optimizers, AdEMAMix, and Accelerated '
        'SGD Variants"',
        "https://arxiv.org/abs/2502.02431",
        hyperparameters=(
            Hyperparameter("learning_rate", 1e-4, 1e-6, 0.1, "log"),
            Hyperparameter("b1", 0.99, 0.0, 0.9999, "one-minus-log"),
            Hyperparameter("b2", 0.95, 0.9, 0.99999, "one-minus-log"),
            Hyperparameter("alpha", 0.0, 0.0, 100.0),
            _EPS,
        ),
        decays=("b1", "b2"),
    ),
    Method(
        "adai", adai, "optimizer", "adapts the momentum of each number instead of its learning rate",
        "beta1 <- clip(1 - b0 * hat second_moment / mean(hat second_moment), 0, 1 - eps); "
        "velocity <- beta1 * velocity + (1 - beta1) * g; params <- params - learning_rate * hat velocity",
        'Xie, Wang, Zhang, Sato and Sugiyama (2020), "Adaptive Inertia: Disentangling the Effects of Adaptive Learning '
        'Rate and Momentum"',
        "https://arxiv.org/abs/2006.15815",
        hyperparameters=(
            Hyperparameter("learning_rate", 1.0, 1e-3, 10.0, "log"),
            Hyperparameter("b0", 0.1, 0.01, 1.0, "log"),
            Hyperparameter("b2", 0.99, 0.9, 0.99999, "one-minus-log"),
            Hyperparameter("eps", 1e-3, 1e-5, 0.1, "log"),
        ),
        decays=("b2",), debiased=True,
        exceptions={
            "forgets": "b2 is how long sizes are remembered; the momentum comes from them",
            "unused_memory_costs_nothing": "b2 is how long sizes are remembered; the average of gradients is kept",
            "missing_gradients_sit_out": "one mean of the second moments of all leaves, of which one is missing",
            "masks_and_partitions_work": "one mean of the second moments of all leaves, of which some are masked out",
            "non_finite_is_seen_and_contained": "one mean of the second moments of all leaves",
        },
    ),
    Method(
        "bank", _bank, "filter", "a mixture of averages of different lengths, with weights that may change",
        "velocity_i <- beta_i * velocity_i + (1 - beta_i) * g; update <- sum of weights_i * hat velocity_i",
        'Zheng and Cheng (2026), "K-Maxwell momentum"', "https://github.com/KellerJordan/modded-nanogpt/pull/357",
        hyperparameters=(BETA, Hyperparameter("weight", 0.5, 0.0, 10.0)), decays=("beta",), debiased=True,
    ),
    Method(
        "ema_nesterov", _ema_nesterov, "wrapper", "any optimizer from ahead of where it is, along the average of its way",
        "next <- params + u; velocity <- gamma * velocity + (1 - gamma) * (next - theta); theta <- next; "
        "params = theta + next_beta * velocity",
        'Yau, Li, Glentis, Boreiko, Wai and Hong (2026), "EMA-Nesterov: Stabilizing Nesterov\'s Lookahead for Accelerated '
        'Deep Learning Optimization"',
        "https://arxiv.org/abs/2605.25395",
        hyperparameters=(LEARNING_RATE, BETA, Hyperparameter("gamma", 0.9, 0.0, 0.999, "one-minus-log")),
        decays=("beta", "gamma"),
    ),
    Method(
        "schedules.ademamix_alpha", _ademamix_alpha, "coefficient", "the weight of the slow average grows along a line",
        "alpha = alpha * min((count + 1) / steps, 1)",
        *_ADEMAMIX,
        hyperparameters=(Hyperparameter("alpha", 5.0, 0.0, 20.0), Hyperparameter("steps", 1000, 1, 1e6, "log")),
    ),
    Method(
        "schedules.ademamix_b3", _ademamix_b3, "coefficient", "the half-life of the slow average grows along a line",
        "b3 = exp(log(b1) * log(b3) / ((1 - f) * log(b3) + f * log(b1))), f = min((count + 1) / steps, 1)",
        *_ADEMAMIX,
        hyperparameters=(
            Hyperparameter("b3", 0.9999, 0.99, 0.99999, "one-minus-log"),
            Hyperparameter("steps", 1000, 1, 1e6, "log"),
            Hyperparameter("b1", 0.9, 0.5, 0.99, "one-minus-log"),
        ),
    ),
)  # fmt: skip
