import math
import os
import subprocess
import sys

import numpy as np
import pytest

from momentum_optax.sweeps.lanes import lay_out, pad
from momentum_optax.sweeps.run import cpu_count


@pytest.mark.parametrize("chunk", [None, 1, 4, 16])
@pytest.mark.parametrize("workers", [1, 2, 3, 8])
@pytest.mark.parametrize(("seeds", "points"), [(1, 1), (1, 17), (5, 1), (3, 7), (10, 104)])
def test_every_run_has_its_place(seeds, points, workers, chunk):
    lanes = lay_out(seeds, points, workers, chunk)
    assert math.prod(lanes.workers) == workers
    assert all(padded >= size for padded, size in zip(lanes.padded, (seeds, points), strict=True))
    if chunk is not None:
        assert math.prod(lanes.chunk) <= chunk
    covered = np.zeros(lanes.padded, int)
    for down, across in lanes.blocks():
        covered[down, across] += 1
        assert covered[down, across].shape == covered[lanes.blocks()[0]].shape
    assert (covered == 1).all()


def test_the_cut_wastes_least():
    assert lay_out(5, 8, 2, None).workers == (1, 2)
    assert lay_out(8, 5, 2, None).workers == (2, 1)
    assert lay_out(2, 4, 8, None).workers == (2, 4)
    # Seeds first where it makes no difference, for a worker then fetches fewer batches.
    assert lay_out(4, 4, 2, None).workers == (2, 1)
    assert lay_out(8, 32, 2, 16).chunk == (1, 16)
    assert lay_out(64, 1, 2, 16).chunk == (16, 1)


@pytest.mark.parametrize(("flags", "devices"), [("--xla_force_host_platform_device_count=3", 3), ("", cpu_count())])
def test_all_cores_unless_the_user_has_chosen(flags, devices):
    script = "import jax; from momentum_optax.sweeps.run import *; use_all_cores(); print(len(jax.devices('cpu')))"
    run = [sys.executable, "-c", script]
    done = subprocess.run(run, env=os.environ | {"XLA_FLAGS": flags}, capture_output=True, text=True, check=True)
    assert int(done.stdout) == devices


def test_padding_repeats_the_last():
    tree = {"a": np.arange(6).reshape(2, 3), "b": np.array([1.0, 2.0])}
    padded = pad(tree, 4)
    np.testing.assert_array_equal(padded["a"], [[0, 1, 2], [3, 4, 5], [3, 4, 5], [3, 4, 5]])
    np.testing.assert_array_equal(padded["b"], [1, 2, 2, 2])
