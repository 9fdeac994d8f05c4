"""Two processes that share a sweep: each trains half of the runs, both get the same result, and the first writes.

This script starts itself twice and has both compute on the CPU. On two machines it is the same call in each, with the
address of the first; under SLURM, in Kubernetes, by `mpirun` or on a TPU pod, `distributed.start()` finds it out.

    python examples/19_two_processes.py
"""

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

import momentum_optax as mo
from momentum_optax import sweeps
from momentum_optax.problems import digits


def train(steps: int, devices: Sequence[Any], folder: str | None = None) -> sweeps.SweepResult:
    """The same call in all processes."""
    trial = sweeps.supervised(
        digits.MLP,
        sweeps.cross_entropy,
        digits.load(),
        optimizer=lambda hp: mo.heavy_ball(hp["learning_rate"], hp["beta"]),
    )
    points = sweeps.grid(learning_rate=sweeps.log(0.003, 0.1, count=4), beta=[0.0, 0.9])
    return sweeps.sweep(
        trial,
        points,
        seeds=4,
        steps=steps,
        strategy="vmap",
        lanes_per_chunk=4,  # the same shape of batches everywhere, for it changes the last bits
        devices=devices,
        folder=folder,
    )


def share(folder: str, port: str, index: int, steps: int) -> None:
    """What each of the two does."""
    sweeps.distributed.start(f"127.0.0.1:{port}", 2, index)
    train(steps, jax.devices(), folder)  # the devices of both


def main(steps: int = 100) -> tuple[sweeps.SweepResult, sweeps.SweepResult]:
    """What two processes found, and what one finds."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    with tempfile.TemporaryDirectory() as folder:
        command, env = [sys.executable, __file__, folder, port], {**os.environ, "JAX_PLATFORMS": "cpu"}
        # On stdout, gloo says that it is connected.
        options = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True, "env": env}
        both = [subprocess.Popen([*command, str(index), str(steps)], **options) for index in range(2)]
        try:
            for process in both:
                complaints = process.communicate(timeout=300)[1]
                assert process.returncode == 0, complaints
        finally:
            for process in both:
                process.kill()
        print("written:", ", ".join(sorted(path.name for path in Path(folder).glob("[a-z]*"))))
        shared = sweeps.load(folder)
    alone = train(steps, jax.devices("cpu")[:1])
    for name, values in alone.metrics.items():
        np.testing.assert_allclose(shared.metrics[name], values, rtol=1e-5, atol=1e-6, err_msg=name)
    differs = max(float(np.abs(shared.metrics[name] - values).max()) for name, values in alone.metrics.items())
    processes, devices = (shared.settings[name] for name in ("processes", "devices"))
    print(f"trained by {processes} processes with {devices} devices: {shared.diverged.size} runs")
    print(f"one process finds the same: the largest difference of a metric is {differs:.1g}")
    print(shared.table("test_loss").head(3)[["learning_rate", "beta", "test_loss", "test_loss_spread"]].to_string())
    return shared, alone


if __name__ == "__main__":
    if len(sys.argv) == 1:
        main()
    else:
        share(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
