"""Methods of the catalogue on the digits: what a comparison of them is made of."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import optax

from ..catalog import Method
from ..sweeps import Points, Trial, cross_entropy, grid, supervised


def beta_name(row: Method) -> str | None:
    """Under which name a method takes what the command line calls beta, if it does."""
    return next((name for name in row.decays if name in ("beta", "momentum")), None)


def points(rows: Sequence[Method], rates: Sequence[float], betas: Sequence[float]) -> Points:
    """For each method learning rates x betas, or learning rates alone if it has no beta."""
    names = [row.name for row in rows]
    having = [row.name for row in rows if beta_name(row)]
    if not having:
        return grid(method=names, learning_rate=rates)
    found = grid(method=names, learning_rate=rates, beta=betas)
    return found if having == names else found.only_when("beta", method=having)


def with_methods(points: Points, rows: Sequence[Method]) -> Points:
    """Points of the user's own, for each method if they name none.

    Raises:
      ValueError: a method does not have a hyperparameter.
    """
    if "method" not in points.names:
        points = grid(method=[row.name for row in rows]) * points
    known = {row.name: list(row.defaults) for row in rows}
    for point in points:
        for name in point:
            if name not in ("method", *known[point["method"]]):
                raise ValueError(f"{point['method']} has no {name!r}; it has {', '.join(known[point['method']])}.")
    return points


def trial(rows: Sequence[Method], batch_size: int) -> Trial:
    """Digits, learned by the method that the points name, whose hyperparameters are else at their defaults.

    Raises:
      ValueError: there are fewer samples than a batch has.
    """
    from . import digits

    known = {row.name: row for row in rows}

    def optimizer(hyper: Mapping[str, Any]) -> optax.GradientTransformation:
        row = known[hyper["method"]]
        names = {"beta": beta_name(row) or "beta"}
        given = {names.get(name, name): value for name, value in hyper.items() if name != "method"}
        return row.build(**row.defaults | given)

    made = supervised(digits.MLP, cross_entropy, digits.load(), optimizer=optimizer, batch_size=batch_size)
    more = {"problem": digits.DESCRIPTION, "methods": {row.name: row.defaults for row in rows}}
    return dataclasses.replace(made, settings={**made.settings, **more})


def evaluation_interval(steps: int) -> int:
    """Often enough that the curves are smooth and Ctrl-C is heard soon; a divisor of the steps if one is near."""
    wanted = min(max(5, steps // 50), 200)
    near = [n for n in range(math.ceil(wanted / 2), 2 * wanted + 1) if steps % n == 0]
    return min(near, key=lambda n: abs(math.log(n / wanted)), default=min(wanted, steps))
