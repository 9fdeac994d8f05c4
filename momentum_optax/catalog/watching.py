"""The wrapper that watches a run."""

from .._method import Hyperparameter, Method
from ..optimizers.heavy_ball import heavy_ball
from ..wrappers.track import track
from ._shared import BETA, LEARNING_RATE


def _track(learning_rate, beta, decay):
    return track(heavy_ball(learning_rate, beta), decay=decay)


WATCHING: tuple[Method, ...] = (
    Method(
        "track", _track, "wrapper", "measures gradient, velocity and update of any method, and changes nothing",
        "updates of tx; cosine <- mean(<g, w> / (|g| |w|)); effective_learning_rate <- mean(-<u, g>) / mean(|g|^2); "
        "effective_horizon <- 1 / (1 - beta), beta = |v across g| / |w across g|; sign_flips <- mean(angle(v, w)) / pi",
        'Goemans and Williamson (1995), "Improved Approximation Algorithms for Maximum Cut and Satisfiability Problems '
        'Using Semidefinite Programming"',
        "https://doi.org/10.1145/227683.227684",
        hyperparameters=(LEARNING_RATE, BETA, Hyperparameter("decay", 0.98, 0.5, 0.999, "one-minus-log")),
        decays=("beta",),
        exceptions={
            "missing_gradients_sit_out": "what is measured is of all leaves together, and a missing one is missing there",
        },
    ),
)  # fmt: skip
