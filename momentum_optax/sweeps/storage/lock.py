"""One process at a time in the folder of a sweep."""

import os
from pathlib import Path

LOCK = ".lock"


def lock(folder: Path) -> int | None:
    """Keeps other processes out of a folder, until the file is closed or this process ends.

    Args:
      folder: the folder, which exists.

    Returns:
      The open file; `None` on a system without locks.

    Raises:
      BlockingIOError: another process is running this sweep.
      OSError: the file cannot be opened.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        return None
    file = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError) as error:
        os.close(file)
        raise BlockingIOError(f"folder={str(folder)!r}: another process is running this sweep.") from error
    except OSError:
        pass  # a file system without locks
    return file
