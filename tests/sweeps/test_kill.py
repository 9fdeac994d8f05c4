import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from killed_sweep import RUNGS

from momentum_optax.sweeps import load

KILLS = 10


@pytest.mark.parametrize("strategy", ["vmap", "step"])
def test_a_sweep_killed_ten_times_ends_as_if_it_had_not_been(tmp_path, strategy):
    script = Path(__file__).with_name("killed_sweep.py")
    command = [sys.executable, script, tmp_path, strategy, str(KILLS), "3"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    said = json.loads(done.stdout)
    assert said["once"] == [[*range(RUNGS + 1)]]
    assert len(said["killed"]) == KILLS + 1, said

    once, killed = load(tmp_path / "once"), load(tmp_path / "killed")
    assert killed.equals(once)
    assert killed.frame().to_csv() == once.frame().to_csv()
    for name in ("runs.csv", "table.csv"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "once" / name).read_bytes()
    # There was something to get wrong: runs diverged, and points were stopped, or their runs took over those of others.
    assert np.isnan(once.metrics["train_loss"]).any()
    assert strategy == "step" or np.unique(once.pruned_at).size > 2

    # What was kept is not repeated. A life goes on from the last rung that another has reported; from the one after it,
    # which was kept but not yet reported; or from the one before it, while it was being written.
    reached = 0
    for life in said["killed"]:
        rungs = life[1:]
        assert rungs == [*range(rungs[0], rungs[0] + len(rungs))] if rungs else True
        if rungs:
            assert abs(rungs[0] - reached) <= 1, said
            reached = rungs[-1]
    assert reached == RUNGS
