"""Every method on two small networks, tuned as much as the others, ranked.

Every optimizer of the catalogue that follows the gradients of the batches has 24 trials, and so has every wrapper that
is a method, around an optimizer it was published with: 6 learning rates over a factor of 300 or so around what is usual
for its kind x 4 values of a number of its own, the first of them its default; see `tuning`. The best trial on
validation data is run with 5 other seeds. The table is ordered by the mean loss on unseen data; the intervals are
bootstrapped 95 % intervals of the paired difference to the best. `mars`, `storm` and `adaptive_storm` take two
gradients of each batch.

    python benchmarks/race.py [--quick] [--problem digits] [--method lion]
"""

import argparse
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import machine
import numpy as np
import optax
from tuning import PROBLEMS, Chosen, Contender, compare, difference

import momentum_optax as mo
from momentum_optax.catalog import CATALOG
from momentum_optax.sweeps.cores import cpu_count

SEEDS = tuple(range(5))
BETAS, SECOND = [0.9, 0.0, 0.7, 0.97], [0.999, 0.9, 0.98, 0.9999]


def rates(low: float, high: float) -> tuple[float, ...]:
    return tuple(np.geomspace(low, high, 6).tolist())


# The gradient's own scale; divided by its size; signs, which need less again.
PLAIN, DIVIDED, SIGNS = rates(0.003, 1), rates(0.0003, 0.1), rates(0.00003, 0.01)


def own(build: Callable[..., Any], name: str) -> Callable[[Any, Any], optax.GradientTransformation]:
    """The optimizer as a function of the learning rate and one number, by its name."""
    return lambda rate, value: build(rate, **{name: value})


def contender(build: Callable[..., Any], name: str, values: list[float], rates: tuple[float, ...]) -> Contender:
    return Contender(own(build, name), name, values, rates)


def decaying(direction: optax.GradientTransformation, rate: Any, decay: Any) -> optax.GradientTransformation:
    """The direction, then weight decay that the direction's wrapper does not see."""
    return optax.chain(direction, mo.add_decayed_weights(decay), mo.scale_by_learning_rate(rate))


# A wrapper without a number of its own has that of the optimizer inside.
CONTENDERS = {
    "heavy_ball": contender(mo.heavy_ball, "beta", BETAS, PLAIN),
    "ema_momentum": contender(mo.ema_momentum, "beta", BETAS, PLAIN),
    "nesterov": contender(mo.nesterov, "beta", BETAS, PLAIN),
    "qhm": contender(mo.qhm, "nu", [0.7, 0.3, 0.9, 1.0], PLAIN),
    "aggmo": Contender(
        lambda rate, beta: mo.aggmo(rate, (0.0, 0.9, beta)), "slowest beta", [0.99, 0.95, 0.97, 0.999], PLAIN
    ),
    "acc_sgd": contender(mo.acc_sgd, "kappa", [1000, 30, 100, 300], PLAIN),
    "pid": contender(mo.pid, "derivative", [10, 0, 3, 30], rates(0.001, 0.3)),
    "pnm": contender(mo.pnm, "beta0", [1, 0.3, 0.5, 2], PLAIN),
    "srsgd": contender(mo.srsgd, "period", [40, 10, 20, 80], PLAIN),
    "nigt": contender(mo.nigt, "beta", BETAS, PLAIN),
    "storm": contender(mo.storm, "a", [0.1, 0.01, 0.03, 0.3], PLAIN),
    # The rate is the factor k on a learning rate of its own.
    "adaptive_storm": contender(mo.adaptive_storm, "c", [10, 1, 100, 1000], rates(0.03, 10)),
    "torque_aware(heavy_ball)": Contender(
        lambda rate, decay: mo.torque_aware(mo.heavy_ball(rate), decay), "decay", [0.9, 0.0, 0.5, 0.99], PLAIN
    ),
    "schedule_free_sgd": Contender(
        lambda rate, b1: mo.schedule_free_sgd(rate, b1=b1), "b1", [0.9, 0.5, 0.8, 0.97], rates(0.03, 10)
    ),
    "adam": contender(mo.adam, "b2", SECOND, DIVIDED),
    "adamw": contender(mo.adamw, "weight_decay", [1e-4, 1e-3, 1e-2, 1e-1], DIVIDED),
    "amsgrad": contender(mo.amsgrad, "b2", SECOND, DIVIDED),
    "nadam": contender(mo.nadam, "b2", SECOND, DIVIDED),
    "nadamw": contender(mo.nadamw, "weight_decay", [1e-4, 1e-3, 1e-2, 1e-1], DIVIDED),
    "adabelief": contender(mo.adabelief, "b2", SECOND, DIVIDED),
    "yogi": contender(mo.yogi, "b2", SECOND, rates(0.001, 0.3)),
    "adan": contender(mo.adan, "b3", [0.99, 0.9, 0.97, 0.999], DIVIDED),
    "laprop": contender(mo.laprop, "b2", SECOND, DIVIDED),
    "madgrad": contender(mo.madgrad, "momentum", BETAS, DIVIDED),
    "msvag": contender(mo.msvag, "beta", [0.9, 0.7, 0.97, 0.99], PLAIN),
    "rmsprop": contender(mo.rmsprop, "momentum", BETAS, DIVIDED),
    "qhadam": contender(mo.qhadam, "nu1", [0.7, 0.3, 0.9, 1.0], DIVIDED),
    "ademamix": contender(mo.ademamix, "alpha", [5, 1, 2, 8], rates(0.0001, 0.03)),
    "simplified_ademamix": contender(mo.simplified_ademamix, "alpha", [0, 1, 10, 100], rates(0.00001, 0.003)),
    "adai": contender(mo.adai, "b0", [0.1, 0.03, 0.3, 1.0], PLAIN),
    "mars": contender(mo.mars, "gamma", [0.025, 0.0, 0.1, 0.3], DIVIDED),
    "schedule_free_adamw": Contender(
        lambda rate, b1: mo.schedule_free_adamw(rate, b1=b1), "b1", [0.9, 0.5, 0.8, 0.97], DIVIDED
    ),
    "bank / root_mean_square": Contender(
        lambda rate, beta: optax.chain(
            mo.divide(mo.bank((0.5, 0.9, beta)), by=mo.root_mean_square(0.999)), mo.scale_by_learning_rate(rate)
        ),
        "slowest beta",
        [0.99, 0.95, 0.97, 0.999],
        DIVIDED,
    ),
    "ema_nesterov(adam)": Contender(
        lambda rate, beta: mo.ema_nesterov(mo.adam(rate), beta), "beta", [0.5, 0.3, 0.7, 0.9], DIVIDED
    ),
    "cautious(adamw)": Contender(
        lambda rate, decay: decaying(mo.cautious(mo.scale_by_adam(), downhill=False), rate, decay),
        "weight_decay",
        [1e-4, 1e-3, 1e-2, 1e-1],
        DIVIDED,
    ),
    "grams(adam)": Contender(lambda rate, b2: mo.grams(mo.adam(rate, b2=b2)), "b2", SECOND, DIVIDED),
    "orthogonal_to_params(adam)": Contender(
        lambda rate, delta: mo.orthogonal_to_params(mo.adam(rate), delta), "delta", [0.1, 0.3, 1, 10], DIVIDED
    ),
    "lookahead(adam)": Contender(
        lambda rate, step: mo.lookahead(mo.adam(rate), slow_step=step), "slow_step", [0.5, 0.2, 0.35, 0.8], DIVIDED
    ),
    "outer_momentum(adamw, 10)": Contender(
        lambda rate, beta: mo.outer_momentum(mo.adamw(rate), 10, outer_beta=beta),
        "outer_beta",
        [0.9, 0.0, 0.5, 0.7],
        DIVIDED,
    ),
    "centralize, adam": Contender(
        lambda rate, b2: optax.chain(mo.centralize(), mo.adam(rate, b2=b2)), "b2", SECOND, DIVIDED
    ),
    "orthograd, adam": Contender(
        lambda rate, b2: optax.chain(mo.orthograd(), mo.adam(rate, b2=b2)), "b2", SECOND, DIVIDED
    ),
    "lion": contender(mo.lion, "b1", [0.9, 0.0, 0.7, 0.97], SIGNS),
    "signum": contender(mo.signum, "beta", BETAS, SIGNS),
    "tiger": contender(mo.tiger, "beta", [0.965, 0.5, 0.8, 0.99], DIVIDED),
    "muon": contender(mo.muon, "beta", [0.95, 0.0, 0.8, 0.98], rates(0.0003, 0.1)),
    "normuon": contender(mo.normuon, "beta", [0.95, 0.0, 0.8, 0.98], rates(0.0003, 0.1)),
    "scion": contender(mo.scion, "beta", [0.9, 0.0, 0.7, 0.97], rates(0.00001, 0.003)),
}
# Not here, and why.
ABSENT = {
    "nesterov_lookahead": "nesterov, with the gradient taken elsewhere",
    "polyak_heavy_ball": "asks for the loss of the minimum, which a batch does not have; see adaptive_beta",
    "schedule_free": "as schedule_free_sgd and schedule_free_adamw",
    "wrappers.for_matrices": "as muon, normuon and scion",
    "layerwise_chain": "what the methods in it are",
    "track": "measures, and changes no step",
    **dict.fromkeys(("wrappers.accumulate_into", "wrappers.lazy"), "the same steps, with other memory"),
    **dict.fromkeys(
        ("wrappers.restart_every", "wrappers.restart_when"), "a rule for the velocity; see adaptive_beta"
    ),
    **dict.fromkeys(
        ("wrappers.clip_by_velocity", "wrappers.skip_spikes", "wrappers.guard_finite"), "a defence, where all is quiet"
    ),
    **dict.fromkeys(
        ("compat.torch_sgd", "compat.keras_sgd", "compat.torch_nadam", "compat.keras_nadam", "compat.torch_rmsprop",
         "compat.keras_rmsprop"), "as a method above, in the conventions of another framework"
    ),
}  # fmt: skip


def ranking(found: Mapping[str, tuple[Chosen, Chosen]]) -> list[str]:
    """The names by their mean loss on unseen data, those of which a run diverged last."""
    return sorted(found, key=lambda name: np.nan_to_num(found[name][0].loss.mean(), nan=np.inf))


def marked(value: float, tried: Iterable[float], digits: str) -> str:
    """The chosen value, with an asterisk if it is the lowest or the highest that was tried."""
    edges = np.float32([min(tried), max(tried)])
    return f"{value:{digits}}{'*' if np.float32(value) in edges else ''}"


def print_race(found: Mapping[str, tuple[Chosen, Chosen]], contenders: Mapping[str, Contender]) -> None:
    columns = (
        "place",
        "method",
        "chosen",
        "unseen loss",
        "minus the best's",
        "accuracy %",
        "loss with its own number at the default",
    )
    print(machine.row(columns) + "\n" + machine.row(["---"] * len(columns)))
    order = ranking(found)
    best = found[order[0]][0]
    rates_at_edge = others_at_edge = 0
    for place, name in enumerate(order, 1):
        chosen, untuned = found[name]
        rate = marked(chosen.point["learning_rate"], contenders[name].learning_rates, ".2g")
        other = marked(chosen.point["own"], contenders[name].values, "g")
        rates_at_edge += rate.endswith("*")
        others_at_edge += other.endswith("*")
        cells = [
            str(place),
            name,
            f"rate {rate}, {contenders[name].own} {other}",
            f"{chosen.loss.mean():.3f}",
            "" if place == 1 else difference(chosen.loss, best.loss),
            f"{100 * chosen.accuracy.mean():.1f}",
            f"{untuned.loss.mean():.3f}",
        ]
        print(machine.row(cells), flush=True)
    print(
        f"\nAn asterisk marks the lowest or the highest value that was tried: {rates_at_edge} learning rates and "
        f"{others_at_edge} numbers of their own, of {len(order)}."
    )


def main(quick: bool = False, problems: Iterable[str] = PROBLEMS, methods: Iterable[str] = CONTENDERS) -> None:
    """Prints a table for each problem."""
    contenders = {name: CONTENDERS[name] for name in methods}
    for name in problems:
        print(f"\n{name}\n", flush=True)
        found = compare(name, contenders, SEEDS[:2] if quick else SEEDS, 20 if quick else None)
        print_race(found, contenders)


def missing() -> set[str]:
    """Optimizers and wrappers of the catalogue that neither race nor have a reason not to."""
    racing = {name for contender in CONTENDERS for name in re.findall(r"[\w.]+", contender)}
    return {row.name for row in CATALOG if row.kind in ("optimizer", "wrapper")} - racing - set(ABSENT)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--problem", action="append", choices=PROBLEMS)
    parser.add_argument("--method", action="append", choices=CONTENDERS)
    chosen = parser.parse_args()
    jax.config.update("jax_num_cpu_devices", cpu_count())
    main(chosen.quick, chosen.problem or PROBLEMS, chosen.method or CONTENDERS)
