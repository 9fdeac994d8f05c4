"""Eight methods on four classic surfaces, each with the learning rate of the lowest mean value on its way.

The sixty learning rates that are tried for a method are lanes of one compiled program. The narrow valley
1/2 (100 x^2 + y^2) shows what division by the size of the gradient does: from (1, 1) the gradient points almost along
x, 44 degrees away from the minimum, and Adam's first step straight at it. It is the axes that do it: in a valley turned
by 45 degrees, Adam's first step goes wrong like everybody's.

    python examples/15_surfaces.py        # writes docs/surfaces.png
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import momentum_optax as mo

PICTURE = Path(__file__).parents[1] / "docs/surfaces.png"
# What the surface is, where it starts, its minimum, and what to show: x and y from, to.
SURFACES = {
    "Rosenbrock": (lambda x, y: 100 * (y - x**2) ** 2 + (1 - x) ** 2, (-1.2, 1.0), 0.0, (-1.8, 1.8, -1.0, 2.6)),
    "Beale": (
        lambda x, y: (1.5 - x + x * y) ** 2 + (2.25 - x + x * y**2) ** 2 + (2.625 - x + x * y**3) ** 2,
        (1.5, 1.5), 0.0, (-1.0, 4.2, -2.6, 2.2)),
    "narrow valley": (lambda x, y: (100 * x**2 + y**2) / 2, (1.0, 1.0), 0.0, (-1.2, 1.2, -0.8, 1.2)),
    "saddle": (lambda x, y: (x**2 - y**2) / 2 + y**4 / 4, (1.0, 0.01), -0.25, (-1.0, 1.3, -0.5, 1.6)),
}  # fmt: skip
METHODS = {
    "heavy_ball": mo.heavy_ball,
    "nesterov": mo.nesterov,
    "aggmo": mo.aggmo,
    "srsgd": mo.srsgd,
    "adam": mo.adam,
    "adan": mo.adan,
    "ademamix": lambda rate: mo.ademamix(rate, alpha=2.0, b3=0.99),
    "lion": lambda rate: mo.lion(rate, weight_decay=0.0),
}
RATES, LOOKS = jnp.geomspace(1e-5, 1.0, 60), [("#1b1b1b", "-"), ("#d1495b", "--"), ("#2e86ab", "-."), ("#8f8f8f", ":")]


def descend(build, surface, start, steps):
    """The points before each step and after the last, for each of the learning rates: `[rates, steps + 1, 2]`."""
    start = jnp.asarray(start)

    def run(rate):
        tx = build(rate)

        def step(carry, _):
            point, state = carry
            updates, state = tx.update(jax.grad(lambda p: surface(*p))(point), state, point)
            return (mo.apply_updates(point, updates), state), point

        (last, _), points = jax.lax.scan(step, (start, tx.init(start)), length=steps)
        return jnp.concatenate([points, last[None]])

    return jax.jit(jax.vmap(run))


def best(build, surface, start, steps):
    """The path of the learning rate with the lowest mean value along it."""
    paths = np.asarray(descend(build, surface, start, steps)(RATES), np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        return paths[np.argmin(np.nan_to_num(surface(*np.moveaxis(paths, -1, 0)).mean(axis=-1), nan=np.inf))]


def first_steps() -> dict[str, float]:
    """By how many degrees the first step misses the minimum, in the valley as it is and turned by 45 degrees."""

    def turned(x, y):
        return (100 * (x - y) ** 2 + (x + y) ** 2) / 4

    found = {}
    for name, surface, start in (("valley", SURFACES["narrow valley"][0], (1.0, 1.0)), ("turned", turned, (2.0, 0.5))):
        for method in ("heavy_ball", "adam"):
            (a, b), *_ = np.asarray(descend(METHODS[method], surface, start, 1)(jnp.asarray([1e-3])), np.float64)
            cosine = (b - a) @ -a / np.linalg.norm(b - a) / np.linalg.norm(a)
            found[f"{name}, {method}"] = float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
    return found


def draw(paths, file) -> None:
    from matplotlib.figure import Figure

    cells = (figure := Figure(figsize=(13, 7), layout="constrained")).subplots(2, len(SURFACES))
    for column, (title, (surface, start, minimum, (x0, x1, y0, y1))) in enumerate(SURFACES.items()):
        x, y = np.meshgrid(np.linspace(x0, x1, 200), np.linspace(y0, y1, 200))
        height = np.log10(surface(x, y) - minimum + 1e-3)
        for row, axes in enumerate(cells[:, column]):
            axes.contour(x, y, height, 14, colors="0.85", linewidths=0.8, linestyles="-")
            for name, (color, line) in zip(list(METHODS)[4 * row :], LOOKS, strict=False):
                axes.plot(*paths[title][name].T, color=color, ls=line, lw=1.5, label=name)
            axes.plot(*start, "ko")
            axes.set(xlim=(x0, x1), ylim=(y0, y1), xticks=[], yticks=[])
            if column == 0:
                axes.legend(fontsize=8, framealpha=0.9, edgecolor="none", loc="lower left")
        cells[0, column].set_title(title, fontsize=11, loc="left")
    figure.savefig(file, dpi=90)


def main(steps: int = 300, picture: str | Path | None = None) -> dict[str, dict[str, float]]:
    """The last value of each method above the minimum, by surface; under "first step" the degrees it misses by."""
    paths = {
        title: {name: best(build, surface, start, steps) for name, build in METHODS.items()}
        for title, (surface, start, _, _) in SURFACES.items()
    }
    found = {"first step": first_steps()}
    for title, (surface, _, minimum, _) in SURFACES.items():
        found[title] = {name: float(surface(*path[-1])) - minimum for name, path in paths[title].items()}
        print(f"{title:14} after {steps} steps: " + ", ".join(f"{n} {v:.1e}" for n, v in found[title].items()))
    print("degrees by which the first step misses:", {name: round(x) for name, x in found["first step"].items()})
    if picture:
        draw(paths, picture)
        print(f"wrote {picture}")
    return found


if __name__ == "__main__":
    main(picture=PICTURE)
