"""Signs: of gradients, of averages, and the decay that asks for signs."""

from .._method import Hyperparameter, Method
from ..directions.add_cautious_decayed_weights import add_cautious_decayed_weights
from ..directions.sign import sign
from ..optimizers.lion import lion
from ..optimizers.signum import signum
from ..optimizers.tiger import tiger

# A step is as long as the learning rate says, so that good ones are small.
_LEARNING_RATE = Hyperparameter("learning_rate", 1e-3, 1e-5, 0.1, "log")
_NINE = "a change of b1 or b2 shows where it turns a sign, and turns none of the nine of the laws at the update they look at"
_SIGNSGD = (
    "Bernstein, Wang, Azizzadenesheli and Anandkumar (2018), "
    '"signSGD: Compressed Optimisation for Non-Convex Problems"',
    "https://arxiv.org/abs/1802.04434",
)

SIGNS: tuple[Method, ...] = (
    Method(
        "sign", sign, "direction", "the sign of each number, hard or smooth",
        "update <- g / |g| * (tanh(|g| / smoothing) if smoothing > 0 else 1)",
        *_SIGNSGD,
        hyperparameters=(Hyperparameter("smoothing", 0.0, 0.0, 1.0),),
    ),
    Method(
        "signum", signum, "optimizer", "every number moves by the learning rate, where its average points",
        "velocity <- beta * velocity + (1 - beta) * g; params <- params - learning_rate * sign(velocity)",
        *_SIGNSGD,
        hyperparameters=(_LEARNING_RATE, Hyperparameter("beta", 0.9, 0.0, 0.999, "one-minus-log")), decays=("beta",),
    ),
    Method(
        "lion", lion, "optimizer", "the same with an average that is more recent than the one remembered",
        "direction <- sign(b1 * velocity + (1 - b1) * g); velocity <- b2 * velocity + (1 - b2) * g; "
        "params <- params - learning_rate * (direction + weight_decay * params)",
        'Chen et al. (2023), "Symbolic Discovery of Optimization Algorithms"', "https://arxiv.org/abs/2302.06675",
        hyperparameters=(
            _LEARNING_RATE,
            Hyperparameter("b1", 0.9, 0.0, 0.99, "one-minus-log"),
            Hyperparameter("b2", 0.99, 0.0, 0.999, "one-minus-log"),
        ),
        decays=("b1", "b2"),
        exceptions={
            "beta_matters": _NINE, "injected_hyperparameters_change_nothing": _NINE,
        },
    ),
    Method(
        "tiger", tiger, "optimizer", "the sign of one average, in steps relative to the size of the params",
        "velocity <- beta * velocity + (1 - beta) * g; "
        "params <- params - learning_rate * max(rms(params), min_scale) * sign(velocity), "
        "and `vectors` instead of the maximum for vectors",
        'Su (2023), "Tiger: A Tight-fisted Optimizer"', "https://github.com/bojone/tiger",
        hyperparameters=(
            _LEARNING_RATE,
            Hyperparameter("beta", 0.965, 0.0, 0.999, "one-minus-log"),
            Hyperparameter("vectors", 0.5, 0.01, 1.0, "log"),
            Hyperparameter("min_scale", 1e-3, 1e-5, 0.1, "log"),
        ),
        decays=("beta",),
    ),
    Method(
        "add_cautious_decayed_weights", add_cautious_decayed_weights, "direction",
        "weight decay where it does not oppose the step",
        "update <- g + weight_decay * (params where params * g >= 0, else 0)",
        'Chen, Li, Liang, Su, Xie, Wang Pierse, Liang, Lao and Liu (2025), "Cautious Weight Decay"',
        "https://arxiv.org/abs/2510.12402",
        hyperparameters=(Hyperparameter("weight_decay", 1e-2, 0.0, 1.0),),
    ),
)  # fmt: skip
