"""The same heavy ball in the words of another convention."""

from typing import Any, Literal

from . import _coefficient as coefficient
from ._types import Coefficient

Convention = Literal["trace", "ema", "velocity", "qhm"]

# What the learning rate of a convention is multiplied by to become that of "trace".
_TO_TRACE = {
    "trace": lambda beta: 1.0,
    "velocity": lambda beta: 1.0,
    "ema": lambda beta: 1 - beta,
    "qhm": lambda beta: 1 - beta,
}
_EXTRA: dict[str, dict[str, Any]] = {
    "trace": {},
    "velocity": {"lr_in_velocity": True},
    "ema": {},
    "qhm": {"nu": 1.0},
}


def convert(learning_rate: Coefficient, beta: Coefficient, *, source: Convention, target: Convention) -> dict[str, Any]:
    """Says how another convention spells the same heavy ball, so that a recipe carries over.

    With gradient `g`:

        trace     velocity <- beta * velocity + g;                  params <- params - learning_rate * velocity
        velocity  velocity <- beta * velocity + learning_rate * g;  params <- params - velocity
        ema       velocity <- beta * velocity + (1 - beta) * g;     params <- params - learning_rate * velocity
        qhm       as ema, with nu = 1

    Args:
      learning_rate: of the source; a number or array, or a schedule where neither side is "velocity".
      beta: in [0, 1); a number or array.
      source: the convention that the numbers come from.
      target: the convention to spell them in.

    Returns:
      The arguments of the optimizer that follows the target: `heavy_ball` ("trace", "velocity"), `ema_momentum` ("ema")
      or `qhm`. The params agree at every step.

    Raises:
      TypeError: an argument is no coefficient.
      ValueError: an unknown convention, a coefficient out of range, or one that varies in a way that has no equivalent:
        a schedule of beta between different scales, or of the learning rate into or out of "velocity".

    Examples:
      >>> import momentum_optax as mo
      >>> mo.convert(0.5, 0.75, source="trace", target="ema")
      {'learning_rate': 2.0, 'beta': 0.75}
    """
    for name, value in (("source", source), ("target", target)):
        if value not in _TO_TRACE:
            raise ValueError(f"{name} must be one of {', '.join(_TO_TRACE)}; got {value!r}.")
    learning_rate = coefficient.check("learning_rate", learning_rate, coefficient.NON_NEGATIVE)
    beta = coefficient.check("beta", beta)
    same_scale = (source in ("ema", "qhm")) == (target in ("ema", "qhm"))
    if not same_scale and coefficient.varies(beta):
        raise ValueError(
            f"beta is a schedule: {source!r} and {target!r} differ by a factor 1 - beta inside the sum, which no "
            "learning rate outside can make up for. Accepted: a constant beta."
        )
    if (source == "velocity") != (target == "velocity") and coefficient.varies(learning_rate):
        raise ValueError(
            f"learning_rate is a schedule: {source!r} and {target!r} do not both remember it. Accepted: a constant, or "
            "conventions other than 'velocity'."
        )
    if same_scale:
        converted = learning_rate
    else:
        converted = coefficient.combine(
            lambda lr, b: lr * _TO_TRACE[source](b) / _TO_TRACE[target](b), learning_rate, beta
        )
    return {"learning_rate": converted, "beta": beta, **_EXTRA[target]}
