"""Laws about what is refused."""

from typing import Any

import jax.numpy as jnp

from ._case import Case, make_params


def _refusal(case: Case, name: str, value: Any, kinds: tuple[type[Exception], ...]) -> str:
    try:
        case.make(**{name: value}).init(make_params())
    except kinds as error:
        return str(error)
    raise AssertionError(f"{name}={value!r} is accepted")


def _untraceable(count: Any) -> float:
    return 0.5 if count < 10 else 0.9


def bad_arguments_are_refused(case: Case) -> None:
    """What cannot be right is refused by construction or `init`, with a message that names the argument.

    Among it is a schedule that asks Python's `if` about the count.
    """
    for name in case.hyperparameters:
        values: list[Any] = [float("nan"), "fast", True, jnp.ones(2), {"nonsense": 0.5}, _untraceable]
        if name in case.decays:
            values += [1.0, -0.1, jnp.asarray(1.5), {"dense": 2.0}, lambda count: 1.0 + 0 * count]
        if name == "learning_rate":
            values += [None, -0.1, float("inf"), lambda count: -1.0 + 0 * count]
        for value in values:
            message = _refusal(case, name, value, (TypeError, ValueError))
            assert name in message, f"the message about {name}={value!r} does not name the argument: {message}"
