"""Each core of the CPU as a device."""

import os

import jax

from .._cores import cpu_count


def use_all_cores() -> None:
    """Makes each core a device, unless JAX has started (then `sweep` uses threads) or the user has chosen."""
    chosen = "xla_force_host_platform_device_count" in os.environ.get("XLA_FLAGS", "")
    if not chosen and jax.config.jax_num_cpu_devices <= 0:  # pyright: ignore[reportAttributeAccessIssue]
        try:
            jax.config.update("jax_num_cpu_devices", cpu_count())
        except RuntimeError:
            return
