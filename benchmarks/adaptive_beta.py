"""Rules and restarts against the best constant beta, on two small networks, every method tuned as much as the others.

Handwritten digits (a 64-64-10 network) and the next character of a text (a network that sees the last eight). Every
method has 24 trials: 6 learning rates x 4 values of a number of its own, with 3 seeds. The trial with the lowest loss
on validation data is run with 10 other seeds, and tested on data that no choice has seen. A seed stands for the same
first params and the same order of batches in every method, so that differences are paired: the tables give their means
over the seeds and bootstrapped 95 % intervals. A second comparison leaves the number of its own at its default, and
tunes the learning rate alone, with 6 trials for everybody.

    python benchmarks/adaptive_beta.py            # some minutes
    python benchmarks/adaptive_beta.py --quick    # less than one
"""

import argparse
import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import machine
import numpy as np
import optax
from sklearn import datasets

import momentum_optax as mo
from momentum_optax.problems import digits
from momentum_optax.sweeps import Data, SweepResult, Trial, accuracy, cross_entropy, grid, supervised, sweep
from momentum_optax.sweeps.run import cpu_count

TUNING_SEEDS, SEEDS = (100, 101, 102), tuple(range(10))
LEARNING_RATES = [float(x) for x in np.geomspace(0.003, 1, 6)]


class Contender(NamedTuple):
    """A method that is compared.

    Attributes:
      build: the optimizer, from the learning rate and the number of its own.
      own: what that number is called.
      values: what is tried for it; the first is the default.
    """

    build: Callable[[Any, Any], optax.GradientTransformation]
    own: str
    values: Sequence[float]


def yellowfin(rate, decay):
    """Its learning rate is its own; what is tuned is a factor, from 0.03 to 10."""
    tuner = mo.rules.yellowfin(decay=decay)
    return optax.chain(mo.heavy_ball(tuner.learning_rate, tuner.beta), optax.scale(10 * rate))


def restarted(rate, steps):
    return mo.wrappers.restart_when(mo.nesterov(rate, mo.schedules.nesterov_sequence()), "gradient", min_steps=steps)


def ruled(rule: Callable[..., Any], **fixed: Any) -> Callable[[Any, Any], optax.GradientTransformation]:
    return lambda rate, own: mo.heavy_ball(rate, rule(own, **fixed))


def aligned(high, each_leaf=False):
    return mo.rules.alignment(high=high, each_leaf=each_leaf)


def patient(rate, patience):
    return mo.heavy_ball(rate, mo.rules.plateau(patience=patience, decay=0.95))


CONSTANT = "constant beta"
CONTENDERS = {
    CONSTANT: Contender(mo.heavy_ball, "beta", [0.9, 0.0, 0.7, 0.97]),
    "alignment": Contender(ruled(aligned), "high", [0.99, 0.9, 0.97, 0.999]),
    "alignment, each leaf": Contender(ruled(aligned, each_leaf=True), "high", [0.99, 0.9, 0.97, 0.999]),
    "hypergradient": Contender(ruled(mo.rules.hypergradient), "rate", [0.001, 0.00001, 0.0001, 0.01]),
    "hypergradient, each leaf": Contender(
        ruled(mo.rules.hypergradient, each_leaf=True), "rate", [0.001, 0.00001, 0.0001, 0.01]
    ),
    "lipschitz_ratio": Contender(ruled(mo.rules.lipschitz_ratio), "delta", [0.001, 0.01, 0.03, 0.1]),
    "plateau": Contender(patient, "patience", [10, 20, 50, 100]),
    "yellowfin": Contender(yellowfin, "decay", [0.999, 0.9, 0.97, 0.99]),
    "srsgd": Contender(mo.srsgd, "period", [40, 10, 20, 80]),
    "restart_when gradient": Contender(restarted, "min_steps", [1, 10, 30, 100]),
    "polyak_heavy_ball": Contender(lambda rate, part: mo.polyak_heavy_ball(part * rate), "f_star", [0, 0.1, 1, 3]),
}


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
        problem.data,
        optimizer=lambda hp: contender.build(hp["learning_rate"], hp["own"]),
        batch_size=batch_size,
        metrics={
            "choosing": lambda predictions, targets: cross_entropy(predictions[:n], targets[:n]),
            "unseen": lambda predictions, targets: cross_entropy(predictions[n:], targets[n:]),
            "accuracy": lambda predictions, targets: accuracy(predictions[n:], targets[n:]),
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
    learning_rates: Sequence[float] = LEARNING_RATES,
) -> dict[str, tuple[Chosen, Chosen]]:
    """For every method the best of all trials, and the best of those that leave its own number at the default."""
    make, default_steps, batch_size = PROBLEMS[name]
    problem, steps = make(), steps or default_steps
    found = {}
    for label, contender in contenders.items():
        points = grid(learning_rate=learning_rates, own=contender.values)
        result = sweep(
            trial(contender, problem, batch_size), points, seeds=(*TUNING_SEEDS, *seeds), steps=steps, label=label
        )
        found[label] = choose(result), choose(result, contender.values[0])
    return found


def print_comparison(found: Mapping[str, tuple[Chosen, Chosen]], contenders: Mapping[str, Contender]) -> None:
    constant, default = found[CONSTANT]
    columns = ("method", "chosen", "last beta", "unseen loss", "minus constant's", "training loss, likewise",
               "accuracy in points, likewise", "own number at its default, likewise")  # fmt: skip
    print(machine.row(columns))
    print(machine.row(["---"] * len(columns)))
    for name, (best, untuned) in found.items():
        point = f"rate {best.point['learning_rate']:.2g}, {contenders[name].own} {best.point['own']:g}"
        beta = f"{best.beta.mean():.3f}" if best.beta[0] >= 0 else ""
        cells = [name, point, beta, f"{best.loss.mean():.3f}"]
        if name == CONSTANT:
            cells += [""] * 4
        else:
            cells += [
                difference(best.loss, constant.loss),
                difference(best.training, constant.training),
                difference(100 * best.accuracy, 100 * constant.accuracy, 2),
                difference(untuned.loss, default.loss),
            ]
        print(machine.row(cells))


QUICK = (CONSTANT, "alignment")
FINER_RATES = [0.06, 0.1, 0.14, 0.2, 0.3]
FINER = {
    CONSTANT: CONTENDERS[CONSTANT]._replace(values=[0.9, 0.8, 0.85, 0.93]),
    "hypergradient": CONTENDERS["hypergradient"]._replace(values=[0.03, 0.003, 0.01, 0.1]),
}


def main(quick: bool = False, problems: Iterable[str] = PROBLEMS) -> None:
    """Prints a table for each problem, and one with finer grids on the characters."""
    contenders = {name: c for name, c in CONTENDERS.items() if not quick or name in QUICK}
    for name in problems:
        print(f"\n{name}\n", flush=True)
        found = compare(name, contenders, SEEDS[:3] if quick else SEEDS, 20 if quick else None)
        print_comparison(found, contenders)
    if not quick:
        print("\ncharacters, finer grids\n", flush=True)
        print_comparison(compare("characters", FINER, learning_rates=FINER_RATES), FINER)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    jax.config.update("jax_num_cpu_devices", cpu_count())
    main(quick)
