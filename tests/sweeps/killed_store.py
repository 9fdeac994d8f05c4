"""Keeps rungs as fast as it can, and is killed meanwhile; see test_store.py."""

import random
import sys
import warnings

import numpy as np
import orbax.checkpoint  # noqa: F401  # before all lives
from killed import lives

from momentum_optax.sweeps.storage.store import Store

RUNGS = 100


def value(rung, size):
    return np.full(size, rung, np.float32)


def keep(folder, say):
    store = Store(folder, {"rungs": RUNGS})
    rung = 0
    if found := store.latest():
        rung, leaves, records = found
        np.testing.assert_array_equal(leaves[0], value(rung, 3000))
        np.testing.assert_array_equal(leaves[1], value(rung, 5))
        np.testing.assert_array_equal([r["loss"] for r in records], np.arange(1, rung + 1))
    say(rung)
    for r in range(rung + 1, RUNGS + 1):
        store.save(r, [value(r, 3000), value(r, 5)], {"loss": np.array(r)})
        say(r)


def main(folder, kills):
    warnings.simplefilter("error")
    moments = random.Random(0)
    said = lives(
        lambda say: keep(folder, say), [(moments.randint(1, 4), moments.uniform(0, 0.03)) for _ in range(kills)]
    )
    print(*said, sep="\n")
    # What `save` has returned from is still there; the one under way may be there too.
    kept = 0
    for first, *rest in said:
        assert first - kept in (0, 1), (first, kept)
        kept = [first, *rest][-1]
    assert kept == RUNGS
    assert len(said) > kills / 2


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
