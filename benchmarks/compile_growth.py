"""How compiling an update grows with the number of leaves: ours, and Optax's.

    python benchmarks/compile_growth.py [--quick] [--leaves 500] [--method adam] [--compiles 3] [--large]

What is compiled is one donated update: `tx.update` and `apply_updates`. Compiling starts from cold caches and is
measured in processor time, ours and Optax's by turns. The leaves are vectors of 1,000 to 10,000 numbers of eight
sizes, as in a network of equal layers, where kernels are shared. With `--distinct` every leaf has a size of its own;
2,000 of those take minutes. With `--large` they are 256 times as long, and ours is what `make_update` compiles: on a
CPU in blocks.
"""

import argparse
import statistics

import jax
import jax.numpy as jnp
import machine
import optax
from methods import METHODS
from step_time import compile_update, small

import momentum_optax as mo

SHOWN = ("heavy_ball", "nesterov", "adam", "adamw", "lion", "ademamix")
LEAVES, SIZES = (50, 150, 500, 2_000), 8


def measure(name: str, leaves: int, sizes: int, compiles: int, large: bool) -> list[str]:
    """A row of the table."""
    method = METHODS[name]
    tree = [jax.ShapeDtypeStruct((256 * n if large else n,), jnp.float32) for (n,) in small(leaves, sizes)]
    sides = {"ours": (method.ours, mo.apply_updates, large), "twin": (method.twin, optax.apply_updates, False)}
    built = {side: [] for side in sides}
    for i in range(compiles):
        for side in sorted(sides, reverse=i % 2 == 0):
            tx, apply, blocks = sides[side]
            built[side].append(compile_update(tx, apply, tree, {}, blocks=blocks).compile_s)
    ours, twin = ([sum(marks) for marks in built[side]] for side in sides)
    parts = [statistics.median(part) for part in zip(*built["ours"], strict=True)]
    return [
        name,
        str(leaves),
        str(sizes),
        f"{statistics.median(ours):.2f} = " + " + ".join(f"{part:.2f}" for part in parts),
        f"{statistics.median(twin):.2f}",
        f"{statistics.median(machine.ratios(ours, twin)):.2f}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--quick", action="store_true", help="50 and 150 leaves, two methods, compiled once")
    add("--leaves", type=int, action="append", help="number of leaves; may be repeated")
    add("--method", action="append", choices=[name for name in METHODS if METHODS[name].twin], help="may be repeated")
    add("--distinct", action="store_true", help="every leaf has a size of its own")
    add("--large", action="store_true", help="large leaves, ours in blocks")
    add("--compiles", type=int, default=3, help="how often each is compiled")
    chosen = parser.parse_args()
    methods = chosen.method or (SHOWN[:2] if chosen.quick else SHOWN)
    print(machine.describe("jax", "jaxlib", "optax"), end="\n\n")
    header = ["method", "leaves", "sizes", "trace + lower + compile s", "Optax s", "ours / Optax"]
    print(machine.row(header) + "\n" + "|" + "---|" * len(header))
    for leaves in chosen.leaves or (LEAVES[:2] if chosen.quick else LEAVES):
        for name in methods:
            sizes, compiles = leaves if chosen.distinct else SIZES, 1 if chosen.quick else chosen.compiles
            cells = measure(name, leaves, sizes, compiles, chosen.large)
            print(machine.row(cells), flush=True)


if __name__ == "__main__":
    main()
