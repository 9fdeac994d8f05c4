"""How much memory there is, and how much a compiled program takes."""

import os
from pathlib import Path
from typing import Any

import jax

_WORDS = ("RESOURCE_EXHAUSTED", "out of memory")
_CGROUP = Path("/sys/fs/cgroup")


def free(device: Any) -> int | None:
    """Bytes of a device's memory that are free; of a CPU device, its share of the host's. `None` if nobody knows."""
    stats = device.memory_stats()
    if stats and "bytes_limit" in stats:
        return int(stats["bytes_limit"]) - int(stats.get("bytes_in_use", 0))
    if device.platform != "cpu":
        return None
    host = _host()
    return None if host is None else host // jax.local_device_count("cpu")


def is_exhausted(error: BaseException) -> bool:
    """Whether an error says that memory was not enough."""
    if isinstance(error, MemoryError):
        return True
    said = str(error).lower()
    return isinstance(error, jax.errors.JaxRuntimeError) and any(word.lower() in said for word in _WORDS)


def _host() -> int | None:
    """What the machine has free, or a container if that is less."""
    try:
        available = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None  # no such question on this system
    try:
        limit = (_CGROUP / "memory.max").read_text().strip()
        used = int((_CGROUP / "memory.current").read_text())
    except (OSError, ValueError):
        return available  # no container
    return available if limit == "max" else min(available, int(limit) - used)
