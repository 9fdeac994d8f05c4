"""Every schedule of the momentum coefficient in one picture.

A schedule is a function of the count of updates, 0 at the first, and goes wherever a method takes a beta. Here each is
asked for its values along a run, which is one call of `jax.vmap`. The last panel is `warm_restarts`, one object that
hands out the learning rate, the beta and the counts at which the velocity is to be reset.

    python examples/07_schedules.py        # writes docs/schedules.png
"""

from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from momentum_optax import schedules as s

PICTURE = Path(__file__).parents[1] / "docs" / "schedules.png"


def panels(steps: int) -> dict[str, dict[str, Callable[[jax.Array], jax.Array]]]:
    """The lines of each panel."""
    demon = s.demon(0.9, steps)
    parts = [s.warmup(steps // 5), 0.95, s.linear(0.95, 0.85, steps // 5)]

    def batch(count):
        return jnp.where(count < steps / 3, 1, jnp.where(count < 2 * steps / 3, 2, 4))

    return {
        "linear, cosine": {"linear": s.linear(0.95, 0.8, steps), "cosine": s.cosine(0.95, 0.8, steps)},
        "warmup": {"fraction = .3": s.warmup(steps, fraction=0.3)},
        "one_cycle": {"linear": s.one_cycle(steps), "cosine": s.one_cycle(steps, shape="cosine")},
        "cyclic": {"period = run / 4": s.cyclic(steps / 4)},
        "demon": {"beta = .9": demon, "beta = .99": s.demon(0.99, steps)},
        "sutskever": {"max .8": s.sutskever(0.8), "max .99": s.sutskever(0.99)},
        "nesterov_, fista_sequence": {"Nesterov": s.nesterov_sequence(), "FISTA": s.fista_sequence()},
        "piecewise": {"warmup, .95, linear": s.piecewise(parts, [0.2, 0.8], steps=steps)},
        "from_half_life": {"batch doubled twice": s.from_half_life(10, batch)},
        "rescale_beta": {"demon": demon, "demon, k = 4": s.rescale_beta(demon, 4)},
        "ademamix_b3": {"b3 = .999": s.ademamix_b3(0.999, steps / 2)},
        "ademamix_alpha": {"alpha = .99": s.ademamix_alpha(0.99, steps / 2)},
    }


def style(axes, title: str, last: int) -> None:
    axes.set_title(title, fontsize=10, loc="left", family="monospace", fontweight="bold")
    axes.set_xticks([0, last / 2, last])
    axes.locator_params("y", nbins=5)
    axes.tick_params(labelsize=8, length=2)
    axes.spines[["top", "right"]].set_visible(False)


def draw(lines: dict[str, dict[str, np.ndarray]], warm: dict[str, np.ndarray], steps: int, file: str | Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 10), layout="constrained")
    grid = figure.add_gridspec(4, 4)
    counts = np.arange(steps)
    cells = [grid[i // 4, i % 4] for i in range(len(lines))]
    for (title, values), cell in zip(lines.items(), cells, strict=True):
        axes = figure.add_subplot(cell)
        shown = min(60, steps) if "sequence" in title else steps  # later they are 1 to the eye
        for (label, beta), look in zip(values.items(), ({"color": "k"}, {"color": "0.5", "ls": "--"}), strict=False):
            axes.plot(counts[:shown], beta[:shown], lw=1.8, label=label, **look)
        low, high = axes.get_ylim()
        axes.set_ylim(low - 0.2 * (high - low), high)  # room for the legend
        axes.legend(fontsize=8, frameon=False, loc="lower center", ncols=2)
        style(axes, title, shown)
    axes = figure.add_subplot(grid[3, :])
    other = axes.twinx()
    for i, restart in enumerate(np.flatnonzero(warm["restarts"])):
        axes.axvline(restart, 0, 0.83, color="0.8", lw=5, zorder=0, label=None if i else "restarts: velocity <- 0")
    axes.plot(counts, warm["learning_rate"], color="k", lw=1.8, label="learning_rate (left)")
    other.plot(counts, warm["beta"], color="0.5", ls="--", lw=1.8, label="beta (right)")
    handles = [h for a in (axes, other) for h in a.get_legend_handles_labels()[0]]
    axes.set_ylim(0, 0.125)
    other.set_ylim(0.84, 0.98)
    axes.legend(handles=handles, fontsize=8, frameon=False, loc="upper center", ncols=3)
    style(axes, "warm_restarts", steps)
    other.tick_params(labelsize=8, length=2)
    other.spines[["top"]].set_visible(False)
    figure.supxlabel("count of updates", fontsize=9)
    figure.supylabel("beta", fontsize=9)
    Path(file).parent.mkdir(exist_ok=True)
    figure.savefig(file, dpi=90)


def main(steps: int = 1000, picture: str | Path | None = None) -> dict[str, dict[str, np.ndarray]]:
    """The values of every schedule at counts 0, 1, ..., `steps - 1`, by panel and line."""
    counts = jnp.arange(steps)
    lines = {
        title: {label: np.asarray(jax.vmap(schedule)(counts)) for label, schedule in group.items()}
        for title, group in panels(steps).items()
    }
    warm = s.warm_restarts(0.1, period=steps / 7, t_mult=2, peak_decay=0.8, beta=0.85, end_beta=0.95)
    together = {name: getattr(warm, name) for name in ("learning_rate", "beta", "restarts")}
    together = {name: np.asarray(jax.vmap(schedule)(counts)) for name, schedule in together.items()}
    for title, group in {**lines, "warm_restarts": together}.items():
        for label, values in group.items():
            print(f"{title:34} {label:20} {values[0]:.3f} ... {values[-1]:.3f}")
    if picture:
        draw(lines, together, steps, picture)
        print(f"wrote {picture}")
    return {**lines, "warm_restarts": together}


if __name__ == "__main__":
    main(picture=PICTURE)
