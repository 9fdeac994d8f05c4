"""Two optimizers on an NNX network of one's own, from many seeds at once, compared seed by seed.

The network has batch statistics and dropout; each run keeps its own. Seeds are lanes of one compiled program, as the
learning rates are. First a few seeds choose each method's learning rate; then new seeds tell how good it is, because
the best of many looks better on the seeds that chose it. Runs of the same seed share their start and the order of their
data, so a pair of them differs less than runs of two seeds do, and the comparison is by pairs.

    python examples/17_seeds_of_an_nnx_model.py
"""

import jax
import numpy as np
from flax import nnx

import momentum_optax as mo
from momentum_optax import sweeps
from momentum_optax.problems import digits
from momentum_optax.sweeps.cores import use_all_cores

METHODS = {
    "nesterov": (lambda hp: mo.nesterov(hp["learning_rate"], 0.9), sweeps.log(0.003, 0.3, count=5)),
    "adam": (lambda hp: mo.adam(hp["learning_rate"]), sweeps.log(0.0003, 0.03, count=5)),
}


class Classifier(nnx.Module):
    """64 pixels, a hidden layer with batch normalisation and dropout, 10 logits."""

    def __init__(self, rngs: nnx.Rngs):
        self.hidden = nnx.Linear(64, 64, rngs=rngs)
        self.norm = nnx.BatchNorm(64, rngs=rngs)
        self.dropout = nnx.Dropout(0.2, rngs=rngs)
        self.logits = nnx.Linear(64, 10, rngs=rngs)

    def __call__(self, images: jax.Array) -> jax.Array:
        """Logits `[samples, 10]` of images `[samples, 64]`."""
        return self.logits(self.dropout(nnx.relu(self.norm(self.hidden(images)))))


def main(steps: int = 200, seeds: int = 20) -> tuple[sweeps.SweepResult, sweeps.Comparison]:
    """The runs from the new seeds, and how the two methods differ there."""
    trial = sweeps.supervised(
        Classifier,
        sweeps.cross_entropy,
        digits.load(),
        optimizer=lambda hp: METHODS[hp["method"]][0](hp),
    )
    first, second = (sweeps.grid(method=[name], learning_rate=rates) for name, (_, rates) in METHODS.items())
    chosen = sweeps.sweep(trial, first + second, seeds=4, steps=steps, evaluate_every=steps, strategy="vmap")

    tuned = chosen.compare(*METHODS, metric="test_loss")  # each method's best point
    points = [tuned.a, tuned.b]
    print(f"best of {len(chosen.points)} points from {len(chosen.seeds)} seeds:")
    print(*(f"  {point['method']:9} learning rate {point['learning_rate']:.4g}" for point in points), sep="\n")

    new = range(100, 100 + seeds)
    result = sweeps.sweep(trial, points, seeds=new, steps=steps, evaluate_every=steps, strategy="vmap")
    print(f"held-out loss after {steps} steps from {seeds} new seeds:")
    for point, losses in zip(points, result.final("test_loss"), strict=True):
        low, median, high = np.quantile(losses, [0.1, 0.5, 0.9])
        print(f"  {point['method']:9} median {median:.4f}, eight of ten from {low:.4f} to {high:.4f}")
    comparison = result.compare(*METHODS, metric="test_loss")
    print(comparison)
    return result, comparison


if __name__ == "__main__":
    use_all_cores()
    main()
