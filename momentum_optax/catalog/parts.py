"""The parts that are chained, blended and divided."""

from .._finish import add_decayed_weights, scale_by_learning_rate
from .._method import Hyperparameter, Method
from ..directions.divide import divide
from ..directions.root_mean_square import root_mean_square
from ..filters.blend import blend
from ..filters.difference import difference
from ..filters.ema import ema
from ..filters.identity import identity
from ..filters.trace import trace
from ._shared import ADAM, BETA, LEARNING_RATE, PID, POLYAK

_DECAY = ('Loshchilov and Hutter (2017), "Decoupled Weight Decay Regularization"', "https://arxiv.org/abs/1711.05101")
_CAUCHY = (
    'Cauchy (1847), "Méthode générale pour la résolution des systèmes d\'équations simultanées"',
    "https://gallica.bnf.fr/ark:/12148/bpt6k2982c/f540.item",
)


def _blend(weight, beta):
    return blend((1.0, identity()), (weight, trace(beta)))


def _divide(beta, b2, eps):
    return divide(ema(beta), by=root_mean_square(b2, eps))


PARTS: tuple[Method, ...] = (
    Method(
        "trace", trace, "filter", "decaying sum of gradients",
        "velocity <- beta * velocity + (1 - dampening) * g; update <- velocity",
        *POLYAK,
        hyperparameters=(BETA, Hyperparameter("dampening", 0.0, 0.0, 0.9)),
        decays=("beta",),
    ),
    Method(
        "ema", ema, "filter", "moving average of gradients, debiased under every schedule",
        "velocity <- beta * velocity + (1 - beta) * g; update <- velocity / (1 - product of betas)",
        *ADAM,
        hyperparameters=(BETA,), decays=("beta",), debiased=True,
    ),
    Method(
        "difference", difference, "filter", "change of the gradient since the last step",
        "update <- g - previous; previous <- g",
        *PID,
    ),
    Method(
        "identity", identity, "filter", "the gradient itself, as a term of a blend",
        "update <- g",
        *_CAUCHY,
    ),
    Method(
        "blend", _blend, "combinator", "weighted sum of transformations of the same gradient",
        "update <- sum of weight_i * update_i",
        'Ma and Yarats (2018), "Quasi-hyperbolic momentum and Adam for deep learning"', "https://arxiv.org/abs/1810.06801",
        hyperparameters=(Hyperparameter("weight", 0.5, 0.0, 10.0), BETA), decays=("beta",),
    ),
    Method(
        "divide", _divide, "combinator", "quotient of two transformations of the same gradient",
        "update <- numerator(g) / by(g)",
        *ADAM,
        hyperparameters=(
            BETA,
            Hyperparameter("b2", 0.999, 0.9, 0.99999, "one-minus-log"),
            Hyperparameter("eps", 1e-8, 1e-12, 1e-3, "log"),
        ),
        decays=("beta", "b2"), debiased=True,
    ),
    Method(
        "root_mean_square", root_mean_square, "direction", "how large gradients have been, to divide by",
        "second_moment <- b2 * second_moment + (1 - b2) * |g|^2; "
        "update <- sqrt(second_moment / (1 - product of b2) + eps_root) + eps",
        *ADAM,
        hyperparameters=(
            Hyperparameter("b2", 0.999, 0.9, 0.99999, "one-minus-log"),
            Hyperparameter("eps", 1e-8, 1e-12, 1e-3, "log"),
            Hyperparameter("eps_root", 0.0, 0.0, 1e-3),
        ),
        decays=("b2",), debiased=True,
    ),
    Method(
        "scale_by_learning_rate", scale_by_learning_rate, "direction", "from a direction to a step downhill",
        "update <- -learning_rate * g",
        *_CAUCHY,
        hyperparameters=(LEARNING_RATE,), debiased=True,
    ),
    Method(
        "add_decayed_weights", add_decayed_weights, "direction", "weight decay, coupled or decoupled by its place",
        "update <- g + weight_decay * params",
        *_DECAY,
        hyperparameters=(Hyperparameter("weight_decay", 1e-2, 1e-6, 1.0, "log"),), debiased=True,
    ),
)  # fmt: skip
