"""A coefficient, or a whole transformation, for each layer."""

import re

from .. import _coefficient as coefficient
from .._method import Hyperparameter, Method
from ..coefficients.by_depth import by_depth
from ..coefficients.layerwise import layerwise
from ..filters.ema import ema
from ..optimizers.heavy_ball import heavy_ball
from ..optimizers.qhm import qhm
from ..wrappers.layerwise_chain import layerwise_chain
from ._shared import BETA, LEARNING_RATE

# The kernel; and one leaf of any other tree, whatever it holds.
_KERNEL = re.compile("kernel$|^$|^0|^w|^row|^a")
_EVERY = re.compile("")

_HOWARD = (
    'Howard and Ruder (2018), "Universal Language Model Fine-tuning for Text Classification"',
    "https://arxiv.org/abs/1801.06146",
)
_BY_NAME = {"containers_do_not_matter": "in tuples and lists the names are numbers, so that other leaves are named"}


def _layerwise(learning_rate, kernel, beta):
    return heavy_ball(learning_rate, layerwise({_KERNEL: kernel}, default=beta))


def _by_depth(beta, share):
    beta, share = coefficient.check("beta", beta), coefficient.number("share", share, coefficient.FRACTION)

    def at(depth):
        return coefficient.combine(lambda b: b * (share + (1 - share) * depth), beta)

    return ema(by_depth(at, order=[_EVERY]))


def _layerwise_chain(learning_rate, kernel, beta):
    kernel = coefficient.check("kernel", kernel)
    return layerwise_chain({_KERNEL: heavy_ball(learning_rate, kernel)}, default=qhm(learning_rate, beta))


_KERNEL_BETA = Hyperparameter("kernel", 0.5, 0.0, 0.999, "one-minus-log")

LAYERWISE: tuple[Method, ...] = (
    Method(
        "layerwise", _layerwise, "coefficient", "a coefficient for each layer, by its path",
        "beta of a leaf = coefficients[the glob that names its path]",
        *_HOWARD,
        hyperparameters=(LEARNING_RATE, _KERNEL_BETA, BETA),
        decays=("kernel", "beta"),
        exceptions={
            **_BY_NAME,
            "bad_arguments_are_refused": "layerwise says for which leaves, not for which argument",
        },
    ),
    Method(
        "by_depth", _by_depth, "coefficient", "a coefficient for each layer, by its depth",
        "beta of a leaf = function(place of its layer / (layers - 1))",
        *_HOWARD,
        hyperparameters=(BETA, Hyperparameter("share", 0.5, 0.0, 1.0)),
        decays=("beta",),
        debiased=True,
        exceptions=_BY_NAME,
    ),
    Method(
        "layerwise_chain", _layerwise_chain, "wrapper", "a transformation for each layer, by its path",
        "update of a leaf <- transforms[the glob that names its path](g)",
        *_HOWARD,
        hyperparameters=(LEARNING_RATE, _KERNEL_BETA, BETA),
        decays=("kernel", "beta"),
        exceptions=_BY_NAME,
    ),
)  # fmt: skip
