"""The folder of a sweep, seen from the command line."""

import os
import shutil
from pathlib import Path

from ..sweeps.storage.folder import FILES
from ..sweeps.storage.identity import IDENTITY
from ..sweeps.storage.lock import LOCK, lock
from ..sweeps.storage.store import NOTES


def begun(folder: Path) -> bool:
    """Whether a sweep can go on from what is in it."""
    return any((folder / "checkpoints").glob("[0-9]*"))


def finished(folder: Path) -> bool:
    """Whether a whole sweep is in it."""
    return (folder / "sweep.json").exists()


def clear(folder: Path) -> None:
    """Removes the sweep in a folder, and the folder if nothing else is in it; pictures are left to be replaced.

    Raises:
      BlockingIOError: a process is running this sweep.
      OSError: it cannot be removed.
    """
    if not (folder / IDENTITY).exists() and not finished(folder):
        return
    if (file := lock(folder)) is not None:
        os.close(file)
    for name in ("rungs", "checkpoints"):
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in (*FILES, NOTES, LOCK, IDENTITY):  # last what says of which sweep the others are
        (folder / name).unlink(missing_ok=True)
    if not any(folder.iterdir()):
        folder.rmdir()
