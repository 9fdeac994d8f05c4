"""One run of a trial without a sweep: its functions, called as they are meant to be."""

import jax
import numpy as np

from momentum_optax.sweeps.points.reader import Reader


def structural(hyper):
    return Reader({name: value for name, value in hyper.items() if isinstance(value, int | str)})


def run(trial, hyper, steps, seed=0, fold=None, folds=1):
    """The first state, the last, the loss of every step and the metrics after the last."""
    structure = structural(hyper)
    numbers = {name: np.float32(value) for name, value in hyper.items() if isinstance(value, float)}

    def read(numbers):
        return Reader({**structure, **numbers})

    def train(numbers, first, items, data, fold):
        data = data if fold is None else trial.fold(data, fold, folds)
        last, losses = jax.lax.scan(
            lambda state, item: trial.step(read(numbers), state, trial.fetch(data, item)), first, items
        )
        return last, losses, trial.evaluate(read(numbers), last, data)

    drawn = jax.jit(lambda key: trial.draw(structure, key))(jax.random.key(seed))
    first = jax.jit(lambda numbers, drawn: trial.init(read(numbers), drawn))(numbers, drawn)
    items = trial.plan(structure, seed, steps)
    last, losses, metrics = jax.jit(train)(numbers, first, items, trial.data, None if fold is None else np.int32(fold))
    return first, last, np.asarray(losses), {name: float(value) for name, value in metrics.items()}
