"""A sweep that is killed in the middle, goes on by the same call, and ends as if nothing had happened.

A sweep with a folder keeps everything after each rung, while the next one is trained. Here a process of its own runs
it, and is killed without a warning, as by `kill -9` or by a cluster that wants its machine back; then this process
calls the same function. Meanwhile successive halving stops the points that do badly. The result is held against that of
a sweep that nobody disturbed, to the bit.

    python examples/18_stopped_and_resumed.py
"""

import functools
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import jax

import momentum_optax as mo
from momentum_optax import sweeps
from momentum_optax.problems import digits

RUNGS = 10


@functools.cache
def trial() -> sweeps.Trial:
    """One for all sweeps of a process, so that they share what is compiled."""
    return sweeps.supervised(
        digits.MLP,
        sweeps.cross_entropy,
        digits.load(),
        optimizer=lambda hp: mo.heavy_ball(hp["learning_rate"], hp["beta"]),
    )


def train(folder: Path, steps: int, progress: Callable[[sweeps.Progress], None] | None = None) -> sweeps.SweepResult:
    """The call that is made again and again: it begins, goes on, or gives what is there already."""
    return sweeps.sweep(
        trial(),
        sweeps.sobol(16, learning_rate=sweeps.log(1e-3, 1), beta=sweeps.one_minus_log(0, 0.99)),
        seeds=3,
        steps=steps,
        evaluate_every=steps // RUNGS,
        metric="test_loss",
        pruning=sweeps.SuccessiveHalving(steps // RUNGS, factor=2),
        strategy="vmap",
        # How runs are cut into batches changes the last bits. A folder remembers it; the undisturbed sweep is told.
        lanes_per_chunk=16,
        devices=jax.devices()[:1],
        folder=folder,
        progress=progress,
    )


def die(p: sweeps.Progress) -> None:
    """Ends this process at once: nothing is tidied up, and what is being written stays half written."""
    if p.rung == RUNGS // 2:
        print(p.lane_steps, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)


def main(steps: int = 300) -> tuple[sweeps.SweepResult, sweeps.SweepResult, int, int]:
    """The disturbed and the undisturbed result, the steps made before the kill, and how many were not repeated."""
    with tempfile.TemporaryDirectory() as name:
        killed, quiet = Path(name, "killed"), Path(name, "quiet")
        child = subprocess.run([sys.executable, __file__, killed, str(steps)], stdout=subprocess.PIPE, text=True)
        assert child.returncode == -signal.SIGKILL, child
        made, seen = int(child.stdout), []
        result = train(killed, steps, seen.append)
        expected = train(quiet, steps)
    restored = seen[-1].restored
    print(f"killed after {made} steps of all runs, in the middle; {restored} of them were not repeated")
    for step, stopped in result.pruned().groupby("step"):
        count, least = stopped.index.nunique(), stopped["test_loss"].min()
        print(f"pruned after step {step:3}: {count} of {len(result.points)} points, test losses from {least:.3f} up")
    best = result.best("test_loss")
    print(f"best test loss {best.value:.4f} by {dict(best.point)}")
    assert result.equals(expected)
    print("equal to an undisturbed sweep, bit for bit")
    return result, expected, made, restored


if __name__ == "__main__":
    if len(sys.argv) == 1:
        main()
    else:
        train(Path(sys.argv[1]), int(sys.argv[2]), die)
