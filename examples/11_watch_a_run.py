"""A Flax NNX network watched from inside, at a good, a too large and a too small learning rate.

`track` goes around any optimizer and changes nothing. What it measures lies in the state, so that it works inside
`jit`, `scan` and `vmap`; `metrics(state)` is a flat dict, ready for a logger.

    python examples/11_watch_a_run.py
"""

import jax
import numpy as np
import optax
from flax import nnx
from sklearn.datasets import load_digits

import momentum_optax as mo
from momentum_optax import diverging, metrics, oscillating, stalled, track

LEARNING_RATES = {"good": 0.05, "too large": 1.0, "too small": 1e-7}
VERDICTS = {"oscillating": oscillating, "stalled": stalled, "diverging": diverging}


class Classifier(nnx.Module):
    """64 pixels, a hidden layer, 10 scores."""

    def __init__(self, rngs: nnx.Rngs):
        self.hidden = nnx.Linear(64, 64, rngs=rngs)
        self.logits = nnx.Linear(64, 10, rngs=rngs)

    def __call__(self, images: jax.Array) -> jax.Array:
        """Scores `[samples, 10]` of images `[samples, 64]`."""
        return self.logits(nnx.tanh(self.hidden(images)))


def loss(model: Classifier, batch: tuple[jax.Array, jax.Array]) -> jax.Array:
    images, labels = batch
    return optax.l2_loss(model(images), jax.nn.one_hot(labels, 10)).sum(-1).mean()


def train(learning_rate: float, steps: int, every: int) -> tuple[float, set[str]]:
    """The last loss, and the verdicts that were true at any of the lines printed."""
    images, labels = load_digits(return_X_y=True)
    batch = ((images / 16).astype(np.float32), labels)
    model = Classifier(nnx.Rngs(0))
    tx = track(mo.heavy_ball(learning_rate, beta=0.9), groups={"hidden": "hidden", "logits": "logits"}, decay=0.95)
    state = tx.init(nnx.state(model, nnx.Param))
    step = mo.make_step(loss, tx)
    found, last = set(), np.inf
    for count in range(1, steps + 1):
        model, state, out = step(model, state, batch)
        last = float(out["loss"])
        if count % every == 0:
            m = metrics(state)
            true = [name for name, verdict in VERDICTS.items() if verdict(m)]
            found.update(true)
            print(
                f"{count:5}  loss {last:8.2e}  |g| {m['hidden/gradient_norm']:.1e}  cos {m['hidden/cosine']:+.2f}  "
                f"horizon {m['hidden/effective_horizon']:4.1f}  flips {m['hidden/sign_flips']:.2f}  "
                f"|u|/|p| {m['hidden/update_ratio']:.1e}  {' '.join(true)}"
            )
    return last, found


def main(steps: int = 300) -> dict[str, tuple[float, set[str]]]:
    """For each learning rate the last loss and the verdicts."""
    results = {}
    for name, learning_rate in LEARNING_RATES.items():
        print(f"\nlearning rate {learning_rate}: {name}")
        results[name] = train(learning_rate, steps, max(1, steps // 6))
    return results


if __name__ == "__main__":
    main()
