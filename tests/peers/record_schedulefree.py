"""Record what the authors' package does in float64, so that the suite can replay it without.

Run by hand, and commit the JSON file that it writes beside itself:

    pip install torch schedulefree==1.4.1
    PYTHONPATH=tests python tests/peers/record_schedulefree.py
"""

import importlib.metadata
import json
from pathlib import Path

import schedulefree
import torch
from helpers import MATRIX, START

STEPS = 12
SGD = {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.0, "warmup_steps": 0, "r": 0.0, "weight_lr_power": 2.0}
ADAMW = {"lr": 0.05, "betas": (0.9, 0.95), "eps": 1e-8} | {name: SGD[name] for name in list(SGD)[2:]}
CASES = [
    ("sgd", "SGDScheduleFree", SGD | {"warmup_steps": 1}),
    ("sgd-warmup-decay", "SGDScheduleFree", SGD | {"warmup_steps": 5, "weight_decay": 0.05, "momentum": 0.98}),
    ("sgd-late-points", "SGDScheduleFree", SGD | {"warmup_steps": 5, "r": 2.0, "weight_lr_power": 1.0}),
    ("adamw", "AdamWScheduleFree", ADAMW | {"warmup_steps": 1}),
    ("adamw-warmup-decay", "AdamWScheduleFree", ADAMW | {"warmup_steps": 5, "weight_decay": 0.05}),
]


def run(name: str, optimizer: str, kwargs: dict) -> dict:
    params = torch.tensor(START, dtype=torch.float64, requires_grad=True)
    peer = getattr(schedulefree, optimizer)([params], **kwargs)
    matrix = torch.from_numpy(MATRIX)
    rows, averages = [params.tolist()], [params.tolist()]
    for _ in range(STEPS):
        peer.train()
        params.grad = matrix @ params.detach()
        peer.step()
        rows.append(params.tolist())
        peer.eval()
        averages.append(params.tolist())
        peer.train()
    return {"name": name, "optimizer": optimizer, "kwargs": kwargs, "params": rows, "averages": averages}


def main() -> None:
    head = {"peer": "schedulefree", "version": importlib.metadata.version("schedulefree"), "dtype": "float64"}
    lines = [json.dumps(head)[:-1] + ', "cases": [', ",\n".join(json.dumps(run(*case)) for case in CASES), "]}"]
    Path(__file__).with_name("schedulefree.json").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
