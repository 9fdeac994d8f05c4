"""Many training runs at once: sweeps over hyperparameters and seeds in one compiled program.

trial = supervised(MLP, data, optimizer=lambda hp: optax.sgd(hp["learning_rate"], hp["beta"]))
result = sweep(trial, grid(learning_rate=[0.01, 0.1, 1.0], beta=[0.0, 0.9]), seeds=5, steps=300)
print(result.table())
"""

from .points import Points as Points
from .points import grid as grid
from .progress import Progress as Progress
from .progress import progress_bar as progress_bar
from .results import SweepResult as SweepResult
from .results import join as join
from .run import sweep as sweep
from .supervised import Data as Data
from .supervised import accuracy as accuracy
from .supervised import cross_entropy as cross_entropy
from .supervised import supervised as supervised
from .trial import Trial as Trial
