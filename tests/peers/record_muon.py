"""Record what torch's and Keras's Muon do to a stream of gradients, so that the suite can replay it without either.

torch multiplies in bfloat16; Keras does what it is told, here float64. Run by hand, and commit the JSON file:

    pip install torch==2.13.0 keras
    python tests/peers/record_muon.py
"""

import json
import os
from pathlib import Path
from typing import Any

os.environ["KERAS_BACKEND"] = "torch"

import keras
import numpy as np
import torch

STEPS, RATE = 5, 0.1
SHAPES = [(4, 6), (6, 4), (5, 5)]
TORCH: list[dict[str, Any]] = [
    {},
    {"adjust_lr_fn": "match_rms_adamw", "weight_decay": 0.5},
    {"nesterov": False, "momentum": 0.8, "ns_steps": 3},
]
KERAS: list[dict[str, Any]] = [{}, {"rms_rate": None}, {"nesterov": False, "momentum": 0.8, "ns_steps": 3}]


def gradients(shape: tuple[int, int]) -> np.ndarray:
    return np.random.default_rng(sum(shape) + shape[0]).standard_normal((STEPS, *shape))


def run_torch(shape: tuple[int, int], kwargs: dict[str, Any]) -> list[Any]:
    w = torch.ones(shape, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Muon([w], lr=RATE, **{"weight_decay": 0.0, **kwargs})
    out = []
    for g in gradients(shape):
        w.grad = torch.from_numpy(g)
        optimizer.step()
        out.append(w.tolist())
    return out


def run_keras(shape: tuple[int, int], kwargs: dict[str, Any]) -> list[Any]:
    w = keras.Variable(np.ones(shape), dtype="float64")
    optimizer = keras.optimizers.Muon(RATE, weight_decay=None, adam_weight_decay=None, **kwargs)
    optimizer.build([w])
    out = []
    for g in gradients(shape):
        optimizer.apply([keras.ops.convert_to_tensor(g, dtype="float64")])
        out.append(np.asarray(w.value.detach()).tolist())
    return out


def main() -> None:
    cases = [
        {"peer": peer, "shape": shape, "kwargs": kwargs, "trajectory": run(shape, kwargs)}
        for peer, run, settings in (("torch", run_torch, TORCH), ("keras", run_keras, KERAS))
        for kwargs in settings
        for shape in SHAPES
    ]
    versions = {"torch": torch.__version__, "keras": keras.__version__}
    record = {"versions": versions, "learning_rate": RATE, "cases": cases}
    Path(__file__).with_name("muon.json").write_text(json.dumps(record) + "\n")


if __name__ == "__main__":
    main()
