"""Ctrl-C that is not lost."""

import contextlib
import signal
from collections.abc import Callable, Iterator

INTERRUPTED = 130
"""The exit status, as of a shell."""


@contextlib.contextmanager
def interruptible() -> Iterator[Callable[[], None]]:
    """Notes a Ctrl-C, for JAX runs callbacks of the garbage collector, in which Python ignores exceptions.

    Yields:
      A function that raises KeyboardInterrupt if there was a Ctrl-C before.
    """
    heard: list[int] = []

    def handler(signum: int, frame: object) -> None:
        del frame
        heard.append(signum)
        raise KeyboardInterrupt

    def check() -> None:
        if heard:
            raise KeyboardInterrupt

    previous = signal.signal(signal.SIGINT, handler)
    try:
        yield check
    finally:
        signal.signal(signal.SIGINT, previous)
