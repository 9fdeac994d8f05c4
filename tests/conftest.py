"""The weather for every test: eight CPU devices, strict ranks, warnings are errors, quick compiles that are kept."""

import gc
import os
import sys
from pathlib import Path

CACHE = Path(__file__).parents[1] / ".pytest_cache" / "jax"
# By environment, so that the processes that tests start share it. Small programs too: the workers run the same ones.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(CACHE))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
os.environ.setdefault("MPLBACKEND", "agg")

sys.path.insert(0, str(Path(__file__).parent))  # `import compiling`, `import oracles`, `import helpers`

import compiling  # noqa: E402
import jax  # noqa: E402
import pytest  # noqa: E402

os.environ.setdefault("XLA_FLAGS", compiling.QUICKLY)  # set to nothing, every program is compiled as for users

from momentum_optax.blocks import leaves  # noqa: E402

jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_numpy_rank_promotion", "raise")
# Tracing makes many small objects that live on; looking them over at every 700th took a tenth of the time.
gc.set_threshold(10_000)


@pytest.fixture
def small_blocks(monkeypatch):
    """Leaves of 128 numbers and more are computed in blocks of at most 32."""
    for name, value in {"LEAST": 128, "BLOCK": 32, "SMALLEST_BLOCK": 8}.items():
        monkeypatch.setattr(leaves, name, value)
