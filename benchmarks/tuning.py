"""Two small networks, and methods that are tuned on them with equal budgets; what the comparisons share.

Handwritten digits (a 64-64-10 network) and the next character of a text (a network that sees the last eight). Every
method is tried on a grid of learning rates and of values of a number of its own, with 3 seeds. The trial with the
lowest loss on validation data is run with other seeds, and tested on data that no choice has seen. A seed stands for
the same first params and the same order of batches in every method, so that differences are paired.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn import datasets

from momentum_optax.problems import digits
from momentum_optax.sweeps import Data, SweepResult, Trial, accuracy, cross_entropy, grid, supervised, sweep

TUNING_SEEDS, SEEDS = (100, 101, 102), tuple(range(10))


class Contender(NamedTuple):
    """A method that is compared.

    Attributes:
      build: the optimizer, from the learning rate and the number of its own.
      own: what that number is called.
      values: what is tried for it; the first is the default.
      learning_rates: what is tried for it.
    """

    build: Callable[[Any, Any], optax.GradientTransformation]
    own: str
    values: Sequence[float]
    learning_rates: Sequence[float] = tuple(np.geomspace(0.003, 1, 6).tolist())


class Problem(NamedTuple):
    """A network and its data; the first `validation` of the samples to test on are for choosing."""

    model: Any
    data: Data
    validation: int


def digits_problem() -> Problem:
    """A quarter of the training images is for choosing."""
    data = digits.load()
    inputs, targets = (np.concatenate([data[i][:360], data[i + 2]]) for i in (0, 1))
    return Problem(digits.MLP, Data(data.train_inputs[360:], data.train_targets[360:], inputs, targets), 360)


CONTEXT, EMBEDDING, HIDDEN = 8, 8, 32


def characters() -> Problem:
    """The descriptions of scikit-learn's small data sets; of ten pieces eight train, one chooses, one tests."""
    loaders = (datasets.load_breast_cancer, datasets.load_diabetes, datasets.load_digits, datasets.load_iris,
               datasets.load_linnerud, datasets.load_wine)  # fmt: skip
    text = np.array(list("\n".join(load().DESCR for load in loaders).lower()))
    letters, codes = np.unique(text, return_inverse=True)
    windows = np.lib.stride_tricks.sliding_window_view(codes.astype(np.int32), CONTEXT + 1)
    # Pieces of 200; a window that reaches into the next piece is dropped.
    place = np.arange(len(windows))
    windows, place = windows[place % 200 < 200 - CONTEXT], place[place % 200 < 200 - CONTEXT]
    part = place // 200 % 10
    train, choose, test = (windows[np.isin(part, kinds)] for kinds in (range(8), [8], [9]))
    held_out = np.concatenate([choose, test])
    data = Data(train[:, :-1], train[:, -1], held_out[:, :-1], held_out[:, -1])
    return Problem((functools.partial(_first, len(letters)), _predict), data, len(choose))


def _first(letters: int, key: jax.Array) -> dict[str, jax.Array]:
    a, b, c = jax.random.split(key, 3)
    wide = CONTEXT * EMBEDDING
    return {
        "embedding": jax.random.normal(a, (letters, EMBEDDING)),
        "hidden": jax.random.normal(b, (wide, HIDDEN)) / np.sqrt(wide),
        "hidden_bias": jnp.zeros(HIDDEN),
        "output": jax.random.normal(c, (HIDDEN, letters)) / np.sqrt(HIDDEN),
        "output_bias": jnp.zeros(letters),
    }


def _predict(params: Mapping[str, jax.Array], context: jax.Array) -> jax.Array:
    # A product with ones and zeros: the gradient of a look-up is a scatter, slow on a CPU.
    seen = jax.nn.one_hot(context, len(params["embedding"])) @ params["embedding"]
    hidden = jnp.tanh(seen.reshape(len(context), -1) @ params["hidden"] + params["hidden_bias"])
    return hidden @ params["output"] + params["output_bias"]


PROBLEMS = {"digits": (digits_problem, 100, 32), "characters": (characters, 400, 32)}


def trial(contender: Contender, problem: Problem, batch_size: int) -> Trial:
    n = problem.validation
    plain = supervised(
        problem.model,
        cross_entropy,
        problem.data,
        optimizer=lambda hp: contender.build(hp["learning_rate"], hp["own"]),
        batch_size=batch_size,
        metrics={
            "choosing": lambda predictions, targets: cross_entropy(predictions[:n], targets[:n]).mean(),
            "unseen": lambda predictions, targets: cross_entropy(predictions[n:], targets[n:]).mean(),
            "accuracy": lambda predictions, targets: accuracy(predictions[n:], targets[n:]).mean(),
        },
    )

    def evaluate(hyper, state, data):
        return {**plain.evaluate(hyper, state, data), "beta": last_beta(state)}

    return dataclasses.replace(plain, evaluate=evaluate)


def last_beta(state: Any) -> jax.Array:
    """What the rules decided on for the last update, the mean over leaves; -1 if there is no rule."""
    leaves = [(jax.tree_util.keystr(path), leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(state)]
    betas = [leaf for path, leaf in leaves if ".values['beta" in path]
    return jnp.mean(jnp.stack(betas)) if betas else -jnp.ones(())


class Chosen(NamedTuple):
    """A trial that was chosen, and its runs with other seeds.

    Attributes:
      point: its numbers.
      loss: on unseen data, `[seeds]`.
      accuracy: on unseen data, `[seeds]`.
      training: loss on the batches of the last tenth of the run, `[seeds]`.
      beta: at the last update, `[seeds]`; -1 if there is no rule.
    """

    point: Mapping[str, float]
    loss: np.ndarray
    accuracy: np.ndarray
    training: np.ndarray
    beta: np.ndarray


def choose(result: SweepResult, own: float | None = None) -> Chosen:
    """The trial with the lowest loss on the validation data, of all or of those with this number of their own."""
    tuning = [i for i, seed in enumerate(result.seeds) if seed in TUNING_SEEDS]
    others = [i for i, seed in enumerate(result.seeds) if seed not in TUNING_SEEDS]
    score = np.nan_to_num(result.final("test_choosing")[:, tuning].mean(axis=1), nan=np.inf)
    allowed = [own is None or np.float32(point["own"]) == np.float32(own) for point in result.points]
    best = int(np.argmin(np.where(allowed, score, np.inf)))
    metrics = ("test_unseen", "test_accuracy", "train_loss", "beta")
    final = {name: result.final(name)[best, others] for name in metrics}
    return Chosen(result.points[best], *final.values())


def bootstrap(differences: np.ndarray) -> tuple[float, float, float]:
    """The mean, and the 2.5 and 97.5 percent points of the means of 10,000 draws with replacement."""
    draws = np.random.default_rng(0).choice(differences, (10_000, len(differences))).mean(axis=1)
    low, high = np.percentile(draws, (2.5, 97.5)) if np.isfinite(differences).all() else (np.nan, np.nan)
    return differences.mean(), low, high


def difference(own: np.ndarray, other: np.ndarray, digits: int = 3) -> str:
    """The paired difference, in bold where the interval does not hold 0."""
    if not np.isfinite(own).all():
        return f"{np.isnan(own).sum()} of {len(own)} diverged"
    mean, low, high = bootstrap(own - other)
    text = f"{mean:+.{digits}f} [{low:+.{digits}f}, {high:+.{digits}f}]"
    return f"**{text}**" if low > 0 or high < 0 else text


def compare(
    name: str,
    contenders: Mapping[str, Contender],
    seeds: Sequence[int] = SEEDS,
    steps: int | None = None,
) -> dict[str, tuple[Chosen, Chosen]]:
    """For every method the best of all trials, and the best of those that leave its own number at the default."""
    make, default_steps, batch_size = PROBLEMS[name]
    problem, steps = make(), steps or default_steps
    found = {}
    for label, contender in contenders.items():
        points = grid(learning_rate=contender.learning_rates, own=contender.values)
        result = sweep(
            trial(contender, problem, batch_size), points, seeds=(*TUNING_SEEDS, *seeds), steps=steps, label=label
        )
        found[label] = choose(result), choose(result, contender.values[0])
    return found
