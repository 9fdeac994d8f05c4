"""How many steps momentum takes on quadratics, by what it is told about them.

Steps: 200 curvatures from `1 / condition` to 1, evenly spread in the logarithm, a normal start, float64. Counted are
the updates until the loss, where the method has its answer, is `REACHED` of the loss at the start for the first time.

    python benchmarks/convergence.py            # one or two minutes
    python benchmarks/convergence.py --quick    # some seconds
"""

import argparse
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import machine
import numpy as np
import optax

import momentum_optax as mo

REACHED = 1e-8


LAYERS = 10


class Contender(NamedTuple):
    """A method on the quadratics, whose largest curvature is 1.

    Attributes:
      name: what it is called in the table.
      told: what it is told about the loss.
      build: the method, from the smallest curvature and an option.
      options: what is tried; the best counts.
      layers: into how many leaves the params are split, neighbours in curvature together.
    """

    name: str
    told: str
    build: Callable[[Any, Any], optax.GradientTransformation]
    options: Sequence[float] = (0.0,)
    layers: int = 1


def known_heavy_ball(mu):
    root = jnp.sqrt(mu)
    return mo.heavy_ball(4 / (1 + root) ** 2, ((1 - root) / (1 + root)) ** 2)


def known_nesterov(mu):
    root = jnp.sqrt(mu)
    return mo.nesterov(1.0, (1 - root) / (1 + root))


def growing():
    return mo.nesterov(1.0, mo.schedules.fista_sequence())


def yellowfin(decay):
    tuner = mo.rules.yellowfin(decay=decay)
    return mo.heavy_ball(tuner.learning_rate, tuner.beta)


def ruled(rule):
    return mo.heavy_ball(1.0, rule)


PERIODS = tuple(float(x) for x in np.geomspace(10, 10_000, 13).round())


RATES = tuple(10.0**n for n in range(-4, 5))


HIGHS = (0.9, 0.99, 0.999, 0.9999)


DECAYS = (0.9, 0.99, 0.999)


KNOWN = ("heavy ball, constants known", "Nesterov, constants known")


CONTENDERS = (
    Contender(KNOWN[0], "L, mu", lambda mu, _: known_heavy_ball(mu)),
    Contender(KNOWN[1], "L, mu", lambda mu, _: known_nesterov(mu)),
    Contender(
        "Nesterov, restart every e sqrt(8 L / mu)",
        "L, mu",
        lambda mu, _: mo.wrappers.restart_every(growing(), jnp.round(math.e * jnp.sqrt(8 / mu))),
    ),
    Contender("Nesterov, no restart", "L", lambda mu, _: growing()),
    Contender("restart_when function", "L", lambda mu, _: mo.wrappers.restart_when(growing(), "function")),
    Contender("restart_when gradient", "L", lambda mu, _: mo.wrappers.restart_when(growing(), "gradient")),
    Contender("restart_when speed", "L", lambda mu, _: mo.wrappers.restart_when(growing(), "speed")),
    Contender("srsgd, period 40", "L", lambda mu, _: mo.srsgd(1.0, 40)),
    Contender("srsgd, best period", "L, 13 tries", lambda mu, period: mo.srsgd(1.0, period), PERIODS),
    Contender("alignment", "L", lambda mu, _: ruled(mo.rules.alignment())),
    Contender("alignment, best high", "L, 4 tries", lambda mu, high: ruled(mo.rules.alignment(high=high)), HIGHS),
    Contender(
        "alignment, best high, each leaf",
        "L, 4 tries",
        lambda mu, high: ruled(mo.rules.alignment(high=high, each_leaf=True)),
        HIGHS,
        LAYERS,
    ),
    Contender("lipschitz_ratio", "L", lambda mu, _: ruled(mo.rules.lipschitz_ratio())),
    Contender(
        "lipschitz_ratio, each leaf",
        "L",
        lambda mu, _: ruled(mo.rules.lipschitz_ratio(each_leaf=True)),
        layers=LAYERS,
    ),
    Contender(
        "hypergradient, best rate",
        "L, 9 tries",
        lambda mu, rate: ruled(mo.rules.hypergradient(rate, high=0.9999)),
        RATES,
    ),
    Contender(
        "hypergradient, best rate, each leaf",
        "L, 9 tries",
        lambda mu, rate: ruled(mo.rules.hypergradient(rate, high=0.9999, each_leaf=True)),
        RATES,
        LAYERS,
    ),
    Contender("yellowfin", "nothing", lambda mu, _: yellowfin(0.999)),
    Contender("yellowfin, best decay", "3 tries", lambda mu, decay: yellowfin(decay), DECAYS),
    Contender("yellowfin, loss times 100", "nothing", lambda mu, _: optax.chain(optax.scale(100), yellowfin(0.999))),
    Contender("yellowfin, loss / 100", "nothing", lambda mu, _: optax.chain(optax.scale(0.01), yellowfin(0.999))),
    Contender("polyak_heavy_ball", "the minimum", lambda mu, _: mo.polyak_heavy_ball()),
)


def curvatures(condition: float) -> np.ndarray:
    return np.geomspace(1 / condition, 1, 200)


def start() -> np.ndarray:
    return np.random.default_rng(0).standard_normal(200)


def steps_needed(contender: Contender, condition: float, limit: int, reached: float = REACHED) -> list[int]:
    """The updates that each option needs; -1 where `limit` was not enough or the loss became infinite."""

    def run(option, h, x):
        tx = optax.with_extra_args_support(contender.build(h[0], option))
        leaves = jnp.split(h, contender.layers)
        params = jnp.split(x, contender.layers)

        def loss(params):
            return sum(jnp.sum(h * x**2) for h, x in zip(leaves, params, strict=True)) / 2

        goal = reached * loss(params)

        def unfinished(carry):
            _, _, value, count = carry
            return (value > goal) & (value < jnp.inf) & (count < limit)

        def step(carry):
            params, state, _, count = carry
            value, gradient = jax.value_and_grad(loss)(params)
            updates, state = tx.update(gradient, state, params, value=value)
            params = mo.apply_updates(params, updates)
            return params, state, loss(mo.eval_params(state, params, missing="params")), count + 1

        _, _, value, count = jax.lax.while_loop(unfinished, step, (params, tx.init(params), loss(params), 0))
        return jnp.where(value <= goal, count, -1)

    with jax.enable_x64(True):
        run_all = jax.jit(jax.vmap(run, (0, None, None)))
        options = jnp.asarray(contender.options, float)
        return run_all(options, jnp.asarray(curvatures(condition)), jnp.asarray(start())).tolist()


def gradient_descent_steps(condition: float, reached: float = REACHED) -> int:
    """The same for gradient descent, whose loss after `t` steps of length 1 is known."""
    h, x = curvatures(condition), start()
    weights = h * x**2 / (h @ x**2)
    low, high = 0, int(100 * condition)
    while low < high:
        middle = (low + high) // 2
        if weights @ (1 - h) ** (2 * middle) <= reached:
            high = middle
        else:
            low = middle + 1
    return low


def quadratics(
    contenders: Sequence[Contender], conditions: Sequence[float], limit: int
) -> dict[str, list[tuple[int, float]]]:
    """The steps of the best option at each condition, and that option; -1 where none came to the end."""
    found = {}
    for contender in contenders:
        found[contender.name] = []
        for condition in conditions:
            counts = steps_needed(contender, condition, limit)
            arrived = [pair for pair in zip(counts, contender.options, strict=True) if pair[0] >= 0]
            found[contender.name].append(min(arrived, default=(-1, math.nan)))
    return found


def print_quadratics(contenders: Sequence[Contender], conditions: Sequence[float], limit: int) -> None:
    found = quadratics(contenders, conditions, limit)
    tuned = [min(pair[0] for pair in pairs) for pairs in zip(found[KNOWN[0]], found[KNOWN[1]], strict=True)]
    print(machine.row(["method", "told", *(f"{c:.0e}".replace("e+0", "e") for c in conditions), "best option"]))
    print(machine.row(["---"] * (len(conditions) + 3)))
    descent = [gradient_descent_steps(c) for c in conditions]
    print(machine.row(["gradient descent", "L", *map(_cell, descent, tuned, [limit] * 9), ""]))
    for contender in contenders:
        pairs = found[contender.name]
        options = ", ".join(f"{o:g}" for _, o in pairs) if len(contender.options) > 1 else ""
        cells = [_cell(count, best, limit) for (count, _), best in zip(pairs, tuned, strict=True)]
        print(machine.row([contender.name, contender.told, *cells, options]))


def print_known_counts() -> None:
    """Condition 1e4 down to 1e-10: the counts of others for the same runs are in brackets."""
    others = {
        "Nesterov, no restart": 6414,
        "restart_when function": 1351,
        "restart_when gradient": 1347,
        KNOWN[1]: 799,
        "Nesterov, restart every e sqrt(8 L / mu)": 1696,
    }
    cells = [f"gradient descent {gradient_descent_steps(1e4, 1e-10)} (49552)"]
    for contender in CONTENDERS:
        if contender.name in others:
            (count,) = steps_needed(contender, 1e4, 20_000, 1e-10)
            cells.append(f"{contender.name} {count} ({others[contender.name]})")
    print("; ".join(cells))


def _cell(count: int, tuned: int, limit: int) -> str:
    return f"{count:,} ({count / tuned:.2g})" if count >= 0 else f"not in {limit:,}"


# Noise.


QUICK = (*KNOWN, "restart_when gradient", "alignment", "polyak_heavy_ball")


def main(quick: bool = False) -> None:
    """Prints everything."""
    if quick:
        print_quadratics([c for c in CONTENDERS if c.name in QUICK], (1e2, 1e4), limit=10_000)
        return
    print_quadratics(CONTENDERS, (1e2, 1e4, 1e6), limit=100_000)
    print()
    print_known_counts()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    main(parser.parse_args().quick)
