"""The catalogue: one row per method, from which the laws, the README's table and the command line are fed."""

from . import compat
from ._finish import add_decayed_weights, scale_by_learning_rate
from ._method import Hyperparameter as Hyperparameter
from ._method import Method as Method
from .directions.divide import divide
from .directions.root_mean_square import root_mean_square
from .filters.blend import blend
from .filters.difference import difference
from .filters.ema import ema
from .filters.identity import identity
from .filters.trace import trace
from .optimizers.acc_sgd import acc_sgd
from .optimizers.aggmo import aggmo
from .optimizers.ema_momentum import ema_momentum
from .optimizers.heavy_ball import heavy_ball
from .optimizers.nesterov import nesterov
from .optimizers.nesterov_lookahead import nesterov_lookahead
from .optimizers.pid import pid
from .optimizers.pnm import pnm
from .optimizers.qhm import qhm

_LEARNING_RATE = Hyperparameter("learning_rate", 0.1, 1e-4, 10.0, "log")
_BETA = Hyperparameter("beta", 0.9, 0.0, 0.999, "one-minus-log")

_POLYAK = (
    'Polyak (1964), "Some methods of speeding up the convergence of iteration methods"',
    "https://doi.org/10.1016/0041-5553(64)90137-5",
)
_ADAM = ('Kingma and Ba (2014), "Adam: A Method for Stochastic Optimization"', "https://arxiv.org/abs/1412.6980")
_NESTEROV = (
    'Sutskever, Martens, Dahl and Hinton (2013), "On the importance of initialization and momentum in deep learning"',
    "https://proceedings.mlr.press/v28/sutskever13.html",
)
_PID = (
    'An et al. (2018), "A PID Controller Approach for Stochastic Optimization of Deep Networks"',
    "https://doi.org/10.1109/CVPR.2018.00889",
)
_DECAY = ('Loshchilov and Hutter (2017), "Decoupled Weight Decay Regularization"', "https://arxiv.org/abs/1711.05101")
_CAUCHY = (
    'Cauchy (1847), "Méthode générale pour la résolution des systèmes d\'équations simultanées"',
    "https://gallica.bnf.fr/ark:/12148/bpt6k2982c/f540.item",
)


def _blend(weight, beta):
    return blend((1.0, identity()), (weight, trace(beta)))


def _divide(beta, b2, eps):
    return divide(ema(beta), by=root_mean_square(b2, eps))


def _aggmo(learning_rate, beta):
    return aggmo(learning_rate, (0.0, 0.9, beta))


CATALOG: tuple[Method, ...] = (
    Method(
        "trace", trace, "filter", "decaying sum of gradients",
        "velocity <- beta * velocity + (1 - dampening) * g; update <- velocity",
        *_POLYAK,
        hyperparameters=(_BETA, Hyperparameter("dampening", 0.0, 0.0, 0.9)),
        decays=("beta",),
    ),
    Method(
        "ema", ema, "filter", "moving average of gradients, debiased under every schedule",
        "velocity <- beta * velocity + (1 - beta) * g; update <- velocity / (1 - product of betas)",
        *_ADAM,
        hyperparameters=(_BETA,), decays=("beta",), debiased=True,
    ),
    Method(
        "difference", difference, "filter", "change of the gradient since the last step",
        "update <- g - previous; previous <- g",
        *_PID,
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
        hyperparameters=(Hyperparameter("weight", 0.5, 0.0, 10.0), _BETA), decays=("beta",),
    ),
    Method(
        "divide", _divide, "combinator", "quotient of two transformations of the same gradient",
        "update <- numerator(g) / by(g)",
        *_ADAM,
        hyperparameters=(
            _BETA,
            Hyperparameter("b2", 0.999, 0.9, 0.99999, "one-minus-log"),
            Hyperparameter("eps", 1e-8, 1e-12, 1e-3, "log"),
        ),
        decays=("beta", "b2"), debiased=True,
    ),
    Method(
        "root_mean_square", root_mean_square, "direction", "how large gradients have been, to divide by",
        "second_moment <- b2 * second_moment + (1 - b2) * |g|^2; "
        "update <- sqrt(second_moment / (1 - product of b2) + eps_root) + eps",
        *_ADAM,
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
        hyperparameters=(_LEARNING_RATE,), debiased=True,
    ),
    Method(
        "add_decayed_weights", add_decayed_weights, "direction", "weight decay, coupled or decoupled by its place",
        "update <- g + weight_decay * params",
        *_DECAY,
        hyperparameters=(Hyperparameter("weight_decay", 1e-2, 1e-6, 1.0, "log"),), debiased=True,
    ),
    Method(
        "heavy_ball", heavy_ball, "optimizer", "the classic; the learning rate outside the velocity or inside",
        "velocity <- beta * velocity + g; params <- params - learning_rate * velocity",
        *_POLYAK,
        hyperparameters=(_LEARNING_RATE, _BETA), decays=("beta",),
    ),
    Method(
        "ema_momentum", ema_momentum, "optimizer", "descent along the average, whose size does not grow with beta",
        "velocity <- beta * velocity + (1 - beta) * g; params <- params - learning_rate * velocity",
        *_ADAM,
        hyperparameters=(_LEARNING_RATE, _BETA), decays=("beta",),
    ),
    Method(
        "nesterov", nesterov, "optimizer", "accelerated gradient, exact under every schedule; trains at the lookahead points",
        "velocity <- beta * velocity - learning_rate * g; theta <- theta + velocity; params = theta + next_beta * velocity",
        *_NESTEROV,
        hyperparameters=(_LEARNING_RATE, _BETA), decays=("beta",),
    ),
    Method(
        "nesterov_lookahead", nesterov_lookahead, "optimizer", "the same, with the gradient taken at `lookahead_params`",
        "velocity <- beta * velocity - learning_rate * gradient(params + beta * velocity); params <- params + velocity",
        *_NESTEROV,
        hyperparameters=(_LEARNING_RATE, _BETA), decays=("beta",), lookahead=True,
    ),
    Method(
        "qhm", qhm, "optimizer", "a step between gradient descent and momentum",
        "velocity <- beta * velocity + (1 - beta) * g; params <- params - learning_rate * ((1 - nu) * g + nu * velocity)",
        'Ma and Yarats (2018), "Quasi-hyperbolic momentum and Adam for deep learning"', "https://arxiv.org/abs/1810.06801",
        hyperparameters=(
            _LEARNING_RATE,
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
        hyperparameters=(_LEARNING_RATE, Hyperparameter("beta", 0.99, 0.0, 0.999, "one-minus-log")),
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
            _LEARNING_RATE,
            Hyperparameter("kappa", 1000.0, 10.0, 1e5, "log"),
            Hyperparameter("xi", 10.0, 1.5, 100.0, "log"),
            Hyperparameter("small_const", 0.7, 0.1, 0.99),
        ),
    ),
    Method(
        "pid", pid, "optimizer", "a controller: present, past and trend of the gradient",
        "sum <- beta * sum + g; change <- beta * change + (1 - beta) * (g - previous); "
        "params <- params - learning_rate * (g + integral * sum + derivative * change)",
        *_PID,
        hyperparameters=(
            _LEARNING_RATE,
            _BETA,
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
        hyperparameters=(_LEARNING_RATE, _BETA, Hyperparameter("beta0", 1.0, 0.0, 10.0)),
        decays=("beta",),
        exceptions={
            "forgets": "the other average holds the previous gradient",
            "unused_memory_costs_nothing": "the other average holds the previous gradient",
        },
    ),
    Method(
        "compat.torch_sgd", compat.torch_sgd, "optimizer", "torch.optim.SGD, number for number",
        "g <- g + weight_decay * params; velocity <- momentum * velocity + (1 - dampening) * g, undampened at first; "
        "params <- params - learning_rate * velocity",
        "torch.optim.SGD, version 2.13", "https://docs.pytorch.org/docs/stable/generated/torch.optim.SGD.html",
        hyperparameters=(
            _LEARNING_RATE,
            Hyperparameter("momentum", 0.9, 0.0, 0.999, "one-minus-log"),
            Hyperparameter("dampening", 0.0, 0.0, 0.9),
        ),
        decays=("momentum",),
    ),
    Method(
        "compat.keras_sgd", compat.keras_sgd, "optimizer", "keras.optimizers.SGD, number for number",
        "velocity <- momentum * velocity - learning_rate * g; params <- params + velocity",
        "keras.optimizers.SGD, version 3", "https://keras.io/api/optimizers/sgd/",
        hyperparameters=(_LEARNING_RATE, Hyperparameter("momentum", 0.9, 0.0, 0.999, "one-minus-log")),
        decays=("momentum",),
    ),
)  # fmt: skip
