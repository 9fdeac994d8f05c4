"""A sweep from the command line: alone or as one process of many, resumed, interrupted, reported."""

import contextlib
import dataclasses
import sys
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

import jax
import typer

from ..sweeps import Progress, SweepResult, sweep
from ..sweeps.cores import use_all_cores
from ..sweeps.engine.team import team_of
from ..sweeps.rungs.progress import opened
from ..sweeps.storage.saving import check_writable
from ..sweeps.storage.unfinished import load_unfinished
from . import folders
from .errors import bad, check_parquet, library_errors, need_sweep_extra, unwritable
from .interruption import INTERRUPTED, interruptible
from .report_command import show
from .study import Study


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The processes that share a sweep.

    Attributes:
      several: whether there is more than this one.
      coordinator: `HOST:PORT` of process 0; this and what follows is `None` if the cluster knows it itself.
      processes: how many there are.
      process: which one this is.
    """

    several: bool
    coordinator: str | None
    processes: int | None
    process: int | None

    @classmethod
    def of(cls, coordinator: str | None, processes: int | None, process: int | None, detected: bool) -> "Cluster":
        """The processes that options describe."""
        explicit = {"--coordinator": coordinator, "--processes": processes, "--process": process}
        given = [option for option, value in explicit.items() if value is not None]
        if given and detected:
            raise bad("--distributed", f"this asks the cluster for what {given[0]} says; give one of them")
        if given and (missing := [option for option in explicit if option not in given]):
            raise bad(missing[0], f"{given[0]} needs it too, so that the processes find each other")
        if processes is not None and processes < 1:
            raise bad("--processes", f"{processes} is not accepted; give a whole number of at least 1")
        if processes is not None and process is not None and not 0 <= process < processes:
            raise bad("--process", f"{process} is not accepted; give a whole number from 0 to {processes - 1}")
        return cls(detected or bool(given), coordinator, processes, process)

    def join(self) -> None:
        """Waits for the other processes, if there are any."""
        if self.several:
            from ..sweeps import distributed

            distributed.start(self.coordinator, self.processes, self.process)


def run(what: Study, output: Path, cluster: Cluster, *, resume: bool, parquet: bool, quiet: bool) -> None:
    """Runs a sweep and reports it; on Ctrl-C, reports what is finished."""
    need_sweep_extra()
    check_parquet(parquet)
    options = {name: value for name, value in what.options.items() if value is not None}
    metric, mode = options.get("metric"), options.get("mode")
    first, heard = True, False
    try:
        # Imports and data too, for these take seconds, in which Ctrl-C must be heard.
        with interruptible() as check, _plain_warnings():
            with library_errors():
                cluster.join()
            use_all_cores()  # before anything that starts JAX
            first = not cluster.several or jax.process_index() == 0
            team = team_of(jax.devices())
            # What fails in one process fails in all of them, so that none waits for another.
            trial = team.together(what.trial)
            with library_errors(), contextlib.ExitStack() as stack:
                team.together(lambda: stack.enter_context(_folder(output, resume)) if first else None)
                _note(what.notes if first else (), quiet)
                progress = stack.enter_context(opened(first and not quiet))

                def report_and_check(now: Progress) -> None:
                    nonlocal heard
                    if not heard and now.restored:
                        _note(["goes on where it was stopped; --no-resume begins anew."], quiet)
                    heard = True
                    progress(now)
                    check()

                result = sweep(trial, what.points, folder=output, progress=report_and_check, **options)
    except KeyboardInterrupt:
        if first:
            kept = load_unfinished(output) if heard and folders.begun(output) else None
            if kept is not None:
                show(kept, output, metric, mode, parquet=parquet, quiet=quiet)
            _say(f"Interrupted: {_what_is_kept(kept, output)}.")
        raise typer.Exit(INTERRUPTED) from None
    if first:
        if not heard:
            _note([f"{output} holds all of this sweep, and nothing was run; --no-resume runs it again."], quiet)
        show(result, output, metric, mode, parquet=parquet, quiet=quiet)


def _what_is_kept(kept: SweepResult | None, output: Path) -> str:
    if kept is None:
        return f"nothing more was finished, {output} is as it was" if folders.begun(output) else "nothing was finished"
    return f"{output} keeps the first {kept.steps[-1]} of {kept.settings['steps']} steps; the same command goes on"


@contextlib.contextmanager
def _folder(output: Path, resume: bool) -> Iterator[None]:
    """The folder, in which nothing is left if nothing is finished."""
    from ..sweeps.results import report

    try:
        check_writable(output, report.FILES)
        if not resume or not (folders.begun(output) or folders.finished(output)):
            folders.clear(output)
    except BlockingIOError:
        raise
    except OSError as error:
        raise unwritable(output, error) from error
    mine = not folders.begun(output) and not folders.finished(output)
    try:
        yield
    except BaseException:
        if mine and not folders.begun(output) and not folders.finished(output):
            with contextlib.suppress(OSError):
                folders.clear(output)
        raise


@contextlib.contextmanager
def _plain_warnings() -> Iterator[None]:
    """Warnings without the line of code that gave them."""
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_, **__: _say(f"Warning: {message}")
        yield


def _note(texts: Iterable[str], quiet: bool) -> None:
    for text in () if quiet else texts:
        _say(f"Note: {text}")


def _say(text: str) -> None:
    print(text, file=sys.stderr)
