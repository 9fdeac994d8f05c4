"""Methods that treat a matrix as one thing: its orthogonal factor, and what is made of it."""

import jax
import jax.numpy as jnp

from .._method import Hyperparameter, Method
from ..directions.orthogonal_factor import orthogonal_factor
from ..filters.trace import trace
from ..optimizers.heavy_ball import heavy_ball
from ..optimizers.muon import muon
from ..optimizers.normuon import normuon
from ..optimizers.scion import scion
from ..wrappers.for_matrices import for_matrices
from ._shared import BETA, LEARNING_RATE

_JORDAN = (
    'Jordan et al. (2024), "Muon: An optimizer for hidden layers in neural networks"',
    "https://kellerjordan.github.io/posts/muon/",
)
_ROUNDING = "the polynomials magnify the rounding of a beta in float32, from 1e-7 to 2e-6; within 1e-5 the law holds"
_RATE = Hyperparameter("learning_rate", 0.02, 1e-4, 1.0, "log")
_MOMENTUM = Hyperparameter("beta", 0.95, 0.0, 0.999, "one-minus-log")


def _by_shape(params):
    """Models without matrices, which the methods refuse by themselves, are welcome where all methods are compared."""
    return jax.tree.map(lambda x: jnp.ndim(x) >= 2, params)


def _orthogonal_factor(beta):
    return for_matrices(orthogonal_factor(), trace(beta), _by_shape)


def _for_matrices(learning_rate, beta):
    return for_matrices(heavy_ball(learning_rate, beta), heavy_ball(learning_rate, beta), _by_shape)


def _muon(learning_rate, beta):
    return muon(learning_rate, beta=beta, adam_b1=beta, adam_b2=beta, matrices=_by_shape)


def _normuon(learning_rate, beta, b2):
    return normuon(learning_rate, beta=beta, b2=b2, adam_b1=beta, adam_b2=b2, matrices=_by_shape)


def _scion(learning_rate, beta, radius):
    return scion(learning_rate, beta, radius, 1.0, matrices=_by_shape)


MATRICES: tuple[Method, ...] = (
    Method(
        "orthogonal_factor", _orthogonal_factor, "direction", "each matrix by its orthogonal factor, after any velocity",
        "update <- shape_factor * orthogonalize(g), which makes U V^H of U S V^H",
        *_JORDAN,
        hyperparameters=(BETA,), decays=("beta",),
    ),
    Method(
        "wrappers.for_matrices", _for_matrices, "wrapper", "one method for the matrices, another for the rest",
        "update <- tx(g) where the leaf is a matrix and no embedding, head, bias or scale by its name, else rest(g)",
        *_JORDAN,
        hyperparameters=(LEARNING_RATE, BETA), decays=("beta",),
    ),
    Method(
        "muon", _muon, "optimizer", "momentum whose matrices are orthogonalized; AdamW for the rest",
        "velocity <- beta * velocity + (1 - beta) * g; params <- params - learning_rate * shape_factor * "
        "orthogonalize(beta * velocity + (1 - beta) * g)",
        *_JORDAN,
        hyperparameters=(_RATE, _MOMENTUM), decays=("beta",),
        exceptions={"injected_hyperparameters_change_nothing": _ROUNDING},
    ),
    Method(
        "normuon", _normuon, "optimizer", "Muon with neurons of even size; AdamW for the rest",
        "second_moment <- b2 * second_moment + (1 - b2) * mean of |o|^2 for each neuron of Muon's o; "
        "params <- params - learning_rate * shape_factor * |o| / |even| * even, with even = o / sqrt(second_moment)",
        'Li, Liu, Liang, Chen and Zhao (2025), "NorMuon: Making Muon more efficient and scalable"',
        "https://arxiv.org/abs/2510.05491",
        hyperparameters=(_RATE, _MOMENTUM, Hyperparameter("b2", 0.95, 0.5, 0.9999, "one-minus-log")),
        decays=("beta", "b2"),
        exceptions={
            "injected_hyperparameters_change_nothing": _ROUNDING,
            "state_is_sharded_as_the_params_are": "a number for each neuron is sharded as the outputs are",
            "explicit_shardings_are_kept": "a number for each neuron is sharded as the outputs are",
        },
    ),
    Method(
        "scion", _scion, "optimizer", "towards the farthest point of a ball in the norm of each layer",
        "velocity <- beta * velocity + (1 - beta) * g; params <- params - learning_rate * (radius * sqrt(outputs / inputs) "
        "* orthogonalize(velocity) + params); sign or root mean square instead for what is no matrix",
        'Pethick et al. (2025), "Training Deep Learning Models with Norm-Constrained LMOs"',
        "https://arxiv.org/abs/2502.07529",
        hyperparameters=(
            Hyperparameter("learning_rate", 1e-3, 1e-5, 0.1, "log"), BETA, Hyperparameter("radius", 50.0, 1.0, 1000.0, "log"),
        ),
        decays=("beta",),
    ),
)  # fmt: skip
