"""What `divide` divides by, and methods of other quotients than Adam's."""

from .. import _coefficient as coefficient
from .. import _grouping as grouping
from .. import compat
from .._method import Hyperparameter, Method
from ..directions.cube_root_sum import cube_root_sum
from ..directions.root_deviation import root_deviation
from ..directions.root_factored import root_factored
from ..directions.root_maximum import root_maximum
from ..directions.root_variance import root_variance
from ..directions.root_yogi import root_yogi
from ..optimizers.madgrad import madgrad
from ..optimizers.msvag import msvag
from ..optimizers.rmsprop import rmsprop
from ._shared import BETA, LEARNING_RATE

_RATE = Hyperparameter("learning_rate", 1e-3, 1e-5, 0.1, "log")
_B1 = Hyperparameter("b1", 0.9, 0.0, 0.999, "one-minus-log")
_B2 = Hyperparameter("b2", 0.999, 0.9, 0.99999, "one-minus-log")
_EPS = Hyperparameter("eps", 1e-8, 1e-12, 1e-3, "log")
_MOMENTUM = Hyperparameter("momentum", 0.9, 0.0, 0.999, "one-minus-log")
_MAXIMUM = "the largest second moment so far is kept for good"
_ADDITIVE = "the second moment is moved by b2, not replaced: it is kept and remembers at any b2"
_SUMS = "the sums have no decay, and the start stays; momentum averages the params"
_FEWER = "rows and columns have an axis less than the param; they are sharded as the axis they have"

_HINTON = (
    'Hinton (2012), "Neural Networks for Machine Learning", lecture 6e',
    "https://www.cs.toronto.edu/~tijmen/csc321/slides/lecture_slides_lec6.pdf",
)
_MADGRAD = (
    'Defazio and Jelassi (2021), "Adaptivity without Compromise: A Momentumized, Adaptive, Dual Averaged Gradient Method '
    'for Stochastic Optimization"',
    "https://arxiv.org/abs/2101.11075",
)


def _root_factored(b2, eps, eps_root):
    return root_factored(b2, eps, eps_root, min_dim_size_to_factor=2)


def _rmsprop(learning_rate, decay, eps, momentum):
    return rmsprop(learning_rate, decay, eps, momentum=momentum)


def _torch_nadam(learning_rate, beta1, beta2, eps, momentum_decay):
    beta1, beta2 = coefficient.check("beta1", beta1), coefficient.check("beta2", beta2)
    tx = compat.torch_nadam(learning_rate, (beta1, beta2), eps, momentum_decay=momentum_decay)
    return grouping.named(tx, beta1=beta1, beta2=beta2)


MOMENTS: tuple[Method, ...] = (
    Method(
        "root_maximum", root_maximum, "direction", "how large gradients have been at most, to divide by (AMSGrad)",
        "maximum <- max(maximum, second_moment / (1 - product of b2)); update <- sqrt(maximum + eps_root) + eps",
        'Reddi, Kale and Kumar (2018), "On the Convergence of Adam and Beyond"', "https://arxiv.org/abs/1904.09237",
        hyperparameters=(_B2, _EPS, Hyperparameter("eps_root", 0.0, 0.0, 1e-3)), decays=("b2",), debiased=True,
        exceptions={"forgets": _MAXIMUM, "unused_memory_costs_nothing": _MAXIMUM},
    ),
    Method(
        "root_yogi", root_yogi, "direction", "a size that shrinks no faster than gradients do, to divide by (Yogi)",
        "second_moment <- second_moment - (1 - b2) * sign(second_moment - |g|^2) * |g|^2; "
        "update <- sqrt(second_moment / (1 - product of b2) + eps_root) + eps",
        'Zaheer, Reddi, Sachan, Kale and Kumar (2018), "Adaptive Methods for Nonconvex Optimization"',
        "https://papers.nips.cc/paper/2018/hash/90365351ccc7437a1309dc64e4db32a3-Abstract.html",
        hyperparameters=(
            _B2,
            Hyperparameter("eps", 1e-3, 1e-8, 0.1, "log"),
            Hyperparameter("eps_root", 0.0, 0.0, 1e-3),
        ),
        decays=("b2",),
        exceptions={"forgets": _ADDITIVE, "unused_memory_costs_nothing": _ADDITIVE},
    ),
    Method(
        "root_deviation", root_deviation, "direction", "how far gradients have been from their average (AdaBelief)",
        "mean <- b1 * mean + (1 - b1) * g; second_moment <- b2 * second_moment + (1 - b2) * |g - mean|^2 + eps_root; "
        "update <- sqrt(second_moment / (1 - product of b2)) + eps",
        'Zhuang et al. (2020), "AdaBelief Optimizer: Adapting Stepsizes by the Belief in Observed Gradients"',
        "https://arxiv.org/abs/2010.07468",
        hyperparameters=(
            _B1,
            _B2,
            Hyperparameter("eps", 1e-16, 1e-20, 1e-3, "log"),
            Hyperparameter("eps_root", 1e-16, 1e-20, 1e-3, "log"),
        ),
        decays=("b1", "b2"),
    ),
    Method(
        "root_variance", root_variance, "direction", "how much gradients have varied about their average",
        "variance <- average of |g|^2 - |average of g|^2, both by b2 and debiased; update <- sqrt(variance + eps_root) + eps",
        'Graves (2013), "Generating Sequences With Recurrent Neural Networks"', "https://arxiv.org/abs/1308.0850",
        hyperparameters=(_B2, _EPS, Hyperparameter("eps_root", 0.0, 0.0, 1e-3)), decays=("b2",),
    ),
    Method(
        "root_factored", _root_factored, "direction", "how large gradients have been, of matrices by rows and columns",
        "rows <- b2 * rows + (1 - b2) * row means of |g|^2; columns likewise; "
        "update <- sqrt(r * c / mean of r) + eps, r = debiased rows + eps_root, c = debiased columns + eps_root",
        'Shazeer and Stern (2018), "Adafactor: Adaptive Learning Rates with Sublinear Memory Cost"',
        "https://arxiv.org/abs/1804.04235",
        hyperparameters=(
            _B2,
            Hyperparameter("eps", 1e-8, 0.0, 1e-3),
            Hyperparameter("eps_root", 1e-30, 1e-30, 1e-3, "log"),
        ),
        decays=("b2",), debiased=True,
        exceptions={"state_is_sharded_as_the_params_are": _FEWER, "explicit_shardings_are_kept": _FEWER},
    ),
    Method(
        "cube_root_sum", cube_root_sum, "direction", "the cube root of the sum of squares, to divide by (MADGRAD)",
        "second_moment <- second_moment + scale * |g|^2; update <- cbrt(second_moment) + eps",
        *_MADGRAD,
        hyperparameters=(
            Hyperparameter("scale", 1.0, 1e-4, 100.0, "log"),
            Hyperparameter("eps", 1e-6, 1e-12, 1e-3, "log"),
        ),
    ),
    Method(
        "rmsprop", _rmsprop, "optimizer", "each gradient divided by how large gradients have been, then momentum",
        "velocity <- momentum * velocity - learning_rate * g / sqrt(second_moment + eps); params <- params + velocity",
        *_HINTON,
        hyperparameters=(
            _RATE,
            Hyperparameter("decay", 0.9, 0.0, 0.999, "one-minus-log"),
            _EPS,
            _MOMENTUM,
        ),
        decays=("decay", "momentum"),
    ),
    Method(
        "madgrad", madgrad, "optimizer", "all gradients since the start, divided by a cube root; averages the iterates",
        "point <- start - sum of scale * g / (cbrt(sum of scale * |g|^2) + eps), scale = (learning_rate + eps) * sqrt(t); "
        "params <- momentum * params + (1 - momentum) * point",
        *_MADGRAD,
        hyperparameters=(
            Hyperparameter("learning_rate", 1e-2, 1e-5, 1.0, "log"),
            _MOMENTUM,
            Hyperparameter("eps", 1e-6, 1e-12, 1e-3, "log"),
        ),
        decays=("momentum",),
        exceptions={"forgets": _SUMS, "unused_memory_costs_nothing": _SUMS},
    ),
    Method(
        "msvag", msvag, "optimizer", "momentum that is shorter where gradients vary",
        "params <- params - learning_rate * |m|^2 / (|m|^2 + variance of m) * m, m = debiased velocity",
        'Balles and Hennig (2018), "Dissecting Adam: The Sign, Magnitude and Variance of Stochastic Gradients"',
        "https://arxiv.org/abs/1705.07774",
        hyperparameters=(LEARNING_RATE, BETA), decays=("beta",), debiased=True,
    ),
    Method(
        "compat.torch_nadam", _torch_nadam, "optimizer", "torch.optim.NAdam, number for number",
        "mu(t) = beta1 * (1 - 0.96^(t * momentum_decay) / 2); params <- params - learning_rate * "
        "(mu(t + 1) * velocity / next weight + (1 - mu(t)) * g / weight) / (sqrt(debiased second_moment) + eps)",
        "torch.optim.NAdam, version 2.13", "https://docs.pytorch.org/docs/stable/generated/torch.optim.NAdam.html",
        hyperparameters=(
            Hyperparameter("learning_rate", 2e-3, 1e-5, 0.1, "log"),
            Hyperparameter("beta1", 0.9, 0.0, 0.999, "one-minus-log"),
            Hyperparameter("beta2", 0.999, 0.9, 0.99999, "one-minus-log"),
            _EPS,
            Hyperparameter("momentum_decay", 4e-3, 1e-5, 1.0, "log"),
        ),
        decays=("beta1", "beta2"),
    ),
    Method(
        "compat.torch_rmsprop", compat.torch_rmsprop, "optimizer", "torch.optim.RMSprop, number for number",
        "velocity <- momentum * velocity + g / (sqrt(second_moment) + eps); params <- params - learning_rate * velocity",
        "torch.optim.RMSprop, version 2.13", "https://docs.pytorch.org/docs/stable/generated/torch.optim.RMSprop.html",
        hyperparameters=(
            Hyperparameter("learning_rate", 1e-2, 1e-5, 0.1, "log"),
            Hyperparameter("alpha", 0.9, 0.0, 0.9999, "one-minus-log"),
            _EPS,
            _MOMENTUM,
        ),
        decays=("alpha", "momentum"),
    ),
    Method(
        "compat.keras_nadam", compat.keras_nadam, "optimizer", "keras.optimizers.Nadam, number for number",
        "mu(t) = beta_1 * (1 - 0.96^t / 2); params <- params - learning_rate * "
        "(mu(t + 1) * velocity / next weight + (1 - mu(t)) * g / weight) / (sqrt(debiased second_moment) + epsilon)",
        "keras.optimizers.Nadam, version 3", "https://keras.io/api/optimizers/Nadam/",
        hyperparameters=(
            _RATE,
            Hyperparameter("beta_1", 0.9, 0.0, 0.999, "one-minus-log"),
            Hyperparameter("beta_2", 0.999, 0.9, 0.99999, "one-minus-log"),
            Hyperparameter("epsilon", 1e-7, 1e-12, 1e-3, "log"),
        ),
        decays=("beta_1", "beta_2"),
    ),
    Method(
        "compat.keras_rmsprop", compat.keras_rmsprop, "optimizer", "keras.optimizers.RMSprop, number for number",
        "velocity <- momentum * velocity + learning_rate * g / sqrt(second_moment + epsilon); params <- params - velocity",
        "keras.optimizers.RMSprop, version 3", "https://keras.io/api/optimizers/rmsprop/",
        hyperparameters=(
            _RATE,
            Hyperparameter("rho", 0.9, 0.0, 0.999, "one-minus-log"),
            _MOMENTUM,
            Hyperparameter("epsilon", 1e-7, 1e-12, 1e-3, "log"),
        ),
        decays=("rho", "momentum"),
    ),
)  # fmt: skip
