"""The devices, threads and processes of a sweep."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax

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
          ValueError: there is no device, or there are threads for several.
        """
        devices = jax.devices() if devices is None else list(devices)
        if not devices:
            raise ValueError("devices must hold at least one device; None stands for all.")
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
