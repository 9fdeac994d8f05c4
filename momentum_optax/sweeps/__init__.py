"""Many training runs at once: sweeps over hyperparameters and seeds in one compiled program.

trial = supervised(MLP, cross_entropy, data, optimizer=lambda hp: optax.sgd(hp["learning_rate"], hp["beta"]))
result = sweep(trial, grid(learning_rate=[0.01, 0.1, 1.0], beta=[0.0, 0.9]), seeds=5, steps=300)
print(result.table())
"""

from . import distributed as distributed
from .best import Best as Best
from .comparison import Comparison as Comparison
from .data import Data as Data
from .folder import load as load
from .losses import accuracy as accuracy
from .losses import cross_entropy as cross_entropy
from .points import Points as Points
from .points import Program as Program
from .points_file import points_from_dict as points_from_dict
from .points_file import points_from_toml as points_from_toml
from .population import Population as Population
from .progress import Progress as Progress
from .progress import progress_bar as progress_bar
from .pruning import Hyperband as Hyperband
from .pruning import MedianStopping as MedianStopping
from .pruning import Pruning as Pruning
from .pruning import SuccessiveHalving as SuccessiveHalving
from .results import SweepResult as SweepResult
from .results import join as join
from .run import sweep as sweep
from .sampling import grid as grid
from .sampling import random as random
from .sampling import sobol as sobol
from .sampling import zip_points as zip_points
from .scales import choice as choice
from .scales import integers as integers
from .scales import linear as linear
from .scales import log as log
from .scales import one_minus_log as one_minus_log
from .search import Search as Search
from .search import optuna_search as optuna_search
from .supervised import supervised as supervised
from .trial import Trial as Trial
from .trial import trial as trial
