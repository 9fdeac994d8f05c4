"""What noise in the gradients does to momentum that restarts or adapts.

The loss is the Laplacian of a path of 200 nodes, pulled at one end, and gradients have independent normal noise. The
loss that a method sees is that of the same random sample: the noise times the way from the start is added.
"Accumulated" is the loss of the difference between a run and its twin without noise.

    python benchmarks/noise.py            # about a minute
    python benchmarks/noise.py --quick    # some seconds
"""

import argparse
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import machine
import numpy as np
import optax
from convergence import growing, ruled

import momentum_optax as mo

NODES, NOISE = 200, 0.01


def path() -> tuple[np.ndarray, np.ndarray]:
    """Curvatures of the loss of the path, at most 1, and the first error, along its eigenvectors."""
    k = np.arange(1, NODES + 1) * np.pi / (NODES + 1)
    h = (1 - np.cos(k)) / 2
    pull = np.sqrt(2 / (NODES + 1)) * np.sin(k)
    return h, -pull / h


NOISY: dict[str, Callable[[], optax.GradientTransformation]] = {
    "gradient descent": lambda: mo.heavy_ball(1.0, 0.0),
    "Nesterov, no restart": growing,
    "srsgd, period 10": lambda: mo.srsgd(1.0, 10),
    "srsgd, period 40": lambda: mo.srsgd(1.0, 40),
    "srsgd, period 160": lambda: mo.srsgd(1.0, 160),
    "srsgd, period 640": lambda: mo.srsgd(1.0, 640),
    "restart_when gradient": lambda: mo.wrappers.restart_when(growing(), "gradient"),
    "restart_when function": lambda: mo.wrappers.restart_when(growing(), "function"),
    "alignment": lambda: ruled(mo.rules.alignment()),
    "lipschitz_ratio": lambda: ruled(mo.rules.lipschitz_ratio()),
    "heavy ball, beta 0.9": lambda: mo.heavy_ball(1.0, 0.9),
    "polyak_heavy_ball": mo.polyak_heavy_ball,
}


class Noisy(NamedTuple):
    """Losses above the minimum, `[times]` or `[seeds, times]`.

    Attributes:
      clean: without noise.
      loss: with it.
      accumulated: of the difference between the run with noise and the one without.
      restarts: by the end, `[1 + seeds]`; the first is the run without noise.
    """

    clean: np.ndarray
    loss: np.ndarray
    accumulated: np.ndarray
    restarts: np.ndarray


def noisy(tx: optax.GradientTransformation, times: Sequence[int], seeds: int) -> Noisy:
    """Runs with noise, and without, to the given numbers of steps."""
    h, error = path()
    tx = optax.with_extra_args_support(tx)

    def loss(x):
        return jnp.sum(h * x**2) / 2

    def run(key, deviation):
        def step(carry, count):
            x, state = carry
            noise = deviation * jax.random.normal(jax.random.fold_in(key, count), x.shape)
            updates, state = tx.update(h * x + noise, state, x, value=loss(x) + noise @ (x - error))
            return (mo.apply_updates(x, updates), state), None

        carry, points = (jnp.asarray(error), tx.init(jnp.asarray(error))), []
        for begin, end in zip([0, *times], times, strict=False):
            carry, _ = jax.lax.scan(step, carry, jnp.arange(begin, end))
            points.append(mo.eval_params(carry[1], carry[0], missing="params"))
        return jnp.stack(points), optax.tree.get(carry[1], "restarts", jnp.zeros((), int))

    with jax.enable_x64(True):
        runs = jax.jit(jax.vmap(run))
        keys = jax.random.split(jax.random.key(0), seeds + 1)
        points, restarts = map(np.asarray, runs(keys, jnp.full(seeds + 1, NOISE).at[0].set(0.0)))
    half = h / 2
    clean, points = points[0], points[1:]
    return Noisy(clean**2 @ half, points**2 @ half, (points - clean) ** 2 @ half, restarts)


def interval(values: np.ndarray) -> str:
    """The mean over the seeds, with 1.96 standard errors to each side."""
    mean, error = values.mean(), values.std(ddof=1) / np.sqrt(len(values))
    return f"{mean:.3g} ± {1.96 * error:.1g}"


def print_noisy(names: Sequence[str], times: Sequence[int], seeds: int) -> None:
    print(machine.row(["method", *(f"{what} at {t:,}" for t in times for what in ("loss", "accumulated")), "restarts"]))
    print(machine.row(["---"] * (2 * len(times) + 2)))
    for name in names:
        found = noisy(NOISY[name](), times, seeds)
        cells = []
        for t in range(len(times)):
            cells += [interval(found.loss[:, t]), interval(found.accumulated[:, t])]
        clean, *rest = found.restarts
        cells.append(f"{np.mean(rest):.4g}, {clean} without noise" if clean else "")
        print(machine.row([name, *cells]))


QUICK = ("gradient descent", "Nesterov, no restart", "srsgd, period 40")


def main(quick: bool = False) -> None:
    """Prints the table."""
    if quick:
        print_noisy(QUICK, (100, 300), seeds=8)
    else:
        print_noisy(list(NOISY), (100, 1000, 10_000), seeds=64)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    main(parser.parse_args().quick)
