"""The folder of a sweep that several processes share."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .checkpoint import Checkpoint, Record
from .results import SweepResult
from .store import Store
from .team import Team


class SharedStore:
    """A `Store` that only the first process touches; the others are told what is in it, and what goes wrong.

    Without a folder it keeps nothing.

    Attributes:
      folder: the folder; `None` if there is none.
      finished: the result, if the sweep has ended.
      notes: what was noted by earlier processes.
    """

    def __init__(self, team: Team, folder: str | Path | None, identity: Mapping[str, Any]):
        """Opens the folder, see `Store`.

        Args:
          team: the processes.
          folder: the folder; `None` for none.
          identity: what the results depend on.
        """
        self._team, self._store, self.folder = team, None, folder

        def look() -> tuple[SweepResult | None, dict[str, Any]]:
            if folder is None:
                return None, {}
            self._store = Store(folder, identity)
            return self._store.finished(), dict(self._store.notes)

        self.finished, self.notes = team.first(look)

    def latest(self) -> Checkpoint | None:
        """What to go on from, see `Store.latest`; outside of the first process, with empty arrays as states."""
        found = None

        def look() -> Checkpoint | None:
            nonlocal found
            found = self._store.latest() if self._store else None
            return found and found._replace(leaves=[np.empty(0)] * len(found.leaves))

        shown = self._team.first(look)
        return shown if found is None else found

    def note(self, **values: Any) -> None:
        """Notes something, see `Store.note`."""
        self._team.first(lambda: self._store and self._store.note(**values))

    def save(self, rung: int, tree: Any, record: Record) -> None:
        """Keeps what a rung found, and the states after it, see `Store.save`."""
        self._team.first(lambda: self._store and self._store.save(rung, tree, record))

    def finish(self, result: SweepResult, metric: str | None) -> None:
        """Keeps the result, see `Store.finish`."""
        self._team.first(lambda: self._store and self._store.finish(result, metric))
