"""States of runs on disk, written and read by Orbax, with checksums that tell whether they are whole."""

import functools
import json
import math
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import jax
import numpy as np

from .folder import digest

if TYPE_CHECKING:
    import orbax.checkpoint as ocp

DRAFT = ".writing-"
"""How folders begin that are not there yet as a whole; a killed process leaves some behind."""

PIECE = 1 << 26
"""Bytes of an array as Orbax sees it. Each costs milliseconds, so it is not given the leaves one by one."""

SUMS = "SHA256SUMS"
"""The checksums of all other files of a checkpoint, as the program `sha256sum` writes them."""

Record = Mapping[str, np.ndarray]
"""What one rung found: small arrays by name."""


class Checkpoint(NamedTuple):
    """A sweep under way.

    Attributes:
      rung: the number of the last rung.
      leaves: the states of all runs, in the order of `jax.tree.leaves`.
      records: what each rung up to this one found.
    """

    rung: int
    leaves: list[np.ndarray]
    records: list[Record]


def write_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Writes a checkpoint, which is there as a whole or not at all.

    Args:
      folder: the checkpoint itself; must not be there yet.
      checkpoint: what to write; arrays of any type of numbers.

    Raises:
      TypeError: an array holds no numbers.
      Exception: whatever Orbax and the file system raise; then there is no such folder.
    """
    import orbax.checkpoint as ocp  # here, for it takes half a second
    from etils import epath

    rung, leaves, records = checkpoint
    # With the rung among them, there is at least one array, which Orbax insists on.
    arrays = [np.asarray(x) for x in (rung, *leaves, *(x for record in records for x in record.values()))]
    layout = {
        "leaves": len(leaves),
        "records": [list(record) for record in records],
        "arrays": [[_number_type(x), x.shape] for x in arrays],
    }
    data = np.concatenate([np.ascontiguousarray(x).reshape(-1).view(np.uint8) for x in arrays])
    pieces = {str(i): data[start : start + PIECE] for i, start in enumerate(range(0, len(data), PIECE))}
    draft = folder.with_name(DRAFT + folder.name)
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    try:
        _write(draft / "layout.json", json.dumps(layout) + "\n")
        _orbax().save(epath.Path(draft.absolute()), args=ocp.args.PyTreeSave(pieces))
        _write(draft / SUMS, "".join(f"{value}  {name}\n" for name, value in _sums(draft).items()))
        os.rename(draft, folder)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise


def check(folder: Path) -> None:
    """Fails if a checkpoint is not what was written.

    Args:
      folder: the checkpoint itself.

    Raises:
      ValueError: a file is damaged, missing or new.
      OSError: a file cannot be read.
    """
    lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
    expected = {name: value for value, name in (line.split("  ", 1) for line in lines)}
    changed = sorted(name for name, _ in _sums(folder).items() ^ expected.items())
    if changed:
        raise ValueError(f"{changed[0]} is not what was written")


def read_checkpoint(folder: Path) -> Checkpoint:
    """Reads a checkpoint.

    Args:
      folder: the checkpoint itself, which has passed `check`.

    Returns:
      What was written, bit for bit.
    """
    from etils import epath

    layout = json.loads((folder / "layout.json").read_text(encoding="utf-8"))
    types = [(np.dtype(name), tuple(shape)) for name, shape in layout["arrays"]]
    ends = np.cumsum([0, *(dtype.itemsize * math.prod(shape) for dtype, shape in types)])
    pieces = _orbax().restore(epath.Path(folder.absolute()))
    data = np.concatenate([pieces[str(i)] for i in range(len(pieces))])
    # Copied, for an array has to begin at a multiple of the size of its numbers.
    arrays = [
        data[start:end].copy().view(dtype).reshape(shape)
        for start, end, (dtype, shape) in zip(ends[:-1], ends[1:], types, strict=True)
    ]
    leaves, rest = arrays[1 : 1 + layout["leaves"]], iter(arrays[1 + layout["leaves"] :])
    records: list[Record] = [{name: next(rest) for name in names} for names in layout["records"]]
    return Checkpoint(int(arrays[0]), leaves, records)


@functools.cache
def _orbax() -> "ocp.PyTreeCheckpointHandler":
    """Orbax, without its own way to make a folder whole at once, which knows no checksums."""
    import orbax.checkpoint as ocp

    # Each process by itself: Orbax would wait for all of them, but only one writes.
    me = jax.process_index()
    alone = ocp.options.MultiprocessingOptions(primary_host=me, active_processes={me})
    # Plain files take half the time of a database in files (OCDBT), and the digits of states hardly compress.
    return ocp.PyTreeCheckpointHandler(use_ocdbt=False, use_compression=False, multiprocessing_options=alone)


def _write(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _number_type(values: np.ndarray) -> str:
    try:
        if values.dtype.kind not in "OSUMm" and np.dtype(values.dtype.name) == values.dtype:
            return values.dtype.name
    except TypeError:
        pass
    raise TypeError(f"only numbers can be kept in a checkpoint, not an array of type {values.dtype}.")


def _sums(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / SUMS)
    return {file.relative_to(folder).as_posix(): digest(file) for file in files}
