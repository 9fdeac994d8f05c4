"""Lets a process live several times, until it is done, and kills it at random moments of all lives but the last.

By fork from a process that has only imported, for importing takes longer than what is to be killed.
"""

import os
import signal
import time
import traceback
import warnings
from collections.abc import Callable, Iterable


def lives(live: Callable[[Callable[[int], object]], None], moments: Iterable[tuple[int, float]]) -> list[list[int]]:
    """Lives until the last life has come to its end.

    Args:
      live: a life; it is given a function by which it says a number from 0 to 255.
      moments: when lives are killed: after how many numbers and how many seconds more.

    Returns:
      The numbers that were said in each life.
    """
    warnings.filterwarnings("ignore", ".*fork", RuntimeWarning)
    said = []
    for moment in [*moments, None]:
        numbers, status = _life(live, moment)
        said.append(numbers)
        assert status in (0, -signal.SIGKILL), (status, said)
        if status == 0:
            break
    return said


def _life(live: Callable[[Callable[[int], object]], None], moment: tuple[int, float] | None) -> tuple[list[int], int]:
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        status = 1
        try:
            live(lambda number: os.write(writer, bytes([number])))
            status = 0
        except BaseException:
            traceback.print_exc()
        os._exit(status)
    os.close(writer)
    said = b""
    while more := os.read(reader, 1):
        said += more
        if moment is not None and len(said) == moment[0]:
            time.sleep(moment[1])
            os.kill(pid, signal.SIGKILL)
    os.close(reader)
    return list(said), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
