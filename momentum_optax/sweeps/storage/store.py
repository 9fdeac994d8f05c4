"""The folder of a sweep under way: whose it is, what its rungs found, and the states to go on from."""

import json
import os
import shutil
import warnings
import weakref
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from .._extras import need
from .checkpoint import DRAFT, Checkpoint, Record, check, read_checkpoint, write_checkpoint
from .folder import FILES, load
from .identity import IDENTITY, is_known, plain
from .lock import lock
from .saving import check_writable, write_files

if TYPE_CHECKING:
    from ..results.results import SweepResult

FORMAT = 2
"""Of all files of a store; to be raised when a version could not go on with what another one has written."""

NOTES = "notes.json"


class Store:
    """The folder of a sweep under way.

    It holds `identity.json`, which tells it from other sweeps; `notes.json`; `rungs` with a NumPy file of what each
    rung found; and `checkpoints`, with the two newest ones. A process can be killed at any moment: every file and every
    checkpoint is there as a whole or not at all.

    Attributes:
      folder: the folder.
      notes: what was noted, by this process or by earlier ones.
    """

    def __init__(self, folder: str | Path, identity: Mapping[str, Any]):
        """Opens a folder, and makes it if it is missing.

        Args:
          folder: the folder; other files in it are left alone.
          identity: what the results depend on, in values that JSON knows. `versions` and `platform` may differ from
            those in the folder, with a warning.

        Raises:
          ValueError: the folder is of another sweep, or holds results of which it is not known how they came about.
          BlockingIOError: another process is running this sweep.
          OSError: the folder cannot be written.
        """
        need("orbax", "Folders of sweeps")
        self.folder = Path(folder)
        self._rung = -1
        self._records: list[Record] = []
        own = {"format": FORMAT, **plain(dict(identity))}
        known = is_known(self.folder, own)
        found = [name for name in (*FILES, NOTES, "rungs", "checkpoints") if (self.folder / name).exists()]
        if found and not known:
            raise ValueError(
                f"folder={str(self.folder)!r} holds {found[0]}, but no {IDENTITY} that says of which sweep. "
                "Give another folder, or delete this one."
            )
        check_writable(self.folder, (IDENTITY, NOTES, *FILES))
        self.folder.mkdir(parents=True, exist_ok=True)
        if (file := lock(self.folder)) is not None:
            weakref.finalize(self, os.close, file)
        for draft in (p for d in (self.folder, self._rungs, self._checkpoints) for p in d.glob(DRAFT + "*")):
            shutil.rmtree(draft, ignore_errors=True)
        if not known:
            _write_json(self.folder, IDENTITY, own)
        self.notes: Mapping[str, Any] = MappingProxyType(self._read_notes())

    @property
    def _rungs(self) -> Path:
        return self.folder / "rungs"

    @property
    def _checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    def note(self, **values: Any) -> None:
        """Notes what was found out and must be the same when the sweep goes on, such as how it is cut into chunks.

        Args:
          **values: what to note, in values that JSON knows; replaces what has the same name.
        """
        notes = plain({**self.notes, **values})
        if notes != self.notes:
            _write_json(self.folder, NOTES, notes)
        self.notes = MappingProxyType(notes)

    def save(self, rung: int, tree: Any, record: Record) -> None:
        """Keeps what a rung found, and the states after it; when it returns, both survive.

        Args:
          rung: the number of the rung, larger than the one before.
          tree: the states of all runs, any tree of arrays of numbers.
          record: what this rung found, small arrays by name, which nobody changes later: they are kept for the rungs
            to come.

        Raises:
          OSError: it cannot be written; what was kept before is still there.
        """
        if rung <= self._rung:
            raise ValueError(f"rung must be larger than {self._rung}, the one before, not {rung}.")
        records = [*self._records, record]
        path = self._checkpoints / f"{rung:05}"
        try:
            # NumPy files know no bfloat16; float32 has all its numbers.
            found = {k: v.astype(np.float32) if v.dtype.kind == "V" else v for k, v in record.items()}
            write_files(self._rungs, {f"{rung:05}.npz": lambda path: _savez(path, found)})
            _remove(path)  # a damaged one, if there is any
            write_checkpoint(path, Checkpoint(rung, jax.tree.leaves(tree), records))
            older = [number for number in self._saved() if number < rung]
            for number in set(self._saved()) - {rung, *older[-1:]}:
                _remove(self._checkpoints / f"{number:05}")
        except TypeError:
            raise
        except Exception as error:  # Orbax has many
            message = f"rung {rung} could not be kept in {self.folder}: {error}. The rungs before it are still there."
            number = getattr(error, "errno", None)
            raise (OSError(number, message) if number else OSError(message)) from error
        self._rung, self._records = rung, records

    def latest(self) -> Checkpoint | None:
        """Finds what to go on from; to be called before the first `save`.

        Returns:
          The newest checkpoint that is whole, `None` if there is none. A warning names those that are damaged.
        """
        damaged = []
        found = None
        for rung in reversed(self._saved()):
            path = self._checkpoints / f"{rung:05}"
            try:
                check(path)
            except (ValueError, OSError) as error:
                damaged.append(f"rung {rung} ({error})")
                continue
            # Outside, for what is whole and cannot be read (too little memory, say) must not be thrown away.
            found = read_checkpoint(path)
            self._rung, self._records = found.rung, found.records
            break
        if damaged:
            then = f"goes on from rung {found.rung}" if found else "starts over"
            warnings.warn(
                f"In {self.folder}, the checkpoint of {' and of '.join(damaged)} is damaged: the sweep {then}.",
                stacklevel=2,
            )
        return found

    def finish(self, result: "SweepResult", metric: str | None = None) -> None:
        """Saves the result, and removes the checkpoints and what the rungs found.

        Args:
          result: the whole sweep.
          metric: what to rank by, see `SweepResult.save`.
        """
        result.save(self.folder, metric)
        self._clear()

    def finished(self) -> "SweepResult | None":
        """The result of a sweep that has ended, `None` if it has not; a warning says so if it cannot be read."""
        if not (self.folder / "sweep.json").exists():
            return None
        try:
            result = load(self.folder)
        except (ValueError, OSError) as error:
            warnings.warn(f"The result in {self.folder} cannot be used, the sweep is run again: {error}", stacklevel=2)
            return None
        self._clear()  # it may have been killed before it did
        return result

    def _clear(self) -> None:
        for path in (self._checkpoints, self._rungs):
            _remove(path)

    def _saved(self) -> list[int]:
        return sorted(int(path.name) for path in self._checkpoints.glob("[0-9]*") if path.name.isdecimal())

    def _read_notes(self) -> dict[str, Any]:
        try:
            return dict(json.loads((self.folder / NOTES).read_text(encoding="utf-8")))
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except ValueError as error:
            warnings.warn(f"{self.folder / NOTES} is damaged and not used: {error}", stacklevel=3)
            return {}


def _write_json(folder: Path, name: str, value: Any) -> None:
    write_files(folder, {name: lambda path: path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")})


def _savez(path: Path, arrays: Record) -> None:
    """As `np.savez`, which knows no array called `file`."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, values in arrays.items():
            with archive.open(f"{name}.npy", "w") as file:
                np.lib.format.write_array(file, values, allow_pickle=False)


def _remove(path: Path) -> None:
    """Removes a folder in one go, so that no part of it is taken for the whole."""
    if path.exists():
        draft = path.with_name(DRAFT + path.name)
        shutil.rmtree(draft, ignore_errors=True)
        os.rename(path, draft)
        shutil.rmtree(draft)
