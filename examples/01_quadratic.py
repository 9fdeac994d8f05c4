"""Heavy ball on an ill-conditioned quadratic, beside gradient descent and Nesterov's method, with a picture.

The loss is a valley: 50 times as steep across as along. Gradient descent has to take steps that are short enough for
the steep direction and then crawls along the flat one. Momentum gathers speed along the valley. Heavy ball is fastest
in the long run and swings most at first; Nesterov's method does not swing. All three run at their best constant
coefficients for this loss, and the dotted lines in the picture have the slopes that theory gives for them.

    python examples/01_quadratic.py        # writes quadratic.png
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax

import momentum_optax as mo

CURVATURE = np.array([1.0, 50.0])
START = np.array([-9.0, 0.5])
KAPPA = CURVATURE[1] / CURVATURE[0]
ROOT = KAPPA**0.5


# The best constants for a quadratic with curvatures from 1 to KAPPA, and the factor per step that follows.
METHODS = {
    "gradient descent": (mo.heavy_ball(2 / (KAPPA + 1), beta=0.0), (KAPPA - 1) / (KAPPA + 1)),
    "Nesterov": (mo.nesterov(1 / KAPPA, beta=(ROOT - 1) / (ROOT + 1)), 1 - 1 / ROOT),
    "heavy ball": (
        mo.heavy_ball(4 / (ROOT + 1) ** 2, beta=((ROOT - 1) / (ROOT + 1)) ** 2),
        (ROOT - 1) / (ROOT + 1),
    ),
}


def loss(params: jax.Array) -> jax.Array:
    return 0.5 * jnp.sum(jnp.asarray(CURVATURE, params.dtype) * params**2, axis=-1)


def descend(tx: optax.GradientTransformation, steps: int) -> np.ndarray:
    """The points `[steps + 1, 2]` that a method passes, as one compiled loop."""

    def step(carry, _):
        params, state = carry
        updates, state = tx.update(jax.grad(loss)(params), state, params)
        params = optax.apply_updates(params, updates)
        # `nesterov` trains at points ahead of its answer; the other two answer where they train.
        return (params, state), mo.eval_params(state, params, missing="params")

    start = jnp.asarray(START, jnp.float32)
    _, points = jax.jit(lambda p: jax.lax.scan(step, (p, tx.init(p)), length=steps))(start)
    return np.concatenate([START[None], np.asarray(points)])


def draw(paths: dict[str, np.ndarray], losses: dict[str, np.ndarray], file: str) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    x, y = np.meshgrid(np.linspace(-10.5, 4.5, 400), np.linspace(-1.55, 1.55, 400))
    height = 0.5 * (CURVATURE[0] * x**2 + CURVATURE[1] * y**2)
    left.contour(x, y, height, levels=0.5 * np.arange(1, 13) ** 2, colors="0.85", linewidths=0.8, zorder=0)
    for (name, path), color in zip(paths.items(), ("#999999", "#d9822b", "#1f5fa8"), strict=True):
        left.plot(*path[:40].T, "o-", color=color, markersize=3, linewidth=1.2, label=name)
        steps = np.arange(len(path))
        right.semilogy(steps, losses[name], color=color, linewidth=1.8, label=name)
        slope = METHODS[name][1] ** (2.0 * (steps - steps[-1]))
        right.semilogy(steps, losses[name][-1] * slope, ":", color=color, linewidth=1.2)
    left.plot(0, 0, "k*", markersize=11, label="minimum")
    left.set(title="The first 40 steps", xlabel="flat direction", ylabel="steep direction")
    left.legend(loc="upper right", frameon=True, framealpha=1, edgecolor="none")
    right.set(title="Loss (dotted: the slope of theory)", xlabel="step", ylabel="loss", ylim=(1e-24, 1e4))
    right.legend(loc="upper right", frameon=False)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, dpi=130)


def main(steps: int = 120, picture: str | None = None) -> dict[str, np.ndarray]:
    """The loss of each method after 0, 1, ..., `steps` steps."""
    paths = {name: descend(tx, steps) for name, (tx, _) in METHODS.items()}
    losses = {name: np.sum(0.5 * CURVATURE * path**2, axis=-1) for name, path in paths.items()}
    print(f"loss after {steps} steps, from {losses['heavy ball'][0]:.3g}")
    for name, values in losses.items():
        print(f"  {name:17} {values[-1]:.2e}")
    if picture:
        draw(paths, losses, picture)
        print(f"wrote {picture}")
    return losses


if __name__ == "__main__":
    main(picture="quadratic.png")
