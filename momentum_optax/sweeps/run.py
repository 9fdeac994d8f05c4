"""The sweep itself."""

import operator
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .engine import Engine, draw_program
from .lanes import CPU_CHUNK, lay_out
from .points import Points
from .progress import Progress
from .results import SweepResult
from .trial import Trial


def sweep(
    trial: Trial,
    points: Points | Mapping[str, float] | Sequence[Mapping[str, float]],
    *,
    seeds: int | Sequence[int] = 5,
    steps: int = 300,
    evaluate_every: int | None = None,
    label: str = "",
    progress: Callable[[Progress], None] | None = None,
    devices: Sequence[Any] | None = None,
    threads: int | None = None,
    lanes_per_chunk: int | None = None,
) -> SweepResult:
    """Trains every point from every seed, all in one compiled program.

    Runs of the same seed share their initial params and the order of their data. Runs are spread over all
    devices; where JAX has started with a single CPU device, over threads. A run whose loss or metric becomes
    infinite or NaN is marked as diverged and its metrics are NaN from there on; no other run is touched by
    it.

    Args:
      trial: what to run, see `Trial` and `supervised`.
      points: the hyperparameters to try, see `grid`.
      seeds: the seeds themselves, or how many; 5 means 0, 1, 2, 3, 4.
      steps: updates per run.
      evaluate_every: steps between two evaluations; `None` for a tenth of `steps`. The last step is always
        evaluated. If this does not divide `steps`, a second, shorter program is compiled for the rest.
      label: a name for the runs, shown as `method` in tables.
      progress: called after every evaluation, see `Progress`. What it raises ends the sweep.
      devices: where to run; `None` for all of `jax.devices()`.
      threads: among how many threads to share a single device; `None` for one per core on a CPU, one
        elsewhere.
      lanes_per_chunk: how many runs a device trains at the same time; `None` for 16 on a CPU and for all
        elsewhere. Results depend on it only by rounding.

    Returns:
      All metrics of all runs.

    Raises:
      ValueError: an argument is out of its range; the message names it.
    """
    points = points if isinstance(points, Points) else Points(points)
    seeds = _check_seeds(seeds)
    steps = _whole("steps", steps)
    every = max(1, steps // 10) if evaluate_every is None else min(_whole("evaluate_every", evaluate_every), steps)
    devices = jax.devices() if devices is None else list(devices)
    if not devices:
        raise ValueError("devices must hold at least one device; None stands for all.")
    on_cpu = devices[0].platform == "cpu"
    if threads is None:
        threads = cpu_count() if on_cpu and len(devices) == 1 else 1
    threads = _whole("threads", threads)
    lanes_per_chunk = None if lanes_per_chunk is None else _whole("lanes_per_chunk", lanes_per_chunk)
    if threads > 1 and len(devices) > 1:
        raise ValueError(f"threads={threads} is for a single device, but there are {len(devices)} devices.")
    chunk = CPU_CHUNK if lanes_per_chunk is None and on_cpu else lanes_per_chunk
    # More workers than runs would only train padding.
    workers = min(max(threads, len(devices)), len(seeds) * len(points))
    lanes = lay_out(len(seeds), len(points), workers, chunk)

    begun = time.perf_counter()
    draw = draw_program(trial.draw)
    drawn = _stack([jax.device_get(draw(jax.random.key(seed))) for seed in seeds])
    items = _stack([trial.plan(seed, steps) for seed in seeds])
    engine = Engine(trial, lanes, points.arrays(), drawn, devices[:workers])
    stops = [*range(every, steps, every), steps]
    history: list[dict[str, np.ndarray]] = []
    diverged_at = np.full((len(seeds), len(points)), -1)
    try:
        for start, stop in zip([0, *stops], stops, strict=False):
            losses, metrics = engine.advance(jax.tree.map(lambda x: x[:, start:stop], items))  # noqa: B023
            _mark(diverged_at, losses, metrics, start)
            with np.errstate(invalid="ignore", over="ignore"):
                metrics = {"train_loss": losses.mean(-1), **metrics}
            history.append({k: np.where(diverged_at >= 0, np.nan, v) for k, v in metrics.items()})
            if progress is not None:
                seconds = time.perf_counter() - begun
                progress(Progress.of(label, points, history, diverged_at, stop, steps, seconds))
    finally:
        engine.close()
    return SweepResult(
        points=tuple(({"method": label} if label else {}) | dict(p) for p in points),
        seeds=seeds,
        steps=np.asarray(stops),
        metrics={k: np.stack([h[k] for h in history], axis=-1).swapaxes(0, 1) for k in history[0]},
        diverged_at=diverged_at.T,
        settings={
            **trial.settings,
            "steps": steps,
            "evaluate_every": every,
            "seeds": list(seeds),
            "platform": devices[0].platform,
            "devices": len(devices),
            "threads": threads,
            "lanes_per_chunk": chunk,
            "seconds": {label or "sweep": round(time.perf_counter() - begun, 3)},
        },
    )


def cpu_count() -> int:
    """How many CPU cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def use_all_cores() -> None:
    """Makes each core a device, unless JAX has started (then `sweep` uses threads) or the user has chosen."""
    chosen = "xla_force_host_platform_device_count" in os.environ.get("XLA_FLAGS", "")
    if not chosen and jax.config.jax_num_cpu_devices <= 0:  # pyright: ignore[reportAttributeAccessIssue]
        try:
            jax.config.update("jax_num_cpu_devices", cpu_count())
        except RuntimeError:
            return


def _whole(name: str, value: Any, least: int = 1) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if isinstance(value, bool) or number < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, not {value!r}.")
    return number


def _check_seeds(seeds: int | Sequence[int]) -> tuple[int, ...]:
    if not np.iterable(seeds):
        return tuple(range(_whole("seeds, as a count,", seeds)))
    found = tuple(_whole("each of seeds", seed, least=0) for seed in seeds)
    if not found or len(set(found)) < len(found):
        raise ValueError(f"seeds must be a count, or one or more different whole numbers, not {list(found)}.")
    return found


def _mark(diverged_at: np.ndarray, losses: np.ndarray, metrics: Mapping[str, np.ndarray], start: int) -> None:
    """Notes, for runs not yet diverged, the first step (from 1) after which something is not finite."""
    bad = ~np.isfinite(losses)
    bad[..., -1] |= np.any([~np.isfinite(v) for v in metrics.values()], axis=0)
    now = bad.any(-1) & (diverged_at < 0)
    diverged_at[now] = start + 1 + bad.argmax(-1)[now]


def _stack(trees: Sequence[Any]) -> Any:
    def leaf(*x: Any) -> Any:
        # NumPy knows no random keys.
        return jnp.stack(x) if jnp.issubdtype(x[0].dtype, jax.dtypes.prng_key) else np.stack(x)

    return jax.tree.map(leaf, *trees)
