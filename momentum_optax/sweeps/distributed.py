"""Several processes, on one machine or on many, that share a sweep."""

import contextlib
import re
import signal
import threading
from collections.abc import Iterator

import jax

from .values import whole


def start(coordinator: str | None = None, processes: int | None = None, process: int | None = None) -> None:
    """Makes this process one of several, all of which then call `sweep` with the same arguments.

    It is to be called first of all, before JAX is used. All processes wait for one another here; those that wait for
    more than five minutes are ended.

    After that, `jax.devices()` are the devices of all processes, and a sweep is shared by all: each trains a part of
    the runs with its own devices, and all return the same result. Only process 0 shows progress, writes, and reads what
    is in `folder`, which the others need not see. (`sweep(..., devices=jax.local_devices())` is a sweep of one process
    by itself.)

    What one process raises, such as for Ctrl-C, ends the sweep in all, after the rung that they are in. A process that
    is killed is missed by the others when the rung ends, or by JAX, which ends them about 100 seconds after. A process
    can be killed at any moment, also by SIGTERM, for with a `folder` the same command goes on after the last rung.

    It is `jax.distributed.initialize`, to which those can turn who need more options. Between CPUs, processes talk by
    gloo, and JAX's setting `jax_cpu_collectives_implementation` has other ways.

    Args:
      coordinator: `HOST:PORT`, where process 0 runs, and a port that is free there; the same in all processes.
      processes: how many there are; the same in all processes.
      process: which of them this is, from 0.
        All three are needed, or none where they can be found out: as a task of SLURM, in Kubernetes, by `mpirun`, or
        on a TPU pod. (SLURM: JAX takes one GPU per task, so start as many tasks as there are GPUs.)

    Raises:
      ValueError: an argument is missing or out of its range, or this is no cluster that JAX knows.
      RuntimeError: JAX has been used already.

    Examples:
      >>> from momentum_optax.sweeps import distributed
      >>> distributed.start("10.0.0.1:8476", processes=4, process=0)  # doctest: +SKIP
    """
    given = {"coordinator": coordinator, "processes": processes, "process": process}
    missing = [name for name, value in given.items() if value is None]
    if 0 < len(missing) < 3:
        raise ValueError(f"coordinator, processes and process must be given together; {missing[0]} is missing.")
    if not missing:
        if not re.fullmatch(r".+:\d+", str(coordinator)):
            raise ValueError(f"coordinator must be HOST:PORT, such as '10.0.0.1:8476', not {coordinator!r}.")
        processes = whole("processes", processes)
        process = whole("process", process, least=0)
        if process >= processes:
            raise ValueError(f"process must be less than processes={processes}, not {process}.")
    if jax.distributed.is_initialized():
        raise RuntimeError("distributed.start() can be called only once.")
    # With it, SIGTERM would do nothing but to tell those who ask.
    jax.config.update("jax_enable_preemption_service", False)
    with _mortal():
        try:
            jax.distributed.initialize(coordinator, processes, process)
        except RuntimeError as error:
            raise RuntimeError(
                f"distributed.start() must be called before JAX does anything, even jax.devices(). ({error})"
            ) from error
        except ValueError as error:
            raise ValueError(
                "JAX finds no cluster here (SLURM, Kubernetes, mpirun or a TPU pod), so give coordinator, processes "
                f"and process. ({error})"
            ) from error


@contextlib.contextmanager
def _mortal() -> Iterator[None]:
    """Meanwhile Ctrl-C ends the process, for Python would hear of it only when all processes are there."""
    if threading.current_thread() is not threading.main_thread() or not callable(signal.getsignal(signal.SIGINT)):
        yield
        return
    previous = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
