"""The devices, threads and processes of a sweep."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from ..cores import cpu_count
from ..values import whole
from .team import Team, team_of


@dataclasses.dataclass(frozen=True)
class Machine:
    """What trains.

    Attributes:
      devices: the devices of this process.
      threads: how many share the device, if there is one only.
      team: the processes, with as many devices each.
    """

    devices: Sequence[Any]
    threads: int
    team: Team

    @classmethod
    def of(cls, devices: Sequence[Any] | None, threads: int | None) -> "Machine":
        """What `sweep` was given.

        Args:
          devices: of all processes or of this one; `None` for all there are.
          threads: how many; `None` for what suits the devices.

        Raises:
          TypeError: `devices` holds something else.
          ValueError: there is no device, one is given twice, or there are threads for several.
        """
        given = jax.devices() if devices is None else devices
        devices = list(given) if np.iterable(given) else []
        if not np.iterable(given) or not all(isinstance(device, jax.Device) for device in devices):
            raise TypeError(f"devices must be a list of devices of JAX, such as jax.devices()[:1], not {given!r}.")
        if not devices:
            raise ValueError("devices must hold at least one device; None stands for all.")
        if len(set(devices)) < len(devices):
            raise ValueError(f"devices must be different ones, not {devices!r}.")
        team = team_of(devices)
        own = [device for device in devices if device.process_index == jax.process_index()]
        if threads is None:
            # As many in each process, for equal layouts.
            threads = min(team.each(cpu_count)) if own[0].platform == "cpu" and len(own) == 1 else 1
        threads = whole("threads", threads)
        if threads > 1 and len(own) > 1:
            raise ValueError(f"threads={threads} is for a single device, but there are {len(own)} devices.")
        return cls(own, threads, team)

    @property
    def on_cpu(self) -> bool:
        """Whether the devices are CPU cores."""
        return self.devices[0].platform == "cpu"

    @property
    def settings(self) -> dict[str, Any]:
        """What to write down."""
        return {
            "platform": self.devices[0].platform,
            "processes": self.team.count,
            "devices": len(self.devices) * self.team.count,
            "threads": self.threads,
        }
