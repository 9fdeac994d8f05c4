"""Small results made by hand, for tests of what is made of them."""

import numpy as np

from momentum_optax.sweeps import SweepResult


def make(
    accuracy, steps=(10, 20), diverged=None, method="m", pruned=None, metric="test_accuracy", points=None, **settings
):
    """A result with one point for each entry of `accuracy`, `[points, seeds(, folds), evaluations]`.

    `diverged` are runs lost at step 11; `pruned` maps runs to the step after which they were stopped.
    """
    accuracy, steps = np.array(accuracy, np.float32), np.asarray(steps)
    diverged_at, pruned_at = np.full((2, *accuracy.shape[:-1]), -1)
    for run in diverged or ():
        diverged_at[run] = 11
        accuracy[run][1:] = np.nan
    for run, step in (pruned or {}).items():
        pruned_at[run] = step
        accuracy[run][steps > step] = np.nan
    if points is None:
        points = [{"method": method, "learning_rate": 0.1 * (p + 1), "beta": 0.9} for p in range(len(accuracy))]
    return SweepResult(
        points=tuple(points),
        seeds=tuple(range(accuracy.shape[1])),
        steps=steps,
        metrics={metric: accuracy},
        diverged_at=diverged_at,
        settings=settings,
        folds=tuple(range(accuracy.shape[2])) if accuracy.ndim == 4 else (),
        pruned_at=pruned_at,
    )
