"""The folder of a sweep that several processes share."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

import jax
import numpy as np

from ..engine.team import Team
from ..results.results import SweepResult
from .checkpoint import Checkpoint, Record
from .identity import differences, plain
from .store import Store


class SharedStore:
    """A `Store` that only the first process touches; the others are told what is in it, and what goes wrong.

    Without a folder it keeps nothing. It is a context, at whose end everything is written.

    Attributes:
      folder: the folder; `None` if there is none.
      finished: the result, if the sweep has ended.
      notes: what was noted by earlier processes.
    """

    def __init__(self, team: Team, folder: str | Path | None, identity: Callable[[], Mapping[str, Any]]):
        """Opens the folder, see `Store`.

        Args:
          team: the processes.
          folder: the folder; `None` for none.
          identity: gives what the results depend on, which is not asked for if there is nothing to compare it with.

        Raises:
          ValueError: the processes were called for different sweeps, or the folder is that of another one.
        """
        self._team, self._store, self.folder = team, None, folder
        self._pool, self._saving = ThreadPoolExecutor(1), None
        if team.count > 1:
            _check_alike(team.each(lambda: plain(identity())))

        def look() -> tuple[SweepResult | None, dict[str, Any]]:
            if folder is None:
                return None, {}
            self._store = Store(folder, identity())
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

    def recognize(self, fingerprints: Callable[[], list[dict[str, str]]]) -> None:
        """Notes what tells the functions of the trial from others, or checks that they are those of the folder.

        Args:
          fingerprints: gives it, of each program.

        Raises:
          ValueError: the folder is that of a sweep with another trial.
        """
        if self.folder is None:
            return
        programs = {"jax": jax.__version__, "fingerprints": self._team.first(fingerprints)}
        before = self.notes.get("programs")
        if before is None or before["jax"] != programs["jax"]:
            self.note(programs=programs)
            return
        pairs = zip(before["fingerprints"], programs["fingerprints"], strict=True)
        other = dict.fromkeys(part for old, new in pairs for part in new if new[part] != old[part])
        if other:
            raise ValueError(
                f"The folder {self.folder} is that of a sweep with another trial: its {' and its '.join(other)} is not "
                "the one given now. Give another folder, or delete this one."
            )

    def note(self, **values: Any) -> None:
        """Notes something, see `Store.note`."""
        self._team.first(lambda: self._store and self._store.note(**values))

    def save(self, rung: int, snapshot: Callable[[], tuple[Any, Record]]) -> None:
        """Keeps what a rung found, and the states after it, see `Store.save`, while the sweep goes on.

        What goes wrong is raised when the next rung is to be kept, or the result.

        Args:
          rung: the number of the rung.
          snapshot: gives the states and what was found, which nobody changes later; called when the rung before is
            kept, for states take memory.
        """
        if self.folder is None:
            return
        self._wait()
        tree, record = snapshot()
        if self._store is not None:
            self._saving = self._pool.submit(self._store.save, rung, tree, record)

    def finish(self, result: SweepResult, metric: str | None) -> None:
        """Keeps the result, see `Store.finish`."""
        self._wait()
        self._team.first(lambda: self._store and self._store.finish(result, metric))

    def _wait(self) -> None:
        self._team.first(lambda: self._saving and self._saving.result())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """Waits until what is being written is there."""
        self._pool.shutdown()


def _check_alike(identities: Sequence[Mapping[str, Any]]) -> None:
    first, *others = identities
    for index, other in enumerate(others, 1):
        if found := [text for _, text in differences(first, other)]:
            raise ValueError(
                f"All processes must run the same sweep, but those of process 0 (there) and process {index} (here) "
                f"differ in {', '.join(found[:3])}."
            )
