"""Many training runs at once: sweeps over hyperparameters and seeds in one compiled program.

trial = supervised(MLP, cross_entropy, data, optimizer=lambda hp: optax.sgd(hp["learning_rate"], hp["beta"]))
result = sweep(trial, grid(learning_rate=[0.01, 0.1, 1.0], beta=[0.0, 0.9]), seeds=5, steps=300)
print(result.table())
"""

from typing import TYPE_CHECKING, Any

from . import distributed as distributed
from .points.points import Points as Points
from .points.points import Program as Program
from .points.points_file import points_from_dict as points_from_dict
from .points.points_file import points_from_toml as points_from_toml
from .points.sampling import grid as grid
from .points.sampling import random as random
from .points.sampling import sobol as sobol
from .points.sampling import zip_points as zip_points
from .points.scales import choice as choice
from .points.scales import integers as integers
from .points.scales import linear as linear
from .points.scales import log as log
from .points.scales import one_minus_log as one_minus_log
from .results.best import Best as Best
from .results.comparison import Comparison as Comparison
from .results.results import SweepResult as SweepResult
from .results.results import join as join
from .run import sweep as sweep
from .rungs.population import Population as Population
from .rungs.progress import Progress as Progress
from .rungs.progress import progress_bar as progress_bar
from .rungs.pruning import Hyperband as Hyperband
from .rungs.pruning import MedianStopping as MedianStopping
from .rungs.pruning import Pruning as Pruning
from .rungs.pruning import SuccessiveHalving as SuccessiveHalving
from .search.search import Search as Search
from .search.search import optuna_search as optuna_search
from .storage.folder import load as load
from .trials.data import Data as Data
from .trials.losses import accuracy as accuracy
from .trials.losses import cross_entropy as cross_entropy
from .trials.supervised import supervised as supervised
from .trials.trial import Trial as Trial
from .trials.trial import trial as trial

if TYPE_CHECKING:
    from . import pictures as pictures


def __getattr__(name: str) -> Any:
    """`pictures`, once it is asked for: it needs matplotlib, and time."""
    if name != "pictures":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return importlib.import_module(".pictures", __name__)
