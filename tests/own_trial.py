"""A trial of a user's own, for tests of the command line."""

from pathlib import Path

SOURCE = """
import jax
import jax.numpy as jnp
from momentum_optax import sweeps


def make_trial(dimension=3, curvature=1.0, start="normal"):
    def init(hp, key):
        x = jax.random.normal(key, (dimension,))
        return x if start == "normal" else jnp.sign(x)

    def step(hp, x, key):
        slope = curvature * x + 0.1 * jax.random.normal(key, x.shape)
        return x - hp["learning_rate"] * slope, curvature * jnp.sum(x**2) / 2

    return sweeps.trial(init, step, lambda hp, x: {"distance_error": jnp.sum(x**2)})


trial = make_trial()


def not_a_trial():
    return {"init": None}
"""


def write(folder: Path, name: str, source: str = SOURCE) -> str:
    """Writes a module into a folder; the name must be new in this process."""
    (folder / f"{name}.py").write_text(source)
    return name
