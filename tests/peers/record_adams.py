"""Record what torch's Adam, AdamW and NAdam do in float64, where their formulas are those of other frameworks too.

Run by hand, and commit the JSON file that it writes beside itself; the problems are those of `torch_sgd.json`.

    pip install torch==2.13.0
    python tests/peers/record_adams.py
"""

import json
from pathlib import Path
from typing import Any

import torch
from load import gradient

STEPS = 30

# NAdam's schedule of b1 is switched off: at this decay it is constant from the first step on.
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "adam": ("Adam", {}),
    "adam-eps": ("Adam", {"eps": 1e-2}),
    "adam-coupled-decay": ("Adam", {"weight_decay": 0.05}),
    "adamw": ("AdamW", {"weight_decay": 0.05}),
    "amsgrad": ("Adam", {"amsgrad": True}),
    "nadam": ("NAdam", {"momentum_decay": 1e6}),
    "nadamw": ("NAdam", {"momentum_decay": 1e6, "weight_decay": 0.05, "decoupled_weight_decay": True}),
}


def run(problem: dict[str, Any], name: str, kwargs: dict[str, Any]) -> dict[str, Any]:
    params = torch.tensor(problem["start"], dtype=torch.float64, requires_grad=True)
    optimizer: Any = getattr(torch.optim, name)([params], lr=0.1, betas=(0.8, 0.95), **kwargs)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=10, gamma=0.3)
    learning_rates, trajectory = [], [params.tolist()]
    for _ in range(STEPS):
        learning_rates.append(float(optimizer.param_groups[0]["lr"]))
        params.grad = torch.from_numpy(gradient(problem, params.detach().numpy()))
        optimizer.step()
        schedule.step()
        trajectory.append(params.tolist())
    return {"kwargs": kwargs, "learning_rates": learning_rates, "momenta": [0.8] * STEPS, "trajectory": trajectory}


def main() -> None:
    folder = Path(__file__).parent
    problems = json.loads((folder / "torch_sgd.json").read_text())["problems"]
    version = torch.__version__.split("+")[0]
    lines = [
        f'{{"peer": "torch.optim", "version": "{version}", "dtype": "float64", "problems": {json.dumps(problems)},'
    ]
    cases = [
        {"name": f"{problem}-{kind}", "problem": problem, **run(problems[problem], *what)}
        for problem in problems
        for kind, what in KINDS.items()
    ]
    lines += ['"cases": [', ",\n".join(json.dumps(case) for case in cases), "]}"]
    (folder / "torch_adams.json").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
