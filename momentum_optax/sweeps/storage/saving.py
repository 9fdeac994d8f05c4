"""Files that are there as a whole or not at all."""

import errno
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path


def write_files(folder: str | Path, writers: Mapping[str, Callable[[Path], object]]) -> list[Path]:
    """Writes files beside their places, and moves them there once all are complete.

    Args:
      folder: where to; made if missing.
      writers: by file name, a function that writes to the path it is given.

    Returns:
      The files, in the order given.

    Raises:
      OSError: a file cannot be written; then no file has been touched.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    # In the same folder, for a file can be moved in one go only within a file system.
    with tempfile.TemporaryDirectory(dir=folder, prefix=".writing-") as draft:
        for name, write in writers.items():
            path = Path(draft) / name
            write(path)
            with path.open("rb+") as file:
                os.fsync(file.fileno())
        _refuse_folders(folder, writers)
        for name in writers:
            os.replace(Path(draft) / name, folder / name)
    return [folder / name for name in writers]


def check_writable(folder: str | Path, names: Iterable[str] = ()) -> None:
    """Fails if `write_files` could not write into a folder, and leaves nothing behind.

    Args:
      folder: an existing folder, or one to be made.
      names: the files to be written.

    Raises:
      OSError: it is a file, or neither it nor its nearest existing parent can be written, or a folder is in the
        place of one of the files.
    """
    found = Path(folder).absolute()
    try:
        _refuse_folders(found, names)
        while not found.exists():
            found = found.parent
        if not found.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, f"{found} is a file, not a folder")
        with tempfile.TemporaryFile(dir=found):
            pass
    except OSError as error:
        named = type(error)(f"folder={str(folder)!r} cannot be written ({error.strerror or error}); give one that can.")
        named.strerror = error.strerror  # for who names the folder in another way, as the command line does
        raise named from error


def _refuse_folders(folder: Path, names: Iterable[str]) -> None:
    for name in names:
        if (folder / name).is_dir():
            raise IsADirectoryError(errno.EISDIR, f"{name} is a folder")
