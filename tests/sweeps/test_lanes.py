import math
import os
import subprocess
import sys

import numpy as np
import pytest

from momentum_optax.sweeps.cores import cpu_count
from momentum_optax.sweeps.engine.lanes import again, arrange, lay_out


@pytest.mark.parametrize("chunk", [None, 1, 4, 16])
@pytest.mark.parametrize("workers", [1, 2, 3, 8])
@pytest.mark.parametrize(("rows", "points"), [(1, 1), (1, 17), (5, 1), (3, 7), (10, 104)])
def test_every_run_has_its_place(rows, points, workers, chunk):
    grid = arrange(rows, points, workers)
    assert math.prod(grid) == workers
    lanes = lay_out(rows, points, grid, chunk)
    if chunk is not None:
        assert math.prod(lanes.chunk) <= chunk
    covered = np.zeros((rows, points), int)
    for down, across in lanes.batches():
        assert (len(down), len(across)) == lanes.batch
        covered[np.ix_(np.unique(down), np.unique(across))] += 1
    assert (covered == 1).all()
    assert lanes.trained == math.prod(lanes.batch) * len(lanes.batches())


def test_the_cut_wastes_least():
    assert arrange(5, 8, 2) == (1, 2)
    assert arrange(8, 5, 2) == (2, 1)
    assert arrange(2, 4, 8) == (2, 4)
    # Rows first where it makes no difference, for a worker then fetches fewer batches.
    assert arrange(4, 4, 2) == (2, 1)
    assert lay_out(8, 32, (2, 1), 16).chunk == (1, 16)
    assert lay_out(64, 1, (2, 1), 16).chunk == (16, 1)


def test_fewer_points_keep_the_chunks_unless_that_wastes():
    lanes = lay_out(4, 64, (1, 1), 16)
    assert again(lanes, 32).chunk == (1, 16)
    assert again(lanes, 30).chunk == (1, 16)
    assert again(lanes, 5).chunk == (2, 5)  # three of four would be trained in vain
    assert again(lanes, 5).trained == 20


@pytest.mark.parametrize(("shape", "expected"), [((4, 64), (1, 48)), ((8, 16), (3, 16)), ((2, 16), (2, 16))])
def test_a_few_batches(shape, expected):
    assert lay_out(*shape, (1, 1), 16).few(3) == expected


@pytest.mark.parametrize(("flags", "devices"), [("--xla_force_host_platform_device_count=3", 3), ("", cpu_count())])
def test_all_cores_unless_the_user_has_chosen(flags, devices):
    script = "import jax; from momentum_optax.sweeps.cores import *; use_all_cores(); print(len(jax.devices('cpu')))"
    run = [sys.executable, "-c", script]
    done = subprocess.run(run, env=os.environ | {"XLA_FLAGS": flags}, capture_output=True, text=True, check=True)
    assert int(done.stdout) == devices
