"""Trajectories of other libraries, recorded by `record.py` and read back without them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np


class Case(NamedTuple):
    """One recorded run; row t of `trajectory` is the params after t updates, from the start on.

    `learning_rates` and `momenta` hold the value that each update saw; `kwargs` the peer's other arguments.
    """

    name: str
    problem: dict[str, Any]
    kwargs: dict[str, Any]
    learning_rates: list[float]
    momenta: list[float]
    trajectory: np.ndarray


def gradient(problem: dict[str, Any], params: np.ndarray) -> np.ndarray:
    """Gradient of (x - m) A (x - m) / 2 with m the minimum, or of (1 - x)^2 + b (y - x^2)^2, in float64."""
    params = np.asarray(params, np.float64)
    if problem["kind"] == "quadratic":
        return np.asarray(problem["matrix"]) @ (params - np.asarray(problem["minimum"]))
    if problem["kind"] == "rosenbrock":
        x, y = params
        return np.array([-2 * (1 - x) - 4 * problem["b"] * x * (y - x**2), 2 * problem["b"] * (y - x**2)])
    raise ValueError(f"problem kind is {problem['kind']!r}, not 'quadratic' or 'rosenbrock'")


def cases(name: str) -> Iterator[Case]:
    """All runs in `<name>.json` beside this file; `name` is "torch_sgd", for example."""
    recorded = json.loads(Path(__file__).with_name(f"{name}.json").read_text())
    for case in recorded["cases"]:
        problem = recorded["problems"][case["problem"]]
        yield Case(**{**case, "problem": problem, "trajectory": np.asarray(case["trajectory"], np.float64)})
