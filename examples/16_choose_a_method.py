"""Choosing a method, a learning rate and a beta, in three ways that cost less than trying everything to the end.

The same 128 points (two methods, random learning rates and betas) on handwritten digits: all of them to the end; with
successive halving, which gives most of its steps to the best; and as two populations, which copy their best members and
change their numbers while they train, so that they find schedules. The sweep is kept in a folder: stop it at any
moment, even by `kill -9`, and the same command goes on.

    python examples/16_choose_a_method.py
"""

import sys

import momentum_optax as mo
from momentum_optax import sweeps
from momentum_optax.problems import digits
from momentum_optax.sweeps.cores import use_all_cores

METHODS = {"heavy_ball": mo.heavy_ball, "nesterov": mo.nesterov}
SCALES = {"learning_rate": sweeps.log(1e-4, 1.0), "beta": sweeps.one_minus_log(0.0, 0.999)}


def trial() -> sweeps.Trial:
    """The method is a text, and so a program of its own; learning rate and beta vary inside the program."""
    return sweeps.supervised(
        digits.MLP,
        sweeps.cross_entropy,
        digits.load(),
        optimizer=lambda hp: METHODS[hp["method"]](hp["learning_rate"], hp["beta"]),
    )


def main(steps: int = 300, points: int = 64, seeds: int = 3, folder: str = "") -> dict[str, sweeps.SweepResult]:
    """The three results."""
    rung = steps // 10
    candidates = sweeps.grid(method=list(METHODS)) * sweeps.random(points, seed=0, **SCALES)
    ways = {
        "all to the end": {},
        "halving": {"pruning": sweeps.SuccessiveHalving(rung, factor=3)},
        "population": {"population": sweeps.Population(rung, SCALES)},
    }
    problem, results = trial(), {}
    for name, options in ways.items():
        results[name] = sweeps.sweep(
            problem,
            candidates,
            seeds=seeds,
            steps=steps,
            evaluate_every=rung,
            metric="test_loss",
            strategy="vmap",
            folder=f"{folder}/{name.replace(' ', '_')}" if folder else None,
            progress=sys.stderr.isatty(),
            **options,
        )
    return results


if __name__ == "__main__":
    use_all_cores()
    for name, result in main().items():
        best = result.best("test_loss")
        print(f"{name:15} {result.cost.sum():8} steps, best test loss {best.value:.4f} by {dict(best.point)}")
