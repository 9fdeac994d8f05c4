"""A PyTorch recipe, ported line by line, with the same losses.

    torch                                                        here
    SGD(lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)  compat.torch_sgd(schedule, 0.9, nesterov=True, ...)
    StepLR(step_size=20, gamma=0.1)                              optax.exponential_decay(..., staircase=True)
    nn.Linear weights [out, in]                                  weights [in, out]
    CrossEntropyLoss                                             optax.softmax_cross_entropy_with_integer_labels

Three things differ in silence when a recipe moves: torch adds the weight decay to the gradient, before the velocity;
its learning rate stays outside the velocity; its Nesterov looks ahead by the present momentum. `torch_sgd` keeps all
three. Where torch can be imported it runs beside us; elsewhere its losses come from 06_port_from_torch.json.

    python examples/06_port_from_torch.py            # --record writes the file anew
"""

import json
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.datasets import load_digits

from momentum_optax import compat, make_step

RECORDED = Path(__file__).with_suffix(".json")
BATCH = 64


def start() -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """The first params, and data: the same for both."""
    rng = np.random.default_rng(0)
    params = {
        "hidden_weight": rng.normal(size=(64, 32)) / 8,
        "hidden_bias": np.zeros(32),
        "logits_weight": rng.normal(size=(32, 10)) / 6,
        "logits_bias": np.zeros(10),
    }
    images, labels = load_digits(return_X_y=True)
    order = rng.permutation(len(images))
    params = {name: value.astype(np.float32) for name, value in params.items()}
    return params, (images[order] / 16).astype(np.float32), labels[order].astype(np.int32)


def batch(count: int, size: int) -> np.ndarray:
    return np.arange(count * BATCH, (count + 1) * BATCH) % size


def torch_losses(steps: int) -> list[float]:
    import torch
    from torch import nn

    params, images, labels = start()
    model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    with torch.no_grad():
        for own, value in zip(model.parameters(), params.values(), strict=True):
            own.copy_(torch.from_numpy(value.T.copy()))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=20, gamma=0.1)
    losses = []
    for count in range(steps):
        rows = batch(count, len(images))
        optimizer.zero_grad()
        logits = model(torch.from_numpy(images[rows]))
        loss = nn.functional.cross_entropy(logits, torch.from_numpy(labels[rows]).long())
        loss.backward()
        optimizer.step()
        scheduler.step()
        losses.append(loss.item())
    return losses


def our_losses(steps: int) -> list[float]:
    def loss_fn(params, batch):
        images, labels = batch
        hidden = jax.nn.relu(images @ params["hidden_weight"] + params["hidden_bias"])
        logits = hidden @ params["logits_weight"] + params["logits_bias"]
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

    schedule = optax.exponential_decay(0.1, transition_steps=20, decay_rate=0.1, staircase=True)
    tx = compat.torch_sgd(schedule, momentum=0.9, nesterov=True, weight_decay=5e-4)
    values, images, labels = start()
    params = jax.tree.map(jnp.asarray, values)
    step, state, losses = make_step(loss_fn, tx), tx.init(params), []
    for count in range(steps):
        rows = batch(count, len(images))
        params, state, metrics = step(params, state, (images[rows], labels[rows]))
        losses.append(float(metrics["loss"]))
    return losses


def main(steps: int = 60) -> tuple[list[float], list[float]]:
    """The losses before each step: ours, and torch's."""
    try:
        theirs, origin = torch_losses(steps), "torch, run here"
    except ImportError:
        recorded = json.loads(RECORDED.read_text())
        theirs, origin = recorded["losses"][:steps], f"torch {recorded['torch']}, recorded"
    ours = our_losses(len(theirs))
    print(f"step      ours   theirs ({origin})")
    for count in range(0, len(ours), 10):
        print(f"{count:4}  {ours[count]:.6f} {theirs[count]:.6f}")
    print(f"largest difference {np.max(np.abs(np.subtract(ours, theirs))):.1e}")
    return ours, theirs


if __name__ == "__main__":
    if "--record" in sys.argv:
        import torch

        RECORDED.write_text(json.dumps({"torch": torch.__version__, "losses": torch_losses(60)}, indent=1) + "\n")
    main()
