"""Rules and restarts against the best constant beta, on two small networks, every method tuned as much as the others.

Every method has 24 trials: 6 learning rates x 4 values of a number of its own, as `tuning` says. The tables give the
means of the paired differences over 10 seeds and bootstrapped 95 % intervals. A second comparison leaves the number of
its own at its default, and tunes the learning rate alone, with 6 trials for everybody.

    python benchmarks/adaptive_beta.py            # some minutes
    python benchmarks/adaptive_beta.py --quick    # less than one
"""

import argparse
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import machine
import optax
from tuning import PROBLEMS, SEEDS, Chosen, Contender, compare, difference

import momentum_optax as mo
from momentum_optax.sweeps.cores import cpu_count


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
    CONSTANT: CONTENDERS[CONSTANT]._replace(values=[0.9, 0.8, 0.85, 0.93], learning_rates=FINER_RATES),
    "hypergradient": CONTENDERS["hypergradient"]._replace(values=[0.03, 0.003, 0.01, 0.1], learning_rates=FINER_RATES),
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
        print_comparison(compare("characters", FINER), FINER)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    jax.config.update("jax_num_cpu_devices", cpu_count())
    main(quick)
