"""Adam and its kin: an average of gradients over a root of second moments."""

from .._method import Hyperparameter, Method
from ..optimizers.adabelief import adabelief
from ..optimizers.adam import adam, adamw
from ..optimizers.amsgrad import amsgrad
from ..optimizers.nadam import nadam, nadamw
from ..optimizers.qhadam import qhadam
from ..optimizers.yogi import yogi
from ._shared import ADAM

_RATE = Hyperparameter("learning_rate", 1e-3, 1e-5, 0.1, "log")
_B1 = Hyperparameter("b1", 0.9, 0.0, 0.999, "one-minus-log")
_B2 = Hyperparameter("b2", 0.999, 0.9, 0.99999, "one-minus-log")
_EPS = Hyperparameter("eps", 1e-8, 1e-12, 1e-3, "log")
_DECAY = Hyperparameter("weight_decay", 1e-4, 1e-6, 1.0, "log")
_DOZAT = (
    'Dozat (2016), "Incorporating Nesterov Momentum into Adam"',
    "https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ",
)
_MAXIMUM = "the largest second moment so far is kept for good"
_ADDITIVE = "the second moment is moved by b2, not replaced: it is kept and remembers at any b2"

ADAMS: tuple[Method, ...] = (
    Method(
        "adam", adam, "optimizer", "every number moves by about the learning rate, whatever the size of its gradient",
        "velocity <- b1 * velocity + (1 - b1) * g; second_moment <- b2 * second_moment + (1 - b2) * |g|^2; "
        "params <- params - learning_rate * debiased velocity / (sqrt(debiased second_moment) + eps)",
        *ADAM,
        hyperparameters=(_RATE, _B1, _B2, _EPS), decays=("b1", "b2"), debiased=True,
    ),
    Method(
        "adamw", adamw, "optimizer", "Adam with weight decay that is not divided by the size of the gradients",
        "params <- params - learning_rate * (Adam's direction + weight_decay * params)",
        'Loshchilov and Hutter (2017), "Decoupled Weight Decay Regularization"', "https://arxiv.org/abs/1711.05101",
        hyperparameters=(_RATE, _B1, _B2, _EPS, _DECAY), decays=("b1", "b2"), debiased=True,
    ),
    Method(
        "amsgrad", amsgrad, "optimizer", "Adam that never forgets a large gradient in its denominator",
        "maximum <- max(maximum, debiased second_moment); "
        "params <- params - learning_rate * debiased velocity / (sqrt(maximum) + eps)",
        'Reddi, Kale and Kumar (2018), "On the Convergence of Adam and Beyond"', "https://arxiv.org/abs/1904.09237",
        hyperparameters=(_RATE, _B1, _B2, _EPS), decays=("b1", "b2"), debiased=True,
        exceptions={"forgets": _MAXIMUM, "unused_memory_costs_nothing": _MAXIMUM},
    ),
    Method(
        "nadam", nadam, "optimizer", "Adam whose newest gradient weighs as much as it will in the next average",
        "params <- params - learning_rate * (b1 * velocity / next weight + (1 - b1) * g / weight) / "
        "(sqrt(debiased second_moment) + eps)",
        *_DOZAT,
        hyperparameters=(_RATE, _B1, _B2, _EPS), decays=("b1", "b2"),
    ),
    Method(
        "nadamw", nadamw, "optimizer", "NAdam with decoupled weight decay",
        "params <- params - learning_rate * (NAdam's direction + weight_decay * params)",
        *_DOZAT,
        hyperparameters=(_RATE, _B1, _B2, _EPS, _DECAY), decays=("b1", "b2"),
    ),
    Method(
        "adabelief", adabelief, "optimizer", "long steps where gradients are as their average expects",
        "second_moment <- b2 * second_moment + (1 - b2) * |g - velocity|^2 + eps_root; "
        "params <- params - learning_rate * debiased velocity / (sqrt(debiased second_moment) + eps)",
        'Zhuang et al. (2020), "AdaBelief Optimizer: Adapting Stepsizes by the Belief in Observed Gradients"',
        "https://arxiv.org/abs/2010.07468",
        hyperparameters=(
            _RATE,
            _B1,
            _B2,
            Hyperparameter("eps", 1e-16, 1e-16, 1e-3, "log"),
            Hyperparameter("eps_root", 1e-16, 1e-16, 1e-6, "log"),
        ),
        decays=("b1", "b2"),
    ),
    Method(
        "yogi", yogi, "optimizer", "Adam whose steps do not suddenly grow where gradients become small",
        "second_moment <- second_moment - (1 - b2) * sign(second_moment - |g|^2) * |g|^2; "
        "params <- params - learning_rate * debiased velocity / (sqrt(debiased second_moment) + eps)",
        'Zaheer, Reddi, Sachan, Kale and Kumar (2018), "Adaptive Methods for Nonconvex Optimization"',
        "https://papers.nips.cc/paper/2018/hash/90365351ccc7437a1309dc64e4db32a3-Abstract.html",
        hyperparameters=(
            Hyperparameter("learning_rate", 1e-2, 1e-4, 1.0, "log"),
            _B1,
            _B2,
            Hyperparameter("eps", 1e-3, 1e-8, 0.1, "log"),
        ),
        decays=("b1", "b2"),
        exceptions={
            "forgets": _ADDITIVE,
            "unused_memory_costs_nothing": _ADDITIVE,
            "injected_hyperparameters_change_nothing": "1 - b2 in float32 is off by 2e-5 of itself at .999; what the "
            "second moment starts from is divided by it alone",
        },
    ),
    Method(
        "qhadam", qhadam, "optimizer", "Adam with both averages blended with what they average",
        "params <- params - learning_rate * ((1 - nu1) * g + nu1 * debiased velocity) / "
        "(sqrt((1 - nu2) * |g|^2 + nu2 * debiased second_moment) + eps)",
        'Ma and Yarats (2018), "Quasi-hyperbolic momentum and Adam for deep learning"', "https://arxiv.org/abs/1810.06801",
        hyperparameters=(
            _RATE,
            Hyperparameter("b1", 0.995, 0.0, 0.9999, "one-minus-log"),
            _B2,
            Hyperparameter("nu1", 0.7, 0.0, 1.0),
            Hyperparameter("nu2", 1.0, 0.0, 1.0),
            _EPS,
        ),
        decays=("b1", "b2"), debiased=True,
    ),
)  # fmt: skip
