"""Record what optimizers of torch and Keras do in float64, so that the suite can replay it without either.

Run by hand, and commit the JSON files that it writes beside itself:

    pip install torch==2.13.0 keras
    python tests/peers/record.py
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["KERAS_BACKEND"] = "torch"

import keras
import numpy as np
import torch
from load import gradient

STEPS = 30


def problems() -> dict[str, dict[str, Any]]:
    """A quadratic with eigenvalues 1 .. 10 in a reflected basis, and a curved valley."""
    normal = np.arange(1.0, 6.0) / np.sqrt(55.0)
    basis = np.eye(5) - 2 * np.outer(normal, normal)
    matrix = basis @ np.diag(np.geomspace(1.0, 10.0, 5)) @ basis.T
    return {
        "quad5": {
            "kind": "quadratic",
            "matrix": ((matrix + matrix.T) / 2).tolist(),
            "minimum": [1.0, -1.0, 0.5, 0.0, 2.0],
            "start": [2.0, 1.0, -1.5, 3.0, -0.5],
        },
        "rosenbrock": {"kind": "rosenbrock", "b": 1.0, "start": [1.5, 1.5]},
    }


def run_torch(
    problem: dict[str, Any],
    kwargs: dict[str, Any],
    momentum: float | list[float],
    scheduler: Callable[[torch.optim.Optimizer], Any] | None = None,
    learning_rate: float = 0.03,
    kind: str = "SGD",
) -> dict[str, Any]:
    """`momentum` may be one value per update: it is then written into the param group before each. NAdam's is beta1."""
    params = torch.tensor(problem["start"], dtype=torch.float64, requires_grad=True)

    def named(value):
        return {"betas": (value, kwargs["beta2"])} if kind == "NAdam" else {"momentum": value}

    rest = {name: value for name, value in kwargs.items() if name != "beta2"}
    first = momentum[0] if isinstance(momentum, list) else momentum
    optimizer = getattr(torch.optim, kind)([params], lr=learning_rate, **named(first), **rest)
    schedule = scheduler(optimizer) if scheduler else None
    learning_rates, momenta, trajectory = [], [], [params.tolist()]
    for step in range(STEPS):
        (group,) = optimizer.param_groups
        if isinstance(momentum, list):
            group.update(named(momentum[step]))
        learning_rates.append(float(group["lr"]))
        momenta.append(float(group["betas"][0] if kind == "NAdam" else group["momentum"]))
        params.grad = torch.from_numpy(gradient(problem, params.detach().numpy()))
        optimizer.step()
        if schedule:
            schedule.step()
        trajectory.append(params.tolist())
    return {
        "kwargs": kwargs, "learning_rates": learning_rates, "momenta": momenta, "trajectory": trajectory,
    }  # fmt: skip


def run_keras(
    problem: dict[str, Any],
    kwargs: dict[str, Any],
    momentum: float | list[float],
    learning_rate: float | keras.optimizers.schedules.LearningRateSchedule = 0.03,
    kind: str = "SGD",
) -> dict[str, Any]:
    """`momentum` may be one value per update: it is then assigned to the optimizer before each. Nadam's is beta_1."""
    name = "beta_1" if kind == "Nadam" else "momentum"
    params = keras.Variable(np.array(problem["start"]), dtype="float64")
    first = momentum[0] if isinstance(momentum, list) else momentum
    optimizer = getattr(keras.optimizers, kind)(learning_rate, **{name: first}, **kwargs)
    optimizer.build([params])
    learning_rates, momenta, trajectory = [], [], [params.numpy().tolist()]
    for step in range(STEPS):
        if isinstance(momentum, list):
            setattr(optimizer, name, momentum[step])
        learning_rates.append(float(keras.ops.convert_to_numpy(optimizer.learning_rate)))
        momenta.append(float(getattr(optimizer, name)))
        optimizer.apply([keras.ops.convert_to_tensor(gradient(problem, params.numpy()), dtype="float64")])
        trajectory.append(params.numpy().tolist())
    return {
        "kwargs": kwargs, "learning_rates": learning_rates, "momenta": momenta, "trajectory": trajectory,
    }  # fmt: skip


def torch_cases(problems: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    plain: dict[str, Any] = {"dampening": 0.0, "nesterov": False, "weight_decay": 0.0}
    kinds = {
        "plain": plain,
        "dampened": {**plain, "dampening": 0.5},
        "nesterov": {**plain, "nesterov": True},
    }
    schedulers = {
        "constant": None,
        "steps": lambda optimizer: torch.optim.lr_scheduler.StepLR(optimizer, step_size=10, gamma=0.3),
    }

    def one_cycle(optimizer):
        return torch.optim.lr_scheduler.OneCycleLR(
            optimizer, max_lr=0.06, total_steps=STEPS + 1, base_momentum=0.6, max_momentum=0.95
        )

    cases = []

    def record(problem, name, *args, **kwargs):
        run = run_torch(problems[problem], *args, **kwargs)
        cases.append({"name": f"{problem}-{name}", "problem": problem, **run})

    for problem in problems:
        for rate, scheduler in schedulers.items():
            for decay in (0.0, 0.05):
                for kind, kwargs in kinds.items():
                    name = f"{kind}-{rate}" + ("-decay" if decay else "")
                    record(problem, name, {**kwargs, "weight_decay": decay}, 0.9, scheduler)
        for kind, kwargs in kinds.items():
            record(problem, f"{kind}-onecycle", kwargs, 0.9, one_cycle)
            jump = [0.5] * 12 + [0.95] * (STEPS - 12)
            record(problem, f"{kind}-momentum-jump", kwargs, jump)
    record("quad5", "no-momentum", plain, 0.0, schedulers["steps"])
    record("quad5", "no-momentum-dampening-decay", {**kinds["dampened"], "weight_decay": 0.05}, 0.0)
    return cases


def keras_cases(problems: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    schedules = keras.optimizers.schedules
    rates = {
        "constant": 0.03,
        "decaying": schedules.ExponentialDecay(0.06, decay_steps=10, decay_rate=0.3),
        "steps": schedules.PiecewiseConstantDecay([9, 19], [0.03, 0.01, 0.003]),
    }
    cases = []

    def record(problem, name, *args, **kwargs):
        run = run_keras(problems[problem], *args, **kwargs)
        cases.append({"name": f"{problem}-{name}", "problem": problem, **run})

    for problem in problems:
        for kind, nesterov in (("plain", False), ("nesterov", True)):
            for rate, learning_rate in rates.items():
                record(problem, f"{kind}-{rate}", {"nesterov": nesterov}, 0.9, learning_rate)
            decayed = {"nesterov": nesterov, "weight_decay": 0.05}
            record(problem, f"{kind}-decaying-decay", decayed, 0.9, rates["decaying"])
            jump = [0.5] * 12 + [0.95] * (STEPS - 12)
            record(problem, f"{kind}-momentum-jump", {"nesterov": nesterov}, jump)
    record("quad5", "no-momentum", {"nesterov": False}, 0.0, rates["decaying"])
    record("quad5", "no-momentum-nesterov-decay", {"nesterov": True, "weight_decay": 0.05}, 0.0)
    return cases


JUMP = [0.5] * 12 + [0.95] * (STEPS - 12)


def torch_quotient_cases(problems: dict[str, dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """NAdam or RMSprop: every argument at a value that shows, alone and together, constant and on the way."""
    if kind == "NAdam":
        plain: dict[str, Any] = {"beta2": 0.99, "eps": 1e-8, "weight_decay": 0.0}
        plain |= {"momentum_decay": 4e-3, "decoupled_weight_decay": False}
        kinds = {
            "plain": plain,
            "eps": {**plain, "eps": 0.1},
            "fast": {**plain, "momentum_decay": 0.5},
            "coupled": {**plain, "weight_decay": 0.05},
            "decoupled": {**plain, "weight_decay": 0.05, "decoupled_weight_decay": True},
        }
    else:
        plain = {"alpha": 0.9, "eps": 1e-8, "weight_decay": 0.0, "centered": False}
        kinds = {
            "plain": plain,
            "eps": {**plain, "eps": 0.1},
            "centered": {**plain, "centered": True},
            "coupled": {**plain, "weight_decay": 0.05},
            "everything": {**plain, "eps": 0.1, "weight_decay": 0.05, "centered": True},
        }
    momenta = {"momentum": 0.9, "momentum-jump": JUMP, "none": 0.0}

    def steps(optimizer):
        return torch.optim.lr_scheduler.StepLR(optimizer, step_size=10, gamma=0.3)

    return [
        {
            "name": f"{problem}-{name}-{momentum}-{rate}",
            "problem": problem,
            **run_torch(problems[problem], kwargs, momenta[momentum], scheduler, kind=kind),
        }
        for problem in problems
        for name, kwargs in kinds.items()
        for momentum, rate, scheduler in (
            ("momentum", "constant", None),
            ("momentum-jump", "steps", steps),
            ("none", "steps", steps),
        )
    ]


def keras_quotient_cases(problems: dict[str, dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """Nadam or RMSprop, likewise."""
    plain = {"beta_2": 0.99, "epsilon": 1e-7} if kind == "Nadam" else {"rho": 0.9, "epsilon": 1e-7, "centered": False}
    kinds = {"plain": plain, "eps": {**plain, "epsilon": 0.1}, "decay": {**plain, "weight_decay": 0.05}}
    if kind == "RMSprop":
        kinds["centered"] = {**plain, "centered": True, "epsilon": 0.01}
    decaying = keras.optimizers.schedules.ExponentialDecay(0.06, decay_steps=10, decay_rate=0.3)
    return [
        {
            "name": f"{problem}-{name}-{momentum}-{rate}",
            "problem": problem,
            **run_keras(problems[problem], kwargs, value, learning_rate, kind=kind),
        }
        for problem in problems
        for name, kwargs in kinds.items()
        for momentum, value, rate, learning_rate in (
            ("momentum", 0.9, "constant", 0.03),
            ("momentum", 0.9, "decaying", decaying),
            ("momentum-jump", JUMP, "decaying", decaying),
            ("none", 0.0, "constant", 0.03),
        )
    ]


def write(name: str, peer: str, version: str, problems: dict[str, Any], cases: list[dict[str, Any]]) -> None:
    """One problem or case a line; a float is printed with as many digits as bring it back exactly."""
    lines = [f'{{"peer": "{peer}", "version": "{version}", "dtype": "float64",', '"problems": {']
    lines.append(",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in problems.items()))
    lines += ["},", '"cases": [', ",\n".join(json.dumps(case) for case in cases), "]}"]
    Path(__file__).with_name(f"{name}.json").write_text("\n".join(lines) + "\n")


def main() -> None:
    keras.config.set_floatx("float64")  # Keras keeps the learning rate in this dtype
    torch.set_default_dtype(torch.float64)  # torch keeps the product of NAdam's momenta in this dtype
    defined = problems()
    torch_version = torch.__version__.split("+")[0]
    write("torch_sgd", "torch.optim.SGD", torch_version, defined, torch_cases(defined))
    keras_version = f"{keras.__version__} (backend torch {torch_version})"
    write("keras_sgd", "keras.optimizers.SGD", keras_version, defined, keras_cases(defined))
    for kind in ("NAdam", "RMSprop"):
        cases = torch_quotient_cases(defined, kind)
        write(f"torch_{kind.lower()}", f"torch.optim.{kind}", torch_version, defined, cases)
    for kind in ("Nadam", "RMSprop"):
        cases = keras_quotient_cases(defined, kind)
        write(f"keras_{kind.lower()}", f"keras.optimizers.{kind}", keras_version, defined, cases)


if __name__ == "__main__":
    main()
